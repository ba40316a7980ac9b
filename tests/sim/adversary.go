package sim

import (
	"time"

	"diskv/paxos"
)

// keptMessage is a message that the adversary has put by, to deliver it when its
// sender has forgotten that it sent it.
type keptMessage struct {
	from, to paxos.ReplicaID
	life     paxos.Life
	frame    []byte
}

// maxKept bounds what the adversary has of one sender.
const maxKept = 60

// haunting reports whether a message of a life that is over can do harm.
func haunting(m paxos.Message) bool {
	switch m.(type) {
	case paxos.Promise, paxos.Accepted, paxos.HeartbeatAck, paxos.PreVoteReply,
		paxos.RejoinRequest, paxos.FormHello, paxos.Progress, paxos.SnapshotAck:
		return true
	}
	return false
}

// keep may put a message by, and reports whether it is held back: else a copy
// was made and it goes its way.
func (n *network) keep(e paxos.Envelope, frame []byte) bool {
	if n.w.ambush.keeps(e, frame) {
		return true
	}
	if !haunting(e.Message) || !n.dice.chance(n.w.plan.hoard) {
		return false
	}
	k := append(n.kept[e.From], keptMessage{from: e.From, to: e.To, life: e.Life, frame: frame})
	n.kept[e.From] = k[max(0, len(k)-maxKept):]
	if n.dice.chance(0.5) {
		return false
	}
	n.w.mark(MarkHeldBack)
	return true
}

// ghosts is told that a member loses its disk. Some of what was put by arrives
// in the time that it takes to recover.
func (n *network) ghosts(of *node) { n.let(of.id, 0.3, 4*n.w.plan.replica.ElectionTimeout) }

// haunt is told that a member is let back. What was put by of its earlier lives
// arrives then, and around the next elections.
func (n *network) haunt(of *node) { n.let(of.id, 0.9, 8*n.w.plan.replica.ElectionTimeout) }

// let lets go of messages of a member, each with a probability, within a time.
func (n *network) let(of paxos.ReplicaID, p float64, within time.Duration) {
	left := n.kept[of][:0]
	for _, k := range n.kept[of] {
		if !n.dice.chance(p) {
			left = append(left, k)
			continue
		}
		n.release(k, n.dice.between(0, within))
	}
	n.kept[of] = left
}

// release delivers a message that was held back, some time from now.
func (n *network) release(k keptMessage, d time.Duration) {
	n.w.after(d, func() {
		if !n.w.calm || n.w.now <= n.w.calmAt+maxLate {
			n.deliver(k.from, k.to, k.frame)
		}
	})
}
