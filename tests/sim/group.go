package sim

import (
	"fmt"
	"time"

	"diskv/handover"
	"diskv/paxos"
	"diskv/shard"
)

// group is one simulated replica group, with all that is around it. Its parts call it
// w, as those of the whole call the world: what is shared is reached through it.
type group struct {
	*world
	id      shard.GroupID
	service paxos.Service
	mover   handover.Options
	stray   float64 // chance that a leader's step proposes what has no use
	index   int     // in the world
	plan    plan
	nodes   []*node
	net     *network
	check   *checker

	proposed [][]byte // what leaders have proposed last so that shards move

	apart  bool          // nothing gets to other groups, or from them
	halted time.Duration // until then no member runs
	doomed bool          // a majority has lost its disks
	doomAt time.Duration
	ambush *ambush

	diskDice, faultDice dice
	part                uint64 // of the dice
}

// partsOfGroup is how many dice there are in a group at most.
const partsOfGroup = 1000

// newGroup draws the plan of a group.
func newGroup(w *world, id shard.GroupID, service paxos.Service) *group {
	g := &group{world: w, id: id, service: service, index: len(w.groups)}
	g.part = uint64(g.index) * partsOfGroup
	g.plan = newPlan(g.newDice(1))
	if service != paxos.ServicePlain {
		g.plan.doom = 0 // the other groups would wait for ever
		g.drawMover(g.newDice(5))
	}
	g.diskDice, g.faultDice = g.newDice(2), g.newDice(3)
	g.check = newChecker(g)
	return g
}

// newDice makes the dice of a part of the group.
func (w *group) newDice(part uint64) dice { return newDice(w.seed, w.part+part) }

// build makes the members, and starts them.
func (w *group) build() {
	w.startAmbush()
	w.net = &network{w: w, dice: w.newDice(4)}
	for id := range paxos.ReplicaID(w.plan.size) {
		w.nodes = append(w.nodes, newNode(w, id))
	}
	if w.plan.size >= 3 {
		w.nodes[w.faultDice.IntN(w.plan.size)].clock.wall += w.plan.wallOff
	}
	for _, n := range w.nodes {
		w.after(w.faultDice.around(20*time.Millisecond), func() { w.revive(n) })
	}
}

// calmDown ends what goes wrong.
func (w *group) calmDown() {
	w.apart = false
	w.net.heal()
	w.net.calm()
	for _, n := range w.nodes {
		n.disk.stalled = 0
		n.paused = min(n.paused, w.now)
		w.revive(n)
	}
}

// agreed reports whether there is one leader, and every member votes and has
// applied the same.
func (w *group) agreed() bool {
	leaders := 0
	first := w.nodes[0]
	if first.rep == nil {
		return false
	}
	want := first.rep.Status()
	for _, n := range w.nodes {
		if n.rep == nil || !n.intact() {
			return false
		}
		st := n.rep.Status()
		if !st.HasLeader || st.Leader != want.Leader || st.Applied != want.Applied {
			return false
		}
		if n.led {
			leaders++
			// A follower may hold values above this that were never chosen.
			if st.Last != st.Applied {
				return false
			}
		}
	}
	return leaders == 1
}

func (w *group) state() string {
	s := ""
	if w.service != paxos.ServicePlain {
		s = "\n " + w.name()
	}
	for _, n := range w.nodes {
		if n.rep == nil {
			s += fmt.Sprintf("\n  member %d is down", n.id)
			continue
		}
		s += fmt.Sprintf("\n  member %d: %s", n.id, n.describe())
		if m := n.rep.Machine().(*machine); m.config != nil {
			h := &m.handover
			s += fmt.Sprintf("; config %d, settled %d, %d streams in, %d out", h.Config.Num, h.Settled, len(h.Incoming), len(h.Outgoing))
		}
	}
	return s
}

// name names the group in a run that has several.
func (w *group) name() string {
	switch w.service {
	case paxos.ServicePlain:
		return ""
	case paxos.ServiceShardmaster:
		return "shardmasters: "
	}
	return fmt.Sprintf("group %d: ", w.id)
}

// fail notes that the group has broken a promise.
func (w *group) fail(format string, args ...any) { w.world.fail(w.name()+format, args...) }

// printf writes a line of the account about the group.
func (w *group) printf(format string, args ...any) {
	if w.verbose() {
		w.world.printf(w.name()+format, args...)
	}
}

// Of a config that moves half of all shards there are 16 KiB of marks alone.
const (
	chunkLeast = 300
	chunkRange = 20_000
	batchRange = 1_000 // bytes; what the clients use together are some thousand
)

// drawMover draws how shards are moved.
func (w *group) drawMover(d dice) {
	w.mover = handover.Options{
		Group:        w.id,
		ChunkBytes:   chunkLeast + int(float64(chunkRange)*d.Float64()*d.Float64()),
		BatchBytes:   1 + d.Int64N(batchRange),
		Window:       1 + d.IntN(4),
		PollInterval: d.between(5*time.Millisecond, 100*time.Millisecond),
	}
	if d.chance(0.6) {
		w.stray = d.Float64() * 0.02
	}
	if queue := &w.plan.replica.MaxQueueBytes; *queue != 0 && w.service == paxos.ServiceSharded {
		// What waits leaves room for a chunk now and then.
		*queue += 2*w.mover.ChunkBytes + 8<<10
	}
}
