package sim

import (
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// faultKind is something that goes wrong now and then, for a while.
type faultKind int

const (
	faultCrash faultKind = iota
	faultCrashLeader
	faultCrashAll
	faultCrashMajority
	faultBounce // a crash, and back at once
	faultStop   // a clean one
	faultPause
	faultPauseLeader
	faultSplit
	faultOneWay
	faultIsolate
	faultIsolateLeader
	faultDiskStall
	faultClockStep
	faultHandOver
	faultFreeze
	faultLose // from here on: of what a disk holds
	faultLoseLeader
	faultLoseAgain
	faultDamage
	faultCopy
	faultPutBack
	faultKinds
)

// startFaults has faults happen until the calm begins.
func (w *group) startFaults() {
	total := 0.0
	for _, weight := range w.plan.faults {
		total += weight
	}
	if total == 0 {
		return
	}
	var next func()
	next = func() {
		if w.calm {
			return
		}
		x := w.faultDice.Float64() * total
		for k, weight := range w.plan.faults {
			if x -= weight; x < 0 {
				w.fault(faultKind(k))
				break
			}
		}
		w.after(w.faultDice.around(w.plan.faultEvery), next)
	}
	w.after(w.faultDice.around(w.plan.faultEvery), next)
}

// fault makes one happen.
func (w *group) fault(k faultKind) {
	d := w.faultDice
	n := w.nodes[d.IntN(len(w.nodes))]
	w.trace.note(w.now, noteFault, uint64(k), uint64(n.id))
	leader := w.leader()
	switch k {
	case faultCrash:
		w.kill(n)
	case faultCrashLeader:
		if leader != nil {
			w.kill(leader)
		}
	case faultCrashAll:
		if d.chance(0.3) {
			w.mark(MarkCrashAll)
			for _, n := range w.nodes {
				w.kill(n)
			}
		}
	case faultCrashMajority:
		for _, i := range d.Perm(len(w.nodes))[:len(w.nodes)/2+1] {
			w.kill(w.nodes[i])
		}
	case faultBounce:
		if n.rep != nil {
			n.crash()
			n.w.after(d.between(0, 5*time.Millisecond), func() { w.revive(n) })
		}
	case faultStop:
		if leader != nil {
			w.stop(leader)
		}
	case faultPause:
		w.pause(n)
	case faultPauseLeader:
		if leader != nil {
			w.pause(leader)
		}
	case faultSplit:
		w.mark(MarkPartition)
		w.printf("the network is parted")
		w.net.split(uint(d.Uint64()))
		w.healLater()
	case faultOneWay:
		w.mark(MarkOneWay)
		to := d.IntN(len(w.nodes))
		w.printf("nothing gets from member %d to %d", n.id, to)
		w.net.cut[n.id][to] = true
		w.healLater()
	case faultIsolate:
		w.isolate(n.id)
	case faultIsolateLeader:
		if leader != nil {
			w.isolate(leader.id)
		}
	case faultDiskStall:
		w.mark(MarkDiskStall)
		n.disk.stalled = w.now + d.around(3*w.plan.replica.ElectionTimeout)
	case faultClockStep:
		n.clock.wall += d.between(-50*time.Millisecond, 50*time.Millisecond) / 4
	case faultHandOver:
		if leader != nil {
			leader.put(func(r *replica.Replica) { r.HandOver() })
		}
	case faultFreeze:
		if !w.plan.lease { // a lease relies on the clocks' rates
			w.freeze(n, d.around(4*w.plan.replica.ElectionTimeout))
		}
	case faultLose, faultLoseLeader, faultLoseAgain, faultDamage, faultCopy, faultPutBack:
		w.diskFault(k)
	}
}

// leader returns a member that believes that it leads, or nil.
func (w *group) leader() *node {
	for _, n := range w.nodes {
		if n.rep != nil && n.led {
			return n
		}
	}
	return nil
}

func (w *group) kill(n *node) {
	if n.rep != nil {
		n.crash()
		w.restartLater(n)
	}
}

// restartLater has a member come back after a while.
func (w *group) restartLater(n *node) {
	w.after(w.faultDice.around(2*w.plan.replica.ElectionTimeout), func() { w.revive(n) })
}

// revive starts a member that is down.
func (w *group) revive(n *node) {
	switch {
	case n.rep != nil || w.err != nil:
	case w.halted > w.now && !w.calm:
		w.after(w.halted-w.now, func() { w.revive(n) })
	default:
		n.start()
	}
}

// stop ends a leader's process cleanly: it hands over first.
func (w *group) stop(n *node) {
	n.put(func(r *replica.Replica) { r.HandOver() })
	n.later(w.plan.replica.ElectionTimeout, func() {
		if !w.calm {
			w.mark(MarkCleanStop)
			w.kill(n)
		}
	})
}

func (w *group) pause(n *node) {
	w.mark(MarkPause)
	n.paused = max(n.paused, w.now+w.faultDice.around(4*w.plan.replica.ElectionTimeout))
	w.printf("member %d stands still until %v", n.id, n.paused)
}

func (w *group) isolate(id paxos.ReplicaID) {
	w.mark(MarkIsolated)
	w.printf("member %d is cut off", id)
	w.net.isolate(id)
	w.healLater()
}

func (w *group) healLater() {
	w.after(w.faultDice.around(6*w.plan.replica.ElectionTimeout), func() {
		w.printf("the network is whole")
		w.net.heal()
	})
}
