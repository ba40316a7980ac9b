package sim

import (
	"fmt"
	"time"

	"diskv/paxos"
)

// group is one simulated replica group, with all that is around it.
type group struct {
	*world
	plan  plan
	nodes []*node
	net   *network
	check *checker

	doomed bool // a majority has lost its disks
	doomAt time.Duration
	ambush *ambush

	diskDice, faultDice dice
	part                uint64 // of the dice
}

// partsOfGroup is how many dice there are in a group at most.
const partsOfGroup = 1000

// newGroup draws the plan of a group. They are numbered from 0 on.
func newGroup(w *world, number int) *group {
	g := &group{world: w, part: uint64(number) * partsOfGroup}
	g.plan = newPlan(g.newDice(1))
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
	for _, n := range w.nodes {
		if n.rep == nil {
			s += fmt.Sprintf("\n  member %d is down", n.id)
			continue
		}
		s += fmt.Sprintf("\n  member %d: %s", n.id, n.describe())
	}
	return s
}
