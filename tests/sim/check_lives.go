package sim

import (
	"diskv/paxos"
	"diskv/replica"
)

// livesFacts is what is known of the lives of the members' disks. The group is
// held to this:
//
//   - who has lost its disk gives no vote until its IDENTITY says that it may
//   - it may when it has applied a chosen Rejoin of its life, and then has durably
//     promised a ballot under which that was chosen, or a higher one
//   - the epochs of chosen lives rise from slot to slot
type livesFacts struct {
	named  map[uint64]paxos.Rejoin // by value
	chosen [paxos.MaxReplicas][]chosenLife
}

// chosenLife is a Rejoin in a slot up to which everything is chosen.
type chosenLife struct {
	slot paxos.Slot
	life paxos.Life
}

// newest returns the newest chosen life of a member. It is zero before its first
// Rejoin.
func (l *livesFacts) newest(id paxos.ReplicaID) paxos.Life {
	if c := l.chosen[id]; len(c) > 0 {
		return c[len(c)-1].life
	}
	return paxos.Life{}
}

// rejoin notes a Rejoin that a disk has.
func (c *checker) rejoin(n *node, e paxos.Entry) {
	r, err := paxos.DecodeRejoin(e.Value)
	if err != nil {
		c.w.fail("member %d: slot %d: %v", n.id, e.Slot, err)
		return
	}
	c.lives.named[valueOf(e)] = r
	c.w.ambush.held(n, e.Slot, r)
}

// chosenThrough is told that everything up to a slot is chosen.
func (c *checker) chosenThrough(s paxos.Slot) {
	r, ok := c.lives.named[c.slot(s).value]
	if !ok {
		return
	}
	c.w.mark(MarkRejoinChosen)
	old := c.lives.newest(r.Replica)
	if r.Life != old && r.Life.Epoch <= old.Epoch {
		c.w.fail("slot %d lets member %d back as %v, though it was let back as %v before", s, r.Replica, r.Life, old)
	}
	c.lives.chosen[r.Replica] = append(c.lives.chosen[r.Replica], chosenLife{slot: s, life: r.Life})
}

// names reports whether the hard state of a snapshot has the life of a member's
// disk, so that the member is let back by it.
func (c *checker) names(state []byte, n *node) bool {
	h, err := paxos.DecodeHardState(state)
	return err == nil && h.Vector[n.id].Nonce == n.disk.id.Life.Nonce
}

// letBack is told that a member's IDENTITY says that it votes again.
func (c *checker) letBack(n *node) {
	m := &c.members[n.id]
	for _, l := range c.lives.chosen[n.id] {
		if l.life != n.disk.id.Life {
			continue
		}
		if m.applied < l.slot {
			c.w.fail("member %d votes again and has applied slot %d, what lets it back is slot %d", n.id, m.applied, l.slot)
		}
		if b := c.slot(l.slot).ballot; m.promised.Less(b) {
			c.w.fail("member %d votes again and has promised ballot %v, what lets it back was chosen under %v", n.id, m.promised, b)
		}
		return
	}
	c.w.fail("member %d votes again as %v, which was never chosen", n.id, n.disk.id.Life)
}

// lived checks that a message is of the life of its sender's disk, and that one
// who has lost its disk gives no vote.
func (c *checker) lived(e paxos.Envelope) {
	id := c.w.nodes[e.From].disk.id
	if e.Life.Nonce != id.Life.Nonce {
		c.w.fail("member %d sends a %T as %v, its disk is %v", e.From, e.Message, e.Life, id.Life)
	}
	if id.Phase == replica.PhaseMember {
		return
	}
	switch e.Message.(type) {
	case paxos.PreVote, paxos.PreVoteReply, paxos.Prepare, paxos.Promise, paxos.Accept, paxos.Accepted,
		paxos.Heartbeat, paxos.HeartbeatAck, paxos.Handover, paxos.SnapshotChunk:
		c.w.fail("member %d has lost its disk and sends a %T", e.From, e.Message)
	}
}

// counts reports whether what a member's disk accepts is a vote. An old copy is
// of a life that is over, and what a member takes while it recovers is chosen.
func (c *checker) counts(n *node) bool { return n.intact() }

// replaced is told that a member's disk holds something else.
func (c *checker) replaced(n *node) { c.members[n.id] = memberFacts{} }

// haunted marks messages of lives that are over, where they could do harm.
func (c *checker) haunted(e paxos.Envelope) {
	from := c.w.nodes[e.From]
	dead := e.Life.Nonce != from.disk.id.Life.Nonce || from.disk.stale
	var ballot paxos.Ballot
	mark := MarkDeadVote
	switch m := e.Message.(type) {
	case paxos.Promise:
		ballot, mark = m.Ballot, MarkDeadPromise
	case paxos.Accepted:
		ballot = m.Ballot
	case paxos.HeartbeatAck:
		ballot = m.Ballot
	case paxos.RejoinRequest:
		ballot, mark = m.Ballot, MarkLateRequest
		// A leader of this ballot knows every life that is chosen.
		dead = m.Prev < c.lives.newest(e.From).Epoch
	default:
		return
	}
	if !dead {
		return
	}
	st := c.w.nodes[e.To].rep.Status()
	if st.Ballot == ballot && (st.Role == "leader" || st.Role == "candidate") {
		c.w.mark(mark)
	}
}

// notedStarts is what a member has said that it durably remembers of the starts of
// the others' disks. While its disk is intact it remembers that.
type notedStarts [paxos.MaxReplicas]notedStart

type notedStart struct{ nonce, boot uint64 }

// remembers reports whether a member knows that a disk with an identity, when it
// is started next, has been started as often before.
func (c *checker) remembers(o *node, id replica.Identity) bool {
	noted := c.members[o.id].noted[id.Index]
	return noted.nonce == id.Life.Nonce && noted.boot > id.Boot
}
