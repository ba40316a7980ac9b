package shardmaster

import (
	"cmp"
	"fmt"
	"slices"

	"diskv/internal/resp"
	"diskv/shard"
)

// group is what is known of a group: a member of the newest config, or one that has
// left and may still hold what others have to fetch from it.
type group struct {
	id      shard.GroupID
	servers []string // not changed in place: images share them
	joined  uint64   // the config in which it came
	left    uint64   // the config in which it left; 0: it is a member
	settled uint64   // it has every shard that the configs up to this one gave it
	drained bool     // and nobody has to fetch anything from it
}

func (g *group) standing() string {
	if g.left != 0 {
		return "leaving"
	}
	return "member"
}

// needs returns the oldest config that the group may still have to take, or to look
// at when it takes the next one.
func (g *group) needs() uint64 {
	if g.settled == 0 {
		return g.joined - 1
	}
	return g.settled
}

// clear tells whether a group has everything that the configs up to num gave it, and
// keeps nothing for others.
func (g *group) clear(num uint64) bool { return g.settled >= num && g.drained }

// over tells whether a group that has left can be forgotten, and its processes
// stopped: nobody has to fetch anything from it, and nobody waits for its word that it
// has what they keep for it.
func (m *Machine) over(g *group) bool {
	if g.left == 0 || !g.clear(g.left) {
		return false
	}
	for i := range m.groups {
		if o := &m.groups[i]; o != g && o.joined <= g.left && !o.clear(g.left) {
			return false
		}
	}
	return true
}

// find returns the place of a group in the table.
func (m *Machine) find(id shard.GroupID) (int, bool) {
	return slices.BinarySearchFunc(m.groups, id, func(g group, id shard.GroupID) int { return cmp.Compare(g.id, id) })
}

// enter notes in the table what a change, which has made the newest config, says of
// a group. One that comes back while it is leaving goes on from where it is.
func (m *Machine) enter(c command) {
	at, known := m.find(c.group)
	switch {
	case c.op == opJoin && known:
		g := &m.groups[at]
		m.bytes -= g.size()
		g.servers, g.left = c.servers, 0
		m.bytes += g.size()
	case c.op == opJoin:
		g := group{id: c.group, servers: c.servers, joined: m.newest.Num}
		m.groups = slices.Insert(m.groups, at, g)
		m.bytes += g.size()
	case c.op == opLeave:
		m.groups[at].left = m.newest.Num
	}
}

// passed notes how far a group is. Such a report may be late, or come twice; one of
// a group that is over, or of the time before it came back, is no news.
func (m *Machine) passed(c command) (refusal string) {
	if c.num > m.newest.Num {
		return fmt.Sprintf("ERR config %d cannot have been passed: the newest is %d", c.num, m.newest.Num)
	}
	at, known := m.find(c.group)
	if !known || c.num < m.groups[at].joined {
		return ""
	}
	g := &m.groups[at]
	switch {
	case c.num > g.settled:
		g.settled, g.drained = c.num, c.drained
	case c.num == g.settled:
		g.drained = g.drained || c.drained
	}
	m.forget()
	m.compact()
	m.check()
	return ""
}

// forget lets go of the groups that are over.
func (m *Machine) forget() {
	for i := 0; i < len(m.groups); {
		if !m.over(&m.groups[i]) {
			i++
			continue
		}
		m.bytes -= m.groups[i].size()
		m.groups = slices.Delete(m.groups, i, i+1)
		i = 0 // others may have waited for it
	}
}

// keep adds the next config to those that are kept.
func (m *Machine) keep(c *shard.Config) {
	encoded := c.Append(nil)
	m.kept = append(m.kept, encoded)
	m.bytes += keptSize(encoded)
}

// compact drops the configs that no group needs any more.
func (m *Machine) compact() {
	for n := min(m.oldestNeeded(), m.newest.Num); m.first < n; m.first++ {
		m.bytes -= keptSize(m.kept[0])
		m.kept = m.kept[1:]
	}
}

// oldestNeeded returns the number of the oldest config that some group needs; with
// no groups, that of the newest.
func (m *Machine) oldestNeeded() uint64 {
	need := m.newest.Num
	for i := range m.groups {
		need = min(need, m.groups[i].needs())
	}
	return need
}

// slowest returns the group that is furthest behind.
func (m *Machine) slowest() shard.GroupID {
	return slices.MinFunc(m.groups, func(a, b group) int { return cmp.Compare(a.needs(), b.needs()) }).id
}

// tableFault reports what in the table cannot be.
func (m *Machine) tableFault() error {
	members := m.newest.Groups
	for i := range m.groups {
		g := &m.groups[i]
		num := m.newest.Num
		if g.joined == 0 || g.joined > num || g.left > num || g.left != 0 && g.left <= g.joined || g.settled > num || m.over(g) ||
			g.settled == 0 && g.drained || g.settled != 0 && g.settled < g.joined || i > 0 && m.groups[i-1].id >= g.id {
			return fmt.Errorf("group %d: joined %d, left %d, settled %d, drained %t", g.id, g.joined, g.left, g.settled, g.drained)
		}
		if g.left != 0 {
			continue
		}
		if len(members) == 0 || members[0].ID != g.id || !slices.Equal(members[0].Servers, g.servers) {
			return fmt.Errorf("group %d is a member, but not as the newest config has it", g.id)
		}
		members = members[1:]
	}
	if len(members) > 0 {
		return fmt.Errorf("group %d of the newest config is not in the table", members[0].ID)
	}
	return nil
}

// Standing is how far a group is with the configs.
type Standing struct {
	ID      shard.GroupID
	Servers []string // not to be changed
	Leaving bool     // it is no member any more; others may have to fetch from it
	Settled uint64   // it has every shard that the configs up to this one gave it
	Drained bool     // and nobody has to fetch anything from it
}

// Groups returns how far the groups are: the members, and those that have left and
// must stay up, by number.
func (m *Machine) Groups() []Standing {
	out := make([]Standing, len(m.groups))
	for i := range m.groups {
		g := &m.groups[i]
		out[i] = Standing{ID: g.id, Servers: g.servers, Leaving: g.left != 0, Settled: g.settled, Drained: g.drained}
	}
	return out
}

// appendGroups appends the reply of GROUPS.
func (m *Machine) appendGroups(dst []byte) []byte {
	dst = resp.AppendArray(dst, len(m.groups))
	for i := range m.groups {
		g := &m.groups[i]
		dst = resp.AppendArray(dst, 5+len(g.servers))
		dst = resp.AppendInt(dst, int64(g.id))
		dst = resp.AppendBulkString(dst, g.standing())
		dst = resp.AppendInt(dst, int64(g.joined))
		dst = resp.AppendInt(dst, int64(g.settled))
		drained := int64(0)
		if g.drained {
			drained = 1
		}
		dst = resp.AppendInt(dst, drained)
		for _, a := range g.servers {
			dst = resp.AppendBulkString(dst, a)
		}
	}
	return dst
}
