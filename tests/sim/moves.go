package sim

import (
	"bytes"
	"slices"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/shard"
	"diskv/shardmaster"
)

// moves watches how shards move between groups, over all members and all lives. It
// holds the groups to this:
//
//   - every group takes the configs that the shardmasters made, one by one
//   - a group executes commands on a shard only while its config gives it the shard,
//     or has just taken it away and the shard is not frozen
//   - no group does so once another one has in a later tenure: a shard is never
//     served by two groups at once
//   - nothing is released before the group that is to have it holds all of it
//   - an operation of a session has one reply, whichever groups execute its retries
//
// The order of things is that in which the first member of a group applies them.
type moves struct {
	w       *world
	configs []*shard.Config // by number
	tenures map[shard.ID]tenure
	streams map[streamID]*stream
}

// tenure is the time for which a group owns a shard without a break.
type tenure struct {
	since uint64 // the config with which it begins
	group shard.GroupID
}

// streamID names what a config moves from one group to another.
type streamID struct {
	config   uint64
	from, to shard.GroupID
}

// stream is how far that is.
type stream struct {
	frozen time.Duration // when the giver froze the last batch so far
	chunks int           // that the taker's log has
	ended  bool          // the taker has all of it
}

func newMoves(w *world) *moves {
	return &moves{
		w: w, configs: []*shard.Config{{}},
		tenures: make(map[shard.ID]tenure), streams: make(map[streamID]*stream),
	}
}

func (v *moves) newest() *shard.Config { return v.configs[len(v.configs)-1] }

// had reports whether a config has had a group.
func (v *moves) had(id shard.GroupID) bool {
	return slices.ContainsFunc(v.configs, func(c *shard.Config) bool {
		_, ok := c.Group(id)
		return ok
	})
}

func (v *moves) stream(id streamID) *stream {
	s := v.streams[id]
	if s == nil {
		s = &stream{}
		v.streams[id] = s
	}
	return s
}

// made is told that a shardmaster has applied a command.
func (v *moves) made(m *shardmaster.Machine) {
	c := m.Newest()
	switch {
	case c.Num == uint64(len(v.configs)):
		v.configs = append(v.configs, c)
		v.w.mark(MarkConfigMade)
		v.w.printf("config %d: %s", c.Num, describeConfig(c))
	case c.Num > uint64(len(v.configs)):
		v.w.fail("config %d comes behind config %d", c.Num, len(v.configs)-1)
	}
}

// since returns the config with which a group's tenure of a shard began, or false if
// the shard is not the group's in config num.
func (v *moves) since(g shard.GroupID, id shard.ID, num uint64) (uint64, bool) {
	if v.configs[num].Owner[id] != g {
		return 0, false
	}
	for num > 0 && v.configs[num-1].Owner[id] == g {
		num--
	}
	return num, true
}

// executed is told that a group has executed a command on a shard, as far as its
// first member is concerned.
func (v *moves) executed(m *machine, op *operation) {
	id := op.shard()
	since, ok := v.tenureOf(m, id)
	if !ok {
		v.w.fail("group %d executes %v and does not own shard %d", m.node.w.id, op, id)
		return
	}
	now := tenure{since: since, group: m.node.w.id}
	if m.store.ShardState(id) == kv.Leaving {
		v.w.mark(MarkServedLeaving)
	}
	if old := v.tenures[id]; since < old.since {
		v.w.fail("shard %d is served by two groups: group %d, which has had it since config %d, executes %v after group %d, which has had it since config %d",
			id, now.group, now.since, op, old.group, old.since)
	} else if old != now {
		if old.group != 0 {
			v.w.mark(MarkServedElsewhere)
		}
		v.tenures[id] = now
	}
}

// tenureOf returns the config with which the tenure began that a member knows its
// group to be in. It goes on, beyond its last config, until the shard is frozen.
func (v *moves) tenureOf(m *machine, id shard.ID) (since uint64, ok bool) {
	switch {
	case m.config == nil:
		return 0, false
	case m.store.ShardState(id) == kv.Leaving:
		return v.since(m.node.w.id, id, m.config.Num-1)
	}
	return v.since(m.node.w.id, id, m.config.Num)
}

// read is told that a member answers a read.
func (v *moves) read(m *machine, op *operation) {
	id := op.shard()
	since, ok := v.tenureOf(m, id)
	if !ok || since < op.tenure {
		v.w.fail("member %d of group %d answers %v as the owner since config %d; when it was asked, shard %d had been served by the owner since config %d",
			m.node.id, m.node.w.id, op, since, id, op.tenure)
	}
}

