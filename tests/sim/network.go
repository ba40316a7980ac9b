package sim

import (
	"bytes"
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// network carries messages between members, encoded, as frames do.
type network struct {
	w    *group
	dice dice
	cut  [paxos.MaxReplicas][paxos.MaxReplicas]bool          // nothing goes from, to
	last [paxos.MaxReplicas][paxos.MaxReplicas]time.Duration // newest delivery of an ordered link
	trap [paxos.MaxReplicas][paxos.MaxReplicas]bool          // an ambush has cut the link
	kept [paxos.MaxReplicas][]keptMessage                    // by sender: what the adversary has put by

	scratch []byte // for the encoding of a message
}

// send sends messages, which all have the same sender.
func (n *network) send(messages []paxos.Envelope) {
	for _, e := range messages {
		n.w.check.sent(e)
		n.sendOne(e)
	}
}

func (n *network) sendOne(e paxos.Envelope) {
	w := n.w
	n.scratch = paxos.AppendEnvelope(n.scratch[:0], e)
	frame := bytes.Clone(n.scratch)
	w.trace.note(w.now, noteSend, uint64(e.From)<<8|uint64(e.To), fingerprint(frame))
	if w.verbose() {
		w.printf("member %d to %d: %s", e.From, e.To, describeMessage(e.Message))
	}
	if _, ok := e.Message.(paxos.Started); w.nodes[e.From].disk.fork && !ok {
		w.printf("  lost, of an old copy")
		return
	}
	copies := 1
	if !w.calm {
		if n.keep(e, frame) {
			return
		}
		if n.cut[e.From][e.To] || n.trap[e.From][e.To] || n.dice.chance(w.plan.loss) {
			w.printf("  lost")
			w.mark(MarkMessageLost)
			n.lost(e.From, e.To)
			return
		}
		if n.dice.chance(w.plan.double) {
			copies = 2
			w.mark(MarkMessageDoubled)
		}
	}
	sent := w.now
	for range copies {
		at := w.now + n.delay()
		if w.plan.ordered {
			last := &n.last[e.From][e.To]
			at = max(at, *last)
			*last = at
		}
		w.after(at-w.now, func() {
			// What comes later than that, from before the calm, does not come.
			if !w.calm || sent >= w.calmAt || w.now <= w.calmAt+maxLate {
				n.deliver(e.From, e.To, frame)
			}
		})
		if paxos.Bulk(e.Message) && n.dice.chance(0.5) {
			// The first bytes of a large message are there before the last.
			w.after((at-w.now)/2, func() {
				if to := w.nodes[e.To]; !n.cut[e.From][e.To] && !n.trap[e.From][e.To] {
					to.put(func(r *replica.Replica) { r.Heard(e.From) })
				}
			})
		}
	}
}

func (n *network) delay() time.Duration {
	w := n.w
	t := n.dice.between(w.plan.delay/4, 2*w.plan.delay)
	if !w.calm && n.dice.chance(w.plan.tail) {
		t += n.dice.around(w.plan.late)
		w.mark(MarkMessageLate)
	}
	return t
}

// clientDelay is the way of a message between a client and a member.
func (n *network) clientDelay() time.Duration {
	return n.dice.between(n.w.plan.delay/4, 2*n.w.plan.delay)
}

// lost tells a sender, sometimes, that a message may not have arrived.
func (n *network) lost(from, to paxos.ReplicaID) {
	if n.dice.chance(n.w.plan.lostSig) {
		sender := n.w.nodes[from]
		sender.later(n.dice.between(0, 10*time.Millisecond), func() {
			sender.put(func(r *replica.Replica) { r.Lost(to) })
		})
	}
}

func (n *network) deliver(from, to paxos.ReplicaID, frame []byte) {
	w := n.w
	node := w.nodes[to]
	if node.rep == nil || (n.cut[from][to] || n.trap[from][to]) && !w.calm {
		w.mark(MarkMessageLost)
		n.lost(from, to)
		return
	}
	e, err := paxos.DecodeEnvelope(frame)
	if err != nil {
		w.fail("message of member %d to %d: %v", from, to, err)
		return
	}
	w.trace.note(w.now, noteDeliver, uint64(from)<<8|uint64(to), fingerprint(frame))
	w.check.delivered(e)
	node.put(func(r *replica.Replica) { r.Receive(e) })
}

// calm lets nothing wait behind messages that do not come any more.
func (n *network) calm() {
	for from := range n.last {
		for to := range n.last[from] {
			n.last[from][to] = min(n.last[from][to], n.w.calmAt+maxLate)
		}
	}
}

// heal mends every link.
func (n *network) heal() { n.cut = [paxos.MaxReplicas][paxos.MaxReplicas]bool{} }

// isolate cuts a member off.
func (n *network) isolate(id paxos.ReplicaID) {
	for o := range n.cut {
		n.cut[id][o], n.cut[o][id] = true, true
	}
}

// split parts the members that are in set from the others.
func (n *network) split(set uint) {
	for a := range n.cut {
		for b := range n.cut {
			if set>>a&1 != set>>b&1 {
				n.cut[a][b] = true
			}
		}
	}
}
