package sim

import (
	"slices"
	"time"

	"diskv/paxos"
	"diskv/shard"
)

// drawGroups draws a world of several groups, with shardmasters.
func (w *world) drawGroups(d dice) {
	for id := range shard.GroupID(2 + d.IntN(3)) {
		w.add(id+1, paxos.ServiceSharded)
	}
	w.add(0, paxos.ServiceShardmaster)
	w.moves = newMoves(w)
	w.operator = &operator{w: w, dice: newDice(w.seed, 7)}
}

// drawLoad draws what the operator and late copies do.
func (w *world) drawLoad(d dice) {
	w.load.change = d.between(50*time.Millisecond, 1500*time.Millisecond)
	w.load.back = 0.1 + 0.7*d.Float64()
	w.load.late = d.Float64() * 0.5
}

// startMoves has shards move, and groups cut off, until the calm begins.
func (w *world) startMoves() {
	w.operator.start()
	w.startApart(newDice(w.seed, 9))
}

// maxDrift is how far the rate of a clock may be from 1: shards bring log time along.
func (w *world) maxDrift() float64 {
	drift := 0.0
	for _, g := range w.groups {
		drift = max(drift, g.plan.drift)
	}
	return drift
}

// startApart has whole groups be cut off from the others, or down, now and then.
func (w *world) startApart(d dice) {
	if d.chance(0.4) {
		return
	}
	every := d.between(500*time.Millisecond, 4*time.Second)
	halts := d.Float64() * 0.6
	var next func()
	next = func() {
		if w.calm {
			return
		}
		g := w.groups[d.IntN(len(w.groups))]
		if outside := w.outside(); outside != nil && halts > 0.2 {
			outside.halt(d.around(4 * every)) // configs may be made and dropped meanwhile
		} else if d.chance(halts) {
			g.halt(d.around(every))
		} else {
			g.cutOff(d.around(every / 2))
		}
		w.after(d.around(every), next)
	}
	w.after(d.around(every), next)
}

// outside returns a group that was in a config, has left and is forgotten by the
// shardmasters, or nil.
func (w *world) outside() *group {
	leader := w.masters.leader()
	if leader == nil {
		return nil
	}
	known := groupsOf(leader.rep.Machine().(*machine).masters)
	for _, g := range w.stores {
		if w.moves.had(g.id) && !slices.ContainsFunc(known, func(f groupFacts) bool { return f.id == g.id }) {
			return g
		}
	}
	return nil
}

// cutOff cuts a group off from all others.
func (w *group) cutOff(d time.Duration) {
	w.mark(MarkApart)
	w.printf("cut off from the other groups")
	w.apart = true
	w.after(d, func() { w.apart = false })
}

// halt has every member of a group be down.
func (w *group) halt(d time.Duration) {
	w.mark(MarkHalted)
	w.printf("halted for %v", d)
	w.halted = w.now + d
	for _, n := range w.nodes {
		w.kill(n)
	}
}
