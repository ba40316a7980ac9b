package paxos

import (
	"fmt"

	"diskv/internal/wire"
)

// Rejoin is the value of an entry of KindRejoin: replica Replica lives on with
// another disk, whose name is Life.
type Rejoin struct {
	Replica ReplicaID
	Life    Life
}

// encodeRejoin returns replica u8 | epoch u64 | nonce u64.
func encodeRejoin(r Rejoin) []byte { return appendLife([]byte{byte(r.Replica)}, r.Life) }

// DecodeRejoin reads the value of an entry of KindRejoin.
func DecodeRejoin(value []byte) (Rejoin, error) {
	r := wire.NewReader(value)
	j := Rejoin{Replica: readReplica(r), Life: readLife(r)}
	if r.Err() == nil && (j.Life.Nonce == 0 || j.Life.Epoch == 0) {
		r.Fail(fmt.Errorf("%w: rejoin with life %v", wire.ErrBadValue, j.Life))
	}
	if err := r.Close(); err != nil {
		return Rejoin{}, fmt.Errorf("rejoin: %w", err)
	}
	return j, nil
}

// votes reports whether this replica takes part in decisions. One that lost its
// disk may have voted on anything, so it votes on nothing until a majority of
// the group, without it, has chosen to let it back.
func (c *Core) votes() bool { return !c.recovering && c.lost == "" }

// takeRejoin takes the life that an accepted entry names, in the same sync as
// the entry. To take it only when it is applied would be too late: a quorum
// that holds the entry must not count the votes of the life before.
func (c *Core) takeRejoin(e Entry) error {
	if e.Kind != KindRejoin {
		return nil
	}
	j, err := DecodeRejoin(e.Value)
	if err != nil {
		return err
	}
	c.takeLife(j.Replica, j.Life)
	return nil
}

// takeLife takes a life into the vector, unless a later one is known. At an
// equal epoch the later accept replaces the nonce.
func (c *Core) takeLife(id ReplicaID, l Life) {
	if l.Epoch < c.vector[id].Epoch || l == c.vector[id] || l.Nonce == 0 {
		return
	}
	c.vector[id] = l
	c.stateDirty = true
	if l.Epoch == 0 {
		c.applyLife(id, l) // of the genesis
	}
	if id == c.cfg.ID && l.Nonce == c.life.Nonce && !c.recovering {
		c.life.Epoch = max(c.life.Epoch, l.Epoch)
	}
	c.discardDead()
}

// noteOwnLife adopts a higher epoch of this replica's own life, which others
// know when a request to rejoin was carried out twice.
func (c *Core) noteOwnLife(v Vector) {
	own := v[c.cfg.ID]
	if !c.recovering && own.Nonce == c.life.Nonce && own.Epoch > c.life.Epoch {
		c.life.Epoch = own.Epoch
		c.takeLife(c.cfg.ID, own)
	}
}

// applyRejoin notes the life that a chosen entry names.
func (c *Core) applyRejoin(e Entry) {
	j, err := DecodeRejoin(e.Value)
	if err != nil {
		c.invariant("slot %d: %v", e.Slot, err) // it was decoded when it was accepted
	}
	c.applyLife(j.Replica, j.Life)
}

func (c *Core) applyLife(id ReplicaID, l Life) {
	if l.Epoch < c.lives[id].Epoch || l.Nonce == 0 {
		return
	}
	c.lives[id] = l
	if id == c.cfg.ID {
		c.noteSuccessor(l)
	}
}

// noteSuccessor takes note of a chosen life of this replica. If it is a later
// one, this process runs on an old copy of its disk, and votes no more.
func (c *Core) noteSuccessor(l Life) {
	if l.Epoch > c.life.Epoch && l.Nonce != c.life.Nonce {
		c.LoseDisk(fmt.Sprintf("the group has let this member back with another disk: %v, and this one is %v; it is an old copy", l, c.life))
	}
}

// LoseDisk says why this replica's disk is not the one that it last voted with.
// It votes no more, and Ready.Lost says so.
func (c *Core) LoseDisk(why string) {
	if c.lost != "" || c.recovering {
		return
	}
	c.lost, c.out.Lost = why, why
	if c.role != Follower {
		c.becomeFollower()
	}
}

// deadAt reports whether this leader, or a member whose votes it holds, knows
// that a life of replica id is over.
func (c *Core) deadAt(id ReplicaID, l Life) bool {
	if c.vector.over(id, l) {
		return true
	}
	for i := range c.lead.peers {
		if c.lead.peers[i].vector.over(id, l) {
			return true
		}
	}
	return false
}

// countable takes note of whose vote a message to a leader is, and reports
// whether it counts. A vote of a new life takes the place of what is held of
// the old one.
func (c *Core) countable(env Envelope) bool {
	p := &c.lead.peers[env.From]
	if p.life.Nonce != env.Life.Nonce && env.Life.Epoch < p.life.Epoch || c.deadAt(env.From, env.Life) {
		c.sendNotice(env.From) // an old copy of a disk does not know that it is one
		return false
	}
	if p.life.Nonce != env.Life.Nonce {
		p.forget()
	}
	p.life = env.Life
	for id, l := range env.Vector {
		if l.Epoch >= p.vector[id].Epoch {
			p.vector[id] = l
		}
	}
	c.discardDead()
	if c.role != Leader || c.deadAt(env.From, env.Life) {
		return false
	}
	p.learner = false
	p.heardAt, p.votedAt = c.now, c.now
	return true
}