// handedOver is told that a member has applied a command with which shards move,
// and whether it is the first to do so.
func (v *moves) handedOver(m *machine, reply []byte, first bool) {
	if first {
		switch {
		case bytes.HasPrefix(reply, []byte("-STALECHUNK")):
			v.w.mark(MarkStaleChunk)
		case bytes.HasPrefix(reply, []byte("-STALECONFIG")):
			v.w.mark(MarkStaleConfig)
		case bytes.HasPrefix(reply, []byte("-STALEFREEZE")):
			v.w.mark(MarkStaleFreeze)
		}
	}
	if m.version == m.store.HandoverVersion() {
		return
	}
	old := m.handover
	m.look()
	if m.config != old.Config {
		v.took(m, old, first)
	}
	if first {
		v.froze(m, old)
		v.received(m, old)
		v.released(m, old)
	}
}

// took checks that a member has gone on to the next config, which is the one that
// the shardmasters made.
func (v *moves) took(m *machine, old kv.Handover, first bool) {
	g, c := m.node.w, m.config
	switch {
	case c == nil || c.Num >= uint64(len(v.configs)):
		g.fail("member %d takes a config that was never made", m.node.id)
		return
	case old.Config != nil && c.Num != old.Config.Num+1 && len(old.Outgoing) > 0:
		g.fail("member %d goes from config %d to %d and still has shards of others", m.node.id, old.Config.Num, c.Num)
		return
	case !bytes.Equal(c.Append(nil), v.configs[c.Num].Append(nil)):
		g.fail("member %d takes another config %d than the shardmasters made", m.node.id, c.Num)
		return
	}
	if !first {
		return
	}
	v.w.mark(MarkConfigTaken)
	g.printf("config %d is taken: %d streams in, %d out", c.Num, len(m.handover.Incoming), len(m.handover.Outgoing))
	if old.Config == nil {
		v.w.mark(MarkFirstConfig)
		return
	}
	if old.Config.Num+1 != c.Num {
		v.w.mark(MarkConfigsSkipped)
		for num := old.Config.Num + 1; num < c.Num; num++ {
			if v.configs[num].Held(g.id) > 0 {
				g.fail("config %d is left out, which gave the group shards", num)
			}
		}
	}
	for _, l := range m.handover.Outgoing {
		id := streamID{l.Config, g.id, l.To.ID}
		if l.Config < c.Num && v.comesBack(id, c) {
			v.w.mark(MarkMovedBack)
		}
	}
}

// froze notes which batches a command has frozen.
func (v *moves) froze(m *machine, old kv.Handover) {
	for _, d := range m.handover.Outgoing {
		before := kv.Departure{}
		for _, o := range old.Outgoing {
			if o.Config == d.Config && o.To.ID == d.To.ID {
				before = o
			}
		}
		if d.Batches == before.Batches {
			continue
		}
		v.stream(streamID{d.Config, m.node.w.id, d.To.ID}).frozen = v.w.now
		m.node.w.printf("batch %d of config %d for group %d is frozen; %d shards wait", d.Batches-1, d.Config, d.To.ID, d.Waiting)
		if d.Batches > 1 {
			v.w.mark(MarkFurtherBatch)
		}
		if d.Config < m.config.Num {
			v.w.mark(MarkFrozenByConfig)
		}
	}
}

// comesBack reports whether a config brings back a shard that is still kept for the
// group that it comes from.
func (v *moves) comesBack(id streamID, c *shard.Config) bool {
	before, then, last := v.configs[id.config-1], v.configs[id.config], v.configs[c.Num-1]
	for s := range c.Owner {
		if c.Owner[s] == id.from && last.Owner[s] == id.to && then.Owner[s] == id.to && before.Owner[s] == id.from {
			return true
		}
	}
	return false
}

// received notes what a command has brought.
func (v *moves) received(m *machine, old kv.Handover) {
	for _, in := range old.Incoming {
		at, open := cursorOf(m.handover.Incoming, in)
		if open && bytes.Equal(at, in.Cursor) {
			continue
		}
		id := streamID{in.Config, in.From.ID, m.node.w.id}
		s := v.stream(id)
		s.chunks++
		v.w.mark(MarkChunk)
		if !open {
			s.ended = true
			v.w.mark(MarkStreamEnded)
			m.node.w.printf("everything of config %d from group %d is here, in %d chunks", in.Config, in.From.ID, s.chunks)
			if s.chunks > 1 {
				v.w.mark(MarkStreamInPieces)
			}
		}
	}
}

func cursorOf(incoming []kv.Incoming, in kv.Incoming) (cursor []byte, open bool) {
	for _, o := range incoming {
		if o.Config == in.Config && o.From.ID == in.From.ID {
			return o.Cursor, true
		}
	}
	return nil, false
}

