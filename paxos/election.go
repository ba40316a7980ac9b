package paxos

import (
	"slices"
	"time"
)

// election is what a pre-candidate or candidate knows of its votes.
type election struct {
	ballot   Ballot
	handover Ballot // of the leader that asked for this election, or zero
	from     Slot   // first slot of phase 1: the commit index and one
	sync     uint64 // the sync that makes the own promise durable
	resendAt time.Duration
	votes    [MaxReplicas]ballotVote
	adopted  map[Slot]Entry // highest-ballot value reported for a slot
	chosen   map[Slot]Entry // values reported for slots that a voter knows as chosen
}

// ballotVote is one voter's share in an election.
type ballotVote struct {
	granted bool  // the pre-vote is given, or the promise is complete
	next    Slot  // first slot of the page that is waited for
	commit  Slot  // the voter's commit index
	wall    int64 // the voter's wall clock
	life    Life  // of the voter's disk
	vector  Vector
}

func (e *election) count() int {
	n := 0
	for _, v := range e.votes {
		if v.granted {
			n++
		}
	}
	return n
}

// resetElectionTimer puts the next election off by one to two timeouts.
func (c *Core) resetElectionTimer() {
	t := c.cfg.ElectionTimeout
	c.electionAt = c.now + t + time.Duration(c.cfg.Rand.Int64N(int64(t)))
}

// becomeFollower gives up any candidacy or leadership.
func (c *Core) becomeFollower() {
	if c.role == Leader {
		c.failReads()
	}
	c.role = Follower
	c.hasLeader = false
	c.election = election{}
	c.lead = leadership{}
	c.resetElectionTimer()
}

// preVote asks the others whether an election could succeed, so that a replica
// that was away does not depose a leader that they hear.
func (c *Core) preVote() {
	c.becomeFollower()
	c.role = PreCandidate
	c.election.ballot = Ballot{Round: c.maxRound + 1, Replica: c.cfg.ID}
	c.election.votes[c.cfg.ID].granted = true
	if c.election.count() >= c.quorum {
		c.campaign(Ballot{})
		return
	}
	c.peers(func(id ReplicaID) {
		c.send(id, PreVote{Ballot: c.election.ballot, Commit: c.commit})
	})
}

func (c *Core) onPreVote(from ReplicaID, m PreVote) {
	c.NotLeading(from)
	if !c.votes() {
		return
	}
	alive := c.role == Leader || c.hasLeader && c.now-c.heardAt < c.cfg.ElectionTimeout
	c.send(from, PreVoteReply{
		Ballot: m.Ballot,
		// One that lacks slots that this replica can no longer report would
		// have to stand down in phase 1.
		Granted:  !alive && !c.leased() && c.promised.Less(m.Ballot) && m.Commit+1 >= c.window.first,
		Promised: c.promised,
	})
}

func (c *Core) onPreVoteReply(from ReplicaID, m PreVoteReply) {
	c.seen(m.Promised)
	if c.role != PreCandidate || m.Ballot != c.election.ballot || !m.Granted {
		return
	}
	c.election.votes[from].granted = true
	if c.election.count() >= c.quorum {
		c.campaign(Ballot{})
	}
}

// campaign starts phase 1 under a ballot that was never used before. The
// Prepare waits for the sync of the own promise: a proposer that forgot its
// ballot in a crash would use it again, for other values.
func (c *Core) campaign(handover Ballot) {
	c.becomeFollower()
	c.role = Candidate
	b := Ballot{Round: c.maxRound + 1, Replica: c.cfg.ID}
	c.promise(b)
	c.election = election{
		ballot: b, handover: handover, from: c.commit + 1, sync: c.issued + 1,
		resendAt: c.now + c.cfg.Heartbeat,
		adopted:  make(map[Slot]Entry), chosen: make(map[Slot]Entry),
	}
	for i := range c.election.votes {
		c.election.votes[i].next = c.election.from
	}
	c.peers(func(id ReplicaID) { c.sendAfterSync(id, c.prepareFor(id)) })
}

func (c *Core) prepareFor(id ReplicaID) Prepare {
	return Prepare{Ballot: c.election.ballot, From: c.election.votes[id].next, Handover: c.election.handover}
}

// awaitsOwnPromise reports whether this is a candidate whose Prepare has not
// left yet. To begin again with another ballot would only begin the wait again:
// where a sync takes longer than an election timeout there would never be a
// leader.
func (c *Core) awaitsOwnPromise() bool {
	return c.role == Candidate && c.durable < c.election.sync
}

// tickCandidate asks again for the pages that have not come.
func (c *Core) tickCandidate() {
	if c.now < c.election.resendAt || c.awaitsOwnPromise() {
		return
	}
	c.election.resendAt = c.now + c.cfg.Heartbeat
	// Also those that have answered: while the others' pages come they must not take
	// it for a sign that nobody is to be elected.
	c.peers(func(id ReplicaID) { c.send(id, c.prepareFor(id)) })
}