// forget drops the votes of a life that is over.
func (p *progress) forget() {
	p.match, p.ackRound, p.held = 0, 0, 0
}

// discardDead drops the votes that a leader holds of lives that are over. If its
// own is, it does not lead.
func (c *Core) discardDead() {
	if c.role != Leader {
		return
	}
	if c.deadAt(c.cfg.ID, c.life) {
		c.becomeFollower()
		return
	}
	for id := range c.cfg.Size {
		if p := &c.lead.peers[id]; p.match+Slot(p.ackRound) > 0 && c.deadAt(ReplicaID(id), p.life) {
			p.forget()
		}
	}
}

// sendProgress tells the leader what this replica, which recovers, holds. It is
// no vote and speaks of nothing that must be durable.
func (c *Core) sendProgress(to ReplicaID, gap bool) {
	c.send(to, Progress{Ballot: c.term, Held: c.held, Gap: gap})
}

// learned is the end of a message from the leader at a replica that recovers.
func (c *Core) learned(leader ReplicaID) {
	if c.lost != "" {
		return
	}
	c.sendProgress(leader, false)
	c.emitCommitted()
	if c.readmitted.Nonce != 0 || c.lives[c.cfg.ID].Nonce != c.life.Nonce {
		return
	}
	// Everything up to a chosen Rejoin of this life is applied, so it is
	// durable here. What this replica voted on before is at or below that slot,
	// which is chosen, or under ballots at or below the one of the leader that
	// shows it as chosen; follow has promised that one.
	l := c.lives[c.cfg.ID]
	c.vector[c.cfg.ID] = l
	c.readmitted, c.stateDirty = l, true
	c.out.Readmitted = &l
}

// Readmit says that the life of a Readmitted is in IDENTITY, after its hard
// state was durable. From now on this replica votes, and speaks with the epoch of
// that: what it sent before can be told from its votes.
func (c *Core) Readmit() {
	c.life = c.readmitted
	c.recovering, c.readmitted = false, Life{}
	c.resetElectionTimer()
}

// Recovering reports whether this replica lost its disk and has not been let
// back.
func (c *Core) Recovering() bool { return c.recovering }

// Lives returns the newest chosen life of every member.
func (c *Core) Lives() Vector { return c.lives }

// onProgress keeps a member that recovers up to date, and tells it what it
// needs to know to ask for its vote back.
func (c *Core) onProgress(env Envelope, m Progress) {
	if c.role != Leader || m.Ballot != c.term {
		return
	}
	p := &c.lead.peers[env.From]
	if p.life.Nonce == env.Life.Nonce && env.Life.Epoch < p.life.Epoch {
		return // it votes again, and this comes late
	}
	if !p.learner || p.life.Nonce != env.Life.Nonce {
		p.forget()
		p.learner, p.life, p.backoff, p.paid = true, env.Life, 0, 0
		p.rewind(min(m.Held, c.held) + 1)
	}
	p.heardAt = c.now
	for len(p.inflight) > 0 && p.inflight[0].through <= m.Held {
		p.inflightBytes -= p.inflight[0].bytes
		p.inflight = p.inflight[1:]
	}
	c.resend(p, m.Held, m.Gap)
	if c.lives[env.From].Nonce != env.Life.Nonce {
		c.sendNotice(env.From)
	}
}

func (c *Core) sendNotice(to ReplicaID) {
	c.send(to, RejoinNotice{Ballot: c.term, Epoch: c.vector[to].Epoch, Chosen: c.lives[to]})
}

// onRejoinNotice asks the leader to let this replica back, or learns that it
// runs on an old copy.
func (c *Core) onRejoinNotice(from ReplicaID, m RejoinNotice) {
	c.noteSuccessor(m.Chosen)
	if c.recovering && c.hasLeader && c.leader == from && m.Ballot == c.term {
		c.send(from, RejoinRequest{Ballot: m.Ballot, Prev: m.Epoch})
	}
}

// onRejoinRequest proposes to let a replica back. The entry is chosen by a
// majority of the whole group, and the replica that asks is not in it.
func (c *Core) onRejoinRequest(env Envelope, m RejoinRequest) {
	if c.role != Leader || m.Ballot != c.term || c.commit < c.lead.adopted || c.lead.handover.asked {
		return
	}
	next := Rejoin{Replica: env.From, Life: Life{Epoch: m.Prev + 1, Nonce: env.Life.Nonce}}
	known := c.vector[env.From]
	switch {
	case known.Nonce == env.Life.Nonce:
		next.Life = known
		if c.holdsRejoin(next) {
			return
		}
	case known.Epoch != m.Prev:
		return // a copy that comes late
	}
	c.accept(Entry{Slot: c.held + 1, Ballot: c.term, Kind: KindRejoin, Value: encodeRejoin(next)})
}

// holdsRejoin reports whether a Rejoin is applied, or in the log above that.
func (c *Core) holdsRejoin(j Rejoin) bool {
	if c.lives[j.Replica] == j.Life {
		return true
	}
	for s := c.applied + 1; s <= c.held; s++ {
		if e := c.window.get(s); e.Kind == KindRejoin {
			if have, err := DecodeRejoin(e.Value); err == nil && have == j {
				return true
			}
		}
	}
	return false
}

// AcceptAll counts, while the log is being restored, every accepted entry as
// chosen, and hands out those that were not applied. It is for a new group that
// begins with what one survivor of an old one holds: nothing else may use it.
func (c *Core) AcceptAll() []Entry {
	c.commit = c.window.last()
	c.held = c.commit
	return c.TakeCommitted()
}
