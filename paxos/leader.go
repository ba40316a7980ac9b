package paxos

import (
	"slices"
	"time"
)

// leadership is what a leader knows besides what every replica knows.
type leadership struct {
	own     Slot          // durable in the leader's own log, under its ballot
	ownAt   time.Duration // when own was last not behind the commit index, or grew
	adopted Slot          // highest slot taken over in phase 1
	clock   int64
	peers   [MaxReplicas]progress

	proposedAt  time.Duration // when a value was last proposed
	heartbeatAt time.Duration
	round       uint64 // newest round of confirmations
	confirmed   uint64 // newest round that a quorum has confirmed
	rounds      []roundStart
	reads       []read
	readRounds  [2]uint64 // the rounds of the last two groups of reads

	leaseUntil time.Duration
	noLease    bool // a hand-over was asked for: no lease in this term any more
	handover   handover
}

// roundStart is when a round was sent.
type roundStart struct {
	round uint64
	at    time.Duration
}

// progress is what a leader knows of one member.
type progress struct {
	match Slot // Accepted through here
	next  Slot // first slot to send

	inflight      []span // sent and not accepted yet, in slot order
	inflightBytes int

	heardAt    time.Duration // last answer
	ackRound   uint64        // newest round confirmed
	sentRound  uint64        // newest round sent
	held       Slot          // as the member last said
	progressAt time.Duration // when held last grew, or sending went back
	backoff    time.Duration // wait before sending goes back once more

	snapshot bool // it needs, or gets, a snapshot: no entries meanwhile

	life    Life          // of the disk that match and ackRound are of
	vector  Vector        // the newest that came with its votes
	learner bool          // it recovers: it gets chosen entries only
	paid    time.Duration // until when what it was sent takes up its rate; see paced
	votedAt time.Duration // last answer that was a vote
}

// span is a run of entries that was sent.
type span struct {
	through Slot
	bytes   int
}

// Propose puts a value into the next slot. It reports false, and does nothing,
// if this replica is not a leader that takes proposals. The value must not
// change afterwards.
func (c *Core) Propose(k Kind, value []byte) (Slot, bool) {
	if c.role != Leader || c.lead.handover.asked {
		return 0, false
	}
	e := Entry{Slot: c.held + 1, Ballot: c.term, Kind: k, Value: value}
	c.accept(e)
	c.lead.proposedAt = c.now
	for i := range c.lead.peers {
		p := &c.lead.peers[i]
		p.paid = c.paidSince(p) - c.catchUpTime(e.cost()) // or it would never catch up with much
	}
	c.check()
	return c.held, true
}

// Unsynced returns how many slots of a leader are not durable in its own log.
func (c *Core) Unsynced() int {
	if c.role != Leader {
		return 0
	}
	return int(c.held - c.lead.own)
}

// LeaderClock returns, on a leader, the latest wall-clock time that a majority
// of the quorum that elected it had reached then, in ns since the Unix epoch.
func (c *Core) LeaderClock() int64 { return c.lead.clock }

// Match returns the slot up to which member id has accepted, as a leader knows
// it, and when the member last answered.
func (c *Core) Match(id ReplicaID) (Slot, time.Duration) {
	if id == c.cfg.ID {
		return c.lead.own, c.now
	}
	return c.lead.peers[id].match, c.lead.peers[id].heardAt
}

// advanceOwn counts the leader's own vote for what its own log has synced.
func (c *Core) advanceOwn() {
	for c.lead.own < c.held && c.window.get(c.lead.own+1).sync <= c.durable {
		c.lead.own++
		c.lead.ownAt = c.now
	}
	c.advanceCommit()
}

// advanceCommit raises the commit index to what a quorum holds.
func (c *Core) advanceCommit() {
	var match [MaxReplicas]Slot
	for id := range c.cfg.Size {
		match[id] = c.lead.peers[id].match
	}
	match[c.cfg.ID] = c.lead.own
	m := match[:c.cfg.Size]
	slices.Sort(m)
	c.commitTo(m[len(m)-c.quorum])
}

func (c *Core) onAccepted(env Envelope, m Accepted) {
	from := env.From
	if c.role != Leader || m.Ballot != c.term || !c.countable(env) {
		return
	}
	if m.Through > c.held {
		c.invariant("replica %d accepted slot %d under %v, which was proposed up to %d", from, m.Through, m.Ballot, c.held)
	}
	p := &c.lead.peers[from]
	c.progressed(p, m.Through)
	p.match = max(p.match, m.Through)
	// What was sent once more may lie below match already.
	for len(p.inflight) > 0 && p.inflight[0].through <= p.match {
		p.inflightBytes -= p.inflight[0].bytes
		p.inflight = p.inflight[1:]
	}
	c.advanceCommit()
}

