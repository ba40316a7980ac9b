package handover

import (
	"bytes"
	"fmt"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
	"diskv/shardmaster"
)

// first is what a group that has no config yet has learned on the way to one. So
// does a group that left, and comes back when the config after its own is no longer
// kept.
type first struct {
	joined   uint64        // the config in which the group joined; zero: not known
	previous *shard.Config // the one before it
}

// passed is what a group tells the shardmasters: everything that the config
// Settled gave to it is here, and whether nothing is left that others have to get.
type passed struct {
	settled uint64
	drained bool
}

// stepConfig asks for the next config, when there is room for one.
func (m *Mover) stepConfig() {
	switch {
	case len(m.state.Incoming) > 0:
	case m.state.Config == nil, m.state.Config.Num+1 == m.missed:
		m.stepFirst()
	case !m.due(&m.config):
	case !m.trusted():
		m.compareOwn()
	default:
		m.queryConfig(m.state.Config.Num+1, func(c *shard.Config) { m.take(c, nil) })
	}
}

// trusted tells whether the shardmasters have shown that they are those of this
// group's cluster: they have the config that the group is at. They keep it for as long
// as the group may need it. Others, named by mistake, must not move its shards, nor
// let any be deleted.
func (m *Mover) trusted() bool { return m.state.Config != nil && m.own == m.state.Config.Num }

// compareOwn asks the shardmasters for the config that the group is at.
func (m *Mover) compareOwn() {
	own := m.state.Config
	m.put(&m.config, nil, func(v resp.Value, err error) {
		m.again(&m.config, m.opts.PollInterval)
		switch {
		case err == nil && bytes.Equal(v.Str, own.Append(nil)):
			m.own, m.problem = own.Num, ""
			m.again(&m.config, 0)
		case hasCode(err, shardmaster.CodeCompacted) && own.Held(m.opts.Group) == 0:
			m.missed = own.Num + 1 // it left, and was forgotten
		case err == nil, hasCode(err, shardmaster.CodeNotYet), hasCode(err, shardmaster.CodeCompacted):
			m.problem = fmt.Sprintf("the shardmasters are not those of this cluster: config %d, at which this group is, is another one there, or none; no shard moves until --shardmasters names the right ones", own.Num)
		}
	}, word("DISKV.SHARDS"), word("QUERY"), number(own.Num))
}

// stepFirst finds the config in which the group joined, and the one before, from
// which it is seen who had its shards.
func (m *Mover) stepFirst() {
	f := &m.first
	switch {
	case !m.due(&m.config):
	case f.joined == 0:
		m.put(&m.config, nil, m.onGroups, word("DISKV.SHARDS"), word("GROUPS"))
	case f.previous == nil && f.joined > 1:
		m.queryConfig(f.joined-1, func(c *shard.Config) { f.previous = c; m.again(&m.config, 0) })
	default:
		previous := f.previous
		if previous == nil {
			previous = &shard.Config{}
		}
		m.queryConfig(f.joined, func(c *shard.Config) { m.take(c, previous) })
	}
}

// queryConfig asks the shardmasters for a config.
func (m *Mover) queryConfig(num uint64, use func(*shard.Config)) {
	m.put(&m.config, nil, func(v resp.Value, err error) {
		if err == nil {
			var c *shard.Config
			if c, err = shard.DecodeConfig(v.Str); err == nil && c.Num == num {
				use(c)
				return
			}
		}
		if hasCode(err, shardmaster.CodeCompacted) {
			m.missed = num
		}
		m.first = first{} // which may be no longer kept by now
		m.again(&m.config, m.opts.PollInterval)
	}, word("DISKV.SHARDS"), word("QUERY"), number(num))
}

// take proposes that the group goes on to a config. Whether it has done so is seen
// from its state; until then there is time for the proposal to be decided.
func (m *Mover) take(c, previous *shard.Config) {
	m.propose(kv.AppendTakeConfig(nil, c, previous))
	m.again(&m.config, m.opts.PollInterval)
}

// onGroups reads from the shardmasters' table of groups when this group joined.
func (m *Mover) onGroups(v resp.Value, err error) {
	m.again(&m.config, m.opts.PollInterval)
	if err != nil {
		return
	}
	g, ok := findGroup(v, m.opts.Group)
	switch {
	case !ok && m.state.Config == nil:
		m.problem = NoConfig(m.opts.Group)
	case ok && g.settled > 0 && m.state.Config == nil:
		m.problem = fmt.Sprintf("the shardmasters know group %d as one that has data of config %d, and this one has none: it is another group, give it another --group", m.opts.Group, g.settled)
	case ok:
		m.first.joined, m.problem = g.joined, ""
		m.again(&m.config, 0)
	}
}

// NoConfig says what a group waits for that is in no config, and what makes it go on.
func NoConfig(id shard.GroupID) string {
	return fmt.Sprintf("group %d is in no config yet: diskvctl shard join %d ADDRESS... makes it serve shards", id, id)
}

// groupEntry is what the shardmasters know of a group.
type groupEntry struct {
	joined, settled uint64
}

// findGroup finds a group in the reply of DISKV.SHARDS GROUPS: of each group its
// number, "member" or "leaving", the config in which it joined, the one that it has
// settled, whether it is drained, and its addresses.
func findGroup(v resp.Value, id shard.GroupID) (groupEntry, bool) {
	for _, g := range v.Elems {
		if len(g.Elems) >= 5 && shard.GroupID(g.Elems[0].Int) == id {
			return groupEntry{joined: uint64(g.Elems[2].Int), settled: uint64(g.Elems[3].Int)}, true
		}
	}
	return groupEntry{}, false
}

// stepPassed tells the shardmasters how far the group has come, if it has come
// further than they know.
func (m *Mover) stepPassed() {
	now := passed{settled: m.state.Settled, drained: len(m.state.Outgoing) == 0}
	if now.settled == 0 || now == m.told || !m.trusted() || !m.due(&m.passed) {
		return
	}
	drained := 0
	if now.drained {
		drained = 1
	}
	m.put(&m.passed, nil, func(_ resp.Value, err error) {
		m.again(&m.passed, 0)
		if err != nil {
			m.backOff(&m.passed, m.opts.PollInterval, 10*m.opts.PollInterval)
			return
		}
		m.told = now
	}, word("DISKV.SHARDS"), word("PASSED"), number(m.opts.Group), number(now.settled), number(drained))
}

// Problem says what keeps the group from taking configs, if that is not a matter of
// time, or nothing.
func (m *Mover) Problem() string { return m.problem }
