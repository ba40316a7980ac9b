package sim

import (
	"time"

	"diskv/paxos"
)

// ambush plays the interleaving that the rules of recovery are there for, which
// chance alone finds in one of many thousand runs. In a group of five: a leader
// is cut off until another member, the usurper, runs for leader; its Prepare
// reaches one voter only, whose promise is held back, and the usurper stands
// still. The voter loses its disk. The leader goes on and lets the voter back
// with the votes of all others; one of these, the witness, hears nothing more
// once it has accepted that. The next slot is chosen with the voter's new vote.
// Now the promise arrives, and the usurper and the witness hear each other
// alone: with the promise that counts no more they would be a majority that
// knows nothing of that slot.
//
// Everything else that goes wrong in a run goes on meanwhile, so many attempts
// come to nothing, and some go another way than the one above.
type ambush struct {
	w      *group
	phase  ambushPhase
	until  time.Duration // then the attempt is given up
	ballot paxos.Ballot  // of the usurper

	leader, usurper, voter *node

	life      uint64 // nonce of the voter's new disk
	witnesses map[paxos.ReplicaID]bool
	rejoined  paxos.Slot // of the Rejoin
	promise   []keptMessage
}

type ambushPhase int

const (
	ambushRest    ambushPhase = iota
	ambushElect               // somebody is to run for leader
	ambushPromise             // the voter is to promise
	ambushReturn              // the voter is to be let back
	ambushChoose              // a slot is to be chosen with its new vote
	ambushSprung              // the promise has arrived
)

// ambushLook is how often an ambush looks how things are.
const ambushLook = time.Millisecond

// startAmbush has ambushes laid, one after the other, until the calm begins.
func (w *group) startAmbush() {
	a := &ambush{w: w}
	w.ambush = a
	if !w.plan.ambush {
		return
	}
	var look func()
	look = func() {
		if w.calm || w.doomed {
			a.end()
			return
		}
		a.step()
		w.after(ambushLook, look)
	}
	a.until = w.faultDice.around(time.Second)
	w.after(ambushLook, look)
}

// end gives up an attempt.
func (a *ambush) end() {
	a.w.net.trap = [paxos.MaxReplicas][paxos.MaxReplicas]bool{}
	*a = ambush{w: a.w, until: a.w.now + a.w.faultDice.around(4*a.timeout())}
}

func (a *ambush) timeout() time.Duration { return a.w.plan.replica.ElectionTimeout }

func (a *ambush) next(p ambushPhase, within time.Duration) {
	a.phase, a.until = p, a.w.now+within
}

// others calls f for every member but the given ones.
func (a *ambush) others(f func(*node), but ...*node) {
	for _, n := range a.w.nodes {
		skip := false
		for _, b := range but {
			skip = skip || n == b
		}
		if !skip {
			f(n)
		}
	}
}

// set cuts a link for this ambush alone, or mends it.
func (a *ambush) set(from, to *node, cut bool) { a.w.net.trap[from.id][to.id] = cut }

func (a *ambush) step() {
	w := a.w
	if a.phase != ambushRest && w.now > a.until {
		a.end()
		return
	}
	if a.usurper != nil && a.usurper.frozen && a.phase < ambushSprung {
		a.usurper.paused = w.now + 2*ambushLook
	}
	switch a.phase {
	case ambushRest:
		if w.now > a.until {
			a.lay()
		}
	case ambushElect:
		a.others(func(n *node) {
			if a.usurper == nil && n.rep != nil && n.rep.Status().Role == "candidate" {
				a.usurp(n)
			}
		}, a.leader)
	case ambushPromise:
		if len(a.promise) > 0 {
			a.lose()
		}
	case ambushReturn:
		if a.rejoined != 0 && a.voter.intact() {
			a.next(ambushChoose, 8*a.timeout())
		}
	case ambushChoose:
		if w.check.through > a.rejoined {
			a.spring()
		}
	case ambushSprung:
	}
}