// onPromise takes one page of a voter's answer.
func (c *Core) onPromise(env Envelope, m Promise) {
	c.seen(m.Ballot)
	from := env.From
	v := &c.election.votes[from]
	if c.role != Candidate || m.Ballot != c.election.ballot || v.granted || m.From != v.next {
		return
	}
	if v.life != (Life{}) && v.life.Nonce != env.Life.Nonce {
		// The pages are of two lives of one replica: they are no one's promise.
		*v = ballotVote{next: c.election.from}
		return
	}
	v.life, v.vector = env.Life, env.Vector
	if m.LogStart > m.From {
		// The voter applied and let go of slots that this replica lacks. It is
		// no use to ask the others: what they report for those slots need not
		// be what was chosen.
		c.becomeFollower()
		return
	}
	for _, e := range m.Entries {
		if old, ok := c.election.adopted[e.Slot]; !ok || old.Ballot.Less(e.Ballot) {
			c.election.adopted[e.Slot] = e
		}
		if e.Slot <= m.Commit {
			c.election.chosen[e.Slot] = e
		}
	}
	v.next = m.From + Slot(len(m.Entries))
	v.commit, v.wall = m.Commit, m.Wall
	if m.More {
		// To begin again with another ballot would only begin the pages again, and
		// they are not without end.
		c.resetElectionTimer()
		c.send(from, c.prepareFor(from))
		return
	}
	v.granted = true
	c.countPromises()
}

// countPromises ends phase 1 when a quorum has promised, this replica durably
// among them.
func (c *Core) countPromises() {
	if c.awaitsOwnPromise() {
		return
	}
	c.election.votes[c.cfg.ID] = ballotVote{granted: true, commit: c.commit, wall: c.wall, life: c.life, vector: c.vector}
	if c.election.dead(c.cfg.ID) {
		// This is an old copy. Its ballot may have been used by the life that
		// came after it, so nothing may be proposed under it.
		c.becomeFollower()
		return
	}
	live := 0
	for id, v := range c.election.votes {
		if v.granted && !c.election.dead(ReplicaID(id)) {
			live++
		}
	}
	if live >= c.quorum {
		c.becomeLeader()
	}
}

// dead reports whether any voter knows the life that voted for replica id to be
// over: a promise of a disk that was lost since then binds nobody.
func (e *election) dead(id ReplicaID) bool {
	for _, v := range e.votes {
		if v.granted && v.vector.over(id, e.votes[id].life) {
			return true
		}
	}
	return false
}

// becomeLeader puts under the own ballot, in this order: what a voter knows as
// chosen, the value of the highest ballot in every slot above that, and no-ops
// in the holes. Nothing is proposed at or below the highest commit index of
// the quorum but what was chosen there.
func (c *Core) becomeLeader() {
	el := c.election
	chosenThrough, last := c.commit, c.window.last()
	var walls []int64
	for _, v := range el.votes {
		if v.granted {
			chosenThrough = max(chosenThrough, v.commit)
			walls = append(walls, v.wall)
		}
	}
	last = max(last, chosenThrough)
	for s := range el.adopted {
		last = max(last, s)
	}
	values := make([]Entry, 0, last-c.commit)
	for s := c.commit + 1; s <= last; s++ {
		e, ok := el.adopted[s]
		if s <= chosenThrough {
			if e, ok = el.chosen[s]; !ok {
				c.becomeFollower() // a voter knows it as chosen and did not report it
				return
			}
		} else if own := c.window.get(s); own != nil && (!ok || e.Ballot.Less(own.Ballot)) {
			e = own.Entry
		} else if !ok {
			e = Entry{Slot: s, Kind: KindNoop}
		}
		e.Ballot = el.ballot
		values = append(values, e)
	}

	c.becomeFollower()
	c.role = Leader
	c.leader, c.hasLeader = c.cfg.ID, true
	c.term, c.held = el.ballot, c.commit
	c.lead = leadership{own: c.commit, ownAt: c.now, adopted: last, clock: agreedClock(walls)}
	for id := range c.lead.peers {
		p := &c.lead.peers[id]
		p.next = chosenThrough + 1
		if v := el.votes[id]; v.granted {
			p.next = v.commit + 1
			p.life, p.vector = v.life, v.vector
		}
		p.heardAt, p.votedAt, p.progressAt = c.now, c.now, c.now
	}
	for _, e := range values {
		c.accept(e)
	}
	c.commitTo(chosenThrough)
}

// agreedClock returns the latest time that a majority of the given clocks has
// reached, so that one clock that is ahead moves nothing.
func agreedClock(walls []int64) int64 {
	slices.Sort(walls)
	return walls[(len(walls)-1)/2]
}

// onNack gives up a ballot that a voter has promised not to serve.
func (c *Core) onNack(m Nack) {
	c.seen(m.Promised)
	switch {
	case c.role == Candidate && m.Ballot == c.election.ballot,
		c.role == Leader && m.Ballot == c.term:
		if m.Ballot.Less(m.Promised) {
			c.becomeFollower()
		}
	}
}