// released checks that a group lets go only of what has arrived.
func (v *moves) released(m *machine, old kv.Handover) {
	g := m.node.w
	for _, l := range old.Outgoing {
		if keeps(m.handover.Outgoing, l) {
			continue
		}
		s := v.stream(streamID{l.Config, g.id, l.To.ID})
		if !s.ended {
			g.fail("what config %d moves to group %d is let go of, and has not arrived", l.Config, l.To.ID)
			return
		}
		v.w.mark(MarkReleased)
		g.printf("what config %d moved to group %d is let go of", l.Config, l.To.ID)
		if n := g.leader(); n != nil && n.began > s.frozen {
			v.w.mark(MarkReleasedAfterRestart)
		}
	}
}

func keeps(outgoing []kv.Departure, l kv.Departure) bool {
	for _, o := range outgoing {
		if o.Config == l.Config && o.To.ID == l.To.ID {
			return true
		}
	}
	return false
}

// died marks the death of a leader that had a part in a move.
func (v *moves) died(n *node) {
	m := n.rep.Machine().(*machine)
	for _, in := range m.handover.Incoming {
		if len(in.Cursor) > 0 {
			v.w.mark(MarkTakerCrashed)
		}
	}
	for _, l := range m.handover.Outgoing {
		if s := v.stream(streamID{l.Config, n.w.id, l.To.ID}); s.chunks > 0 && !s.ended {
			v.w.mark(MarkGiverCrashed)
			if l.Waiting > 0 && l.Batches > 0 {
				v.w.mark(MarkDiedBetweenBatches)
			}
		}
	}
}

// moving reports whether shards are on their way from or to a group.
func (w *group) moving() bool {
	for _, n := range w.nodes {
		if n.rep == nil {
			continue
		}
		if m := n.rep.Machine().(*machine); len(m.handover.Incoming)+len(m.handover.Outgoing) > 0 {
			return true
		}
	}
	return false
}

// stale tells whether a reply says that the group does not serve the shard, so that
// the command was not executed.
func wrongShard(reply []byte) bool { return bytes.HasPrefix(reply, []byte("-"+kv.CodeWrongShard)) }

// settled reports whether every group has taken the newest config, has all that this
// gives it, and keeps nothing for others.
func (v *moves) settled() bool {
	c := v.newest()
	for _, g := range v.w.stores {
		for _, n := range g.nodes {
			m := n.rep.Machine().(*machine)
			h := &m.handover
			if len(h.Incoming)+len(h.Outgoing) > 0 {
				return false
			}
			if _, member := c.Group(g.id); member && (h.Config == nil || h.Config.Num != c.Num || h.Settled != c.Num) {
				return false
			}
		}
	}
	return v.allPassed()
}

// allPassed reports whether the shardmasters know that every group is at the newest
// config, and none is leaving.
func (v *moves) allPassed() bool {
	for _, n := range v.w.masters.nodes {
		m := n.rep.Machine().(*machine).masters
		for _, g := range groupsOf(m) {
			if g.standing != "member" || g.settled != m.Newest().Num || !g.drained {
				return false
			}
		}
	}
	return true
}

// checkPlaces checks, when nothing moves any more, that every shard is served by the
// group that the newest config gives it to and nowhere else, and that no key is
// anywhere else.
func (v *moves) checkPlaces() {
	c := v.newest()
	keys := make(map[shard.ID]string)
	for _, op := range v.w.history {
		keys[op.shard()] = op.key
	}
	for _, g := range v.w.stores {
		for _, n := range g.nodes {
			store := n.rep.Machine().(*machine).store
			for id := range shard.ID(shard.Count) {
				want := kv.Elsewhere
				if c.Owner[id] == g.id {
					want = kv.Served
				}
				if got := store.ShardState(id); got != want {
					g.fail("member %d has shard %d as %v at the end, which group %d owns", n.id, id, got, c.Owner[id])
					return
				}
				if key, used := keys[id]; used && want == kv.Elsewhere && store.KeysIn(id) > 0 {
					g.fail("member %d has a key of shard %d at the end, that of %s, which group %d owns", n.id, id, key, c.Owner[id])
					return
				}
			}
		}
	}
}

// ownerOf returns the group that a config gives a shard to, or nil.
func (w *world) ownerOf(c *shard.Config, id shard.ID) *group {
	if c == nil || c.Owner[id] == 0 {
		return nil
	}
	return w.stores[c.Owner[id]-1]
}

// commandOf finds the operation that a command, or a query, is of.
func (c *checker) commandOf(command []byte) *operation {
	cmd, err := kv.DecodeCommand(command)
	number := int(cmd.MaxValue) - minLimit
	if err != nil || number < 0 || number >= len(c.w.history) {
		return nil
	}
	return c.w.history[number]
}

// handsOver reports whether a command is one with which shards move.
func (c *checker) handsOver(command []byte) bool {
	if c.w.service != paxos.ServiceSharded {
		return false
	}
	_, err := kv.DecodeCommand(command)
	return err != nil
}