// lay begins an attempt, if the group is whole.
func (a *ambush) lay() {
	w := a.w
	a.leader = w.leader()
	if a.leader == nil || w.choose(func(n *node) bool { return !n.intact() || n.rep == nil || n.paused > w.now }) != nil {
		a.end()
		return
	}
	a.others(func(n *node) { a.set(a.leader, n, true) }, a.leader)
	a.next(ambushElect, 3*a.timeout())
}

// usurp lets the Prepare of a candidate reach one voter only, and the leader the
// others again.
func (a *ambush) usurp(n *node) {
	w := a.w
	a.usurper = n
	a.ballot = n.rep.Status().Ballot
	a.voter = w.choose(func(n *node) bool { return n != a.leader && n != a.usurper })
	a.others(func(n *node) {
		a.set(a.leader, n, n == a.usurper)
		a.set(n, a.usurper, true)
		a.set(a.usurper, n, n != a.voter)
	}, a.usurper)
	a.next(ambushPromise, a.timeout())
}

// keeps holds back the voter's promise.
func (a *ambush) keeps(e paxos.Envelope, frame []byte) bool {
	if a.phase != ambushPromise || e.From != a.voter.id || e.To != a.usurper.id {
		return false
	}
	p, ok := e.Message.(paxos.Promise)
	if ok && p.Ballot == a.ballot && !p.More {
		a.promise = append(a.promise, keptMessage{from: e.From, to: e.To, life: e.Life, frame: frame})
	}
	return ok
}

// lose stops the usurper, and takes the voter's disk.
func (a *ambush) lose() {
	w := a.w
	if !w.mayLose(a.voter) {
		a.end()
		return
	}
	w.freeze(a.usurper, 2*ambushLook)
	a.set(a.usurper, a.voter, true)
	a.voter.crash()
	w.loseDisk(a.voter, w.faultDice.chance(w.plan.bootstrap))
	a.life = a.voter.disk.id.Life.Nonce
	a.witnesses = make(map[paxos.ReplicaID]bool)
	voter := a.voter
	w.after(w.faultDice.between(0, 5*time.Millisecond), func() { w.revive(voter) })
	a.next(ambushReturn, 12*a.timeout())
}

// held is told that a member's disk has a Rejoin. The first that are not the
// leader are the witnesses.
func (a *ambush) held(n *node, s paxos.Slot, r paxos.Rejoin) {
	if a.phase != ambushReturn || r.Life.Nonce != a.life {
		return
	}
	a.rejoined = s
	if n == a.leader || n == a.voter || n == a.usurper || a.witnesses[n.id] || len(a.witnesses) > a.w.plan.size/2-2 {
		return
	}
	a.witnesses[n.id] = true
	a.others(func(o *node) { a.set(o, n, true) }, n)
}

// spring brings the promise of the life that is over, lets the usurper go on and
// the witnesses hear it.
func (a *ambush) spring() {
	w := a.w
	if len(a.witnesses) == 0 || a.usurper.rep == nil || !a.usurper.frozen {
		a.end()
		return
	}
	w.mark(MarkAmbush)
	w.printf("the promise of member %d for ballot %v is let go", a.voter.id, a.ballot)
	for id := range a.w.nodes {
		n := w.nodes[id]
		cut := !a.witnesses[n.id]
		a.others(func(o *node) {
			if a.witnesses[n.id] {
				a.set(n, o, o != a.usurper)
			}
		}, n)
		if n != a.usurper {
			a.set(a.usurper, n, cut)
			a.set(n, a.usurper, cut && n != a.voter)
		}
	}
	for _, k := range a.promise {
		w.net.release(k, 0)
	}
	a.next(ambushSprung, a.timeout())
}

// freeze has a process stand still, and its monotonic clock with it, as that of
// a machine that is suspended does.
func (w *group) freeze(n *node, d time.Duration) {
	if n.rep == nil || n.frozen || n.paused > w.now {
		return
	}
	n.frozen, n.frozenAt = true, w.now
	n.paused = w.now + d
	w.mark(MarkFrozen)
	w.printf("member %d and its clock stand still", n.id)
}
