package shardmaster

import (
	"cmp"
	"fmt"
	"slices"

	"diskv/shard"
)

// change makes the next config, unless things are so already, or the change is
// refused: then it returns the text of the error.
func (m *Machine) change(c command) (refusal string) {
	if c.numbered && c.num != m.newest.Num {
		return fmt.Sprintf("%s the newest config is %d, not %d: look again and decide anew", CodeConfigChanged, m.newest.Num, c.num)
	}
	next := *m.newest // the owners are copied, the groups are shared
	next.Num++
	switch c.op {
	case opJoin:
		refusal = m.join(&next, c)
	case opLeave:
		refusal = m.leave(&next, c)
	case opMove:
		refusal = m.move(&next, c)
	default:
		if len(next.Groups) == 0 {
			return "ERR there is no group yet: JOIN one first"
		}
		balance(&next)
	}
	if refusal != "" || m.same(&next) {
		return refusal
	}
	// New addresses may be what lets a group catch up.
	readdressed := m.newest.Owner == next.Owner && len(m.newest.Groups) == len(next.Groups)
	if len(m.kept) >= MaxKept && !readdressed {
		return fmt.Sprintf("ERR %d configs are kept already, because group %d needs those from %d on: start it, or see why it is behind",
			len(m.kept), m.slowest(), m.first)
	}
	m.newest = &next
	m.keep(&next)
	m.enter(c)
	m.compact()
	m.check()
	return ""
}

// same tells whether next says nothing else than the newest config.
func (m *Machine) same(next *shard.Config) bool {
	return m.newest.Owner == next.Owner && slices.EqualFunc(m.newest.Groups, next.Groups, func(a, b shard.Group) bool {
		return a.ID == b.ID && slices.Equal(a.Servers, b.Servers)
	})
}

// join puts a group into next, or gives it new addresses.
func (m *Machine) join(next *shard.Config, c command) (refusal string) {
	for _, g := range m.groups {
		if g.id == c.group {
			continue
		}
		for _, a := range g.servers {
			if slices.Contains(c.servers, a) {
				return fmt.Sprintf("ERR address %s is in group %d (%s): every group has servers of its own", a, g.id, g.standing())
			}
		}
	}
	at, known := slices.BinarySearchFunc(next.Groups, c.group, compareGroup)
	joining := shard.Group{ID: c.group, Servers: c.servers}
	next.Groups = slices.Clone(next.Groups)
	if known {
		next.Groups[at] = joining
		return ""
	}
	if _, leaving := m.find(c.group); !leaving && len(m.groups) >= shard.MaxGroups {
		return fmt.Sprintf("ERR there are %d groups already, those that are leaving counted: more are not possible", len(m.groups))
	}
	next.Groups = slices.Insert(next.Groups, at, joining)
	balance(next)
	return ""
}

// leave takes a group out of next.
func (m *Machine) leave(next *shard.Config, c command) (refusal string) {
	at, known := slices.BinarySearchFunc(next.Groups, c.group, compareGroup)
	if !known {
		return ""
	}
	if len(next.Groups) == 1 {
		return fmt.Sprintf("ERR group %d is the last one: nobody could take its shards; JOIN another group first", c.group)
	}
	next.Groups = slices.Delete(slices.Clone(next.Groups), at, at+1)
	balance(next)
	return ""
}

// move gives shards to a group.
func (m *Machine) move(next *shard.Config, c command) (refusal string) {
	if _, known := next.Group(c.group); !known {
		return fmt.Sprintf("ERR group %d is not in config %d: JOIN it first", c.group, m.newest.Num)
	}
	for id := int(c.shards.First); id <= int(c.shards.Last); id++ {
		next.Owner[id] = c.group
	}
	return ""
}

func compareGroup(g shard.Group, id shard.GroupID) int { return cmp.Compare(g.ID, id) }