// progressed notes that a member holds everything up to slot held.
func (c *Core) progressed(p *progress, held Slot) {
	p.next = max(p.next, held+1)
	if held > p.held {
		p.held, p.progressAt, p.backoff = held, c.now, 0
	}
	if held+1 >= c.logStart {
		p.snapshot = false
	}
}

func (c *Core) onHeartbeatAck(env Envelope, m HeartbeatAck) {
	if c.role != Leader || m.Ballot != c.term || !c.countable(env) {
		return
	}
	p := &c.lead.peers[env.From]
	if m.Round > p.ackRound && m.Round <= c.lead.round {
		p.ackRound = m.Round
		c.confirmRounds()
	}
	c.resend(p, m.Held, m.Gap)
}

// resend notes what a member holds, and goes back where something was lost.
func (c *Core) resend(p *progress, held Slot, gap bool) {
	c.progressed(p, min(held, c.held))
	// Streams are ordered but break, and small messages overtake large ones:
	// only a gap, or no progress for a while, says that something was lost.
	if held+1 >= p.next {
		return
	}
	wait := max(p.backoff, 4*c.cfg.Heartbeat)
	if gap && p.backoff == 0 {
		wait = 0
	}
	if c.now-p.progressAt >= wait {
		p.backoff = min(max(2*p.backoff, 4*c.cfg.Heartbeat), maxResendBackoff)
		p.progressAt = c.now
		p.held = held // less than before, if it was restarted: what comes now is progress
		p.rewind(held + 1)
	}
}

// maxResendBackoff bounds the time between two attempts to send the same
// entries to a member that answers and does not get on.
const maxResendBackoff = 5 * time.Second

// rewind goes back to slot next, because what was sent from there on is lost.
func (p *progress) rewind(next Slot) {
	p.next = next
	p.inflight, p.inflightBytes = nil, 0
}

// Lost says that messages to a member may have been lost.
func (c *Core) Lost(to ReplicaID) {
	if c.page.ballot.Replica == to {
		c.page = largePage{}
	}
	if c.role != Leader || to == c.cfg.ID {
		return
	}
	p := &c.lead.peers[to]
	p.rewind(min(p.next, max(p.match, p.held)+1))
}

// SnapshotInstalled says that a member's state is of slot s at least, because it
// has installed a snapshot of that slot or was past it.
func (c *Core) SnapshotInstalled(id ReplicaID, s Slot) {
	if c.role == Leader {
		c.progressed(&c.lead.peers[id], min(s, c.held))
	}
}

// SnapshotEnded says that the transfer of a snapshot to a member has ended,
// well or not. Entries are sent to it again.
func (c *Core) SnapshotEnded(to ReplicaID) { c.lead.peers[to].snapshot = false }

// LogRead answers the [LogRead] for a member with entries, consecutive from the
// slot that was asked for; none if the log no longer holds them. Those above
// LogRead.Through are not used.
func (c *Core) LogRead(to ReplicaID, entries []Entry) {
	asked := c.reading[to]
	c.reading[to] = LogRead{}
	for len(entries) > 0 && entries[len(entries)-1].Slot > asked.Through {
		entries = entries[:len(entries)-1]
	}
	p := &c.lead.peers[to]
	if c.role != Leader || len(entries) == 0 || entries[0].Slot != p.next || p.snapshot {
		return
	}
	c.sendAccept(to, p, entries)
}

// tickLeader keeps the leadership alive, or gives it up when no quorum answers.
func (c *Core) tickLeader() {
	heard := 1
	c.peers(func(id ReplicaID) {
		if c.now-c.lead.peers[id].votedAt < 2*c.cfg.ElectionTimeout {
			heard++
		}
	})
	if heard < c.quorum {
		c.becomeFollower()
		return
	}
	if c.lead.own >= c.commit {
		c.lead.ownAt = c.now
	}
	if c.now-c.lead.ownAt >= maxStall*c.cfg.ElectionTimeout && !c.lead.handover.asked {
		// The others go on without this disk, but nobody is answered before it
		// has synced.
		c.HandOver()
	}
	c.tickHandover()
	if c.now >= c.lead.heartbeatAt {
		c.lead.heartbeatAt = c.now + c.cfg.Heartbeat
		c.startRound()
	}
}

// flush sends every member what it lacks, and the newest round of
// confirmations with it or by itself.
func (c *Core) flush() {
	if len(c.lead.rounds) == 0 && c.lead.round == 0 {
		c.startRound() // the first sign of a new leader
	}
	c.assignReads()
	c.peers(func(id ReplicaID) {
		p := &c.lead.peers[id]
		c.sendEntries(id, p)
		if p.sentRound < c.lead.round {
			p.sentRound = c.lead.round
			c.send(id, Heartbeat{Ballot: c.term, Commit: c.commit, Round: c.lead.round})
		}
	})
}

// learnerMessages bounds, in full messages, what is on its way to a member that
// recovers.
const learnerMessages = 2

// paced reports whether a member that recovers has been sent enough for now.
func (c *Core) paced(p *progress) bool { return c.proposing() && p.paid >= c.now }

// proposing reports whether there are proposals that a member that recovers could
// be in the way of.
func (c *Core) proposing() bool { return c.now-c.lead.proposedAt < proposingTime }

const proposingTime = 100 * time.Millisecond

// paidSince returns p.paid, without more than a few messages of what was not used.
func (c *Core) paidSince(p *progress) time.Duration {
	return max(p.paid, c.now-c.catchUpTime(learnerMessages*c.cfg.MessageBytes))
}

// catchUpTime returns how long bytes take at the rate at which a member that
// recovers is sent what it lacks.
func (c *Core) catchUpTime(bytes int) time.Duration {
	return time.Duration(bytes) * time.Second / time.Duration(c.cfg.CatchUpBytes)
}

// maxStall is how many election timeouts a leader's own disk may be behind the
// commit index, without a single sync, before another member is to lead.
const maxStall = 3

func (c *Core) sendEntries(id ReplicaID, p *progress) {
	end, room := c.held, c.cfg.InflightBytes
	if p.learner {
		// It decides nothing, so it must not be in the way of those that do: its
		// syncs and theirs may share a disk.
		end, room = c.commit, min(room, learnerMessages*c.cfg.MessageBytes)
		if c.paced(p) {
			return
		}
	}
	for p.next <= end && p.inflightBytes < room && c.reading[id].From == 0 && !p.snapshot {
		switch {
		case p.next >= c.window.first:
			c.sendAccept(id, p, c.window.slice(p.next, end, c.cfg.MessageBytes))
		case p.next >= c.logStart:
			// What is not in memory any more was applied, so it is chosen, and the
			// log holds it in its last form.
			c.reading[id] = LogRead{For: id, From: p.next, Through: c.window.first - 1, Limit: c.cfg.MessageBytes}
			c.out.LogReads = append(c.out.LogReads, c.reading[id])
		default:
			p.snapshot = true
			c.out.NeedSnapshot = append(c.out.NeedSnapshot, id)
		}
	}
}

// sendAccept proposes entries, whatever ballot they were chosen under, to a
// member under the leader's own ballot.
func (c *Core) sendAccept(id ReplicaID, p *progress, entries []Entry) {
	bytes := 0
	for i := range entries {
		entries[i].Ballot = c.term
		bytes += entries[i].cost()
	}
	if p.inflightBytes == 0 {
		p.progressAt = c.now
	}
	last := entries[len(entries)-1].Slot
	p.next = last + 1
	p.inflight = append(p.inflight, span{through: last, bytes: bytes})
	p.inflightBytes += bytes
	if p.learner && c.proposing() {
		p.paid = c.paidSince(p) + c.catchUpTime(bytes)
	}
	p.sentRound = c.lead.round
	c.send(id, Accept{
		Ballot: c.term, Commit: c.commit, Round: c.lead.round,
		First: entries[0].Slot, Entries: entries,
	})
}

// handover is a leader's attempt to have another member lead.
type handover struct {
	asked  bool
	to     ReplicaID
	until  time.Duration // then it is given up
	sendAt time.Duration
}

// HandOver makes the member that has accepted most the leader, if one answers.
// Until that has happened or failed this replica takes no proposals.
func (c *Core) HandOver() bool {
	if c.role != Leader || c.cfg.Size == 1 {
		return false
	}
	best, found := ReplicaID(0), false
	c.peers(func(id ReplicaID) {
		p := &c.lead.peers[id]
		if c.now-p.votedAt < c.cfg.ElectionTimeout && (!found || c.lead.peers[best].match < p.match) {
			best, found = id, true
		}
	})
	if !found {
		return false
	}
	// A hand-over may be acted on late, and the voters let it pass by the
	// lease: this term must never use one again.
	c.lead.noLease, c.lead.leaseUntil = true, 0
	c.lead.handover = handover{asked: true, to: best, until: c.now + 2*c.cfg.ElectionTimeout, sendAt: c.now}
	c.tickHandover()
	return true
}

func (c *Core) tickHandover() {
	h := &c.lead.handover
	if !h.asked {
		return
	}
	if c.now >= h.until {
		h.asked = false
		return
	}
	if c.now >= h.sendAt && c.lead.peers[h.to].match == c.held {
		h.sendAt = c.now + c.cfg.Heartbeat
		c.send(h.to, Handover{Ballot: c.term})
	}
}

func (c *Core) onHandover(from ReplicaID, m Handover) {
	if c.votes() && c.role == Follower && c.hasLeader && c.leader == from && m.Ballot == c.term && c.promised == c.term {
		c.campaign(m.Ballot)
	}
}
