package paxos

import (
	"bytes"
	"time"
)

// onPrepare is phase 1 at an acceptor.
func (c *Core) onPrepare(from ReplicaID, m Prepare) {
	c.seen(m.Ballot)
	if !c.votes() {
		return
	}
	if m.Ballot.Less(c.promised) {
		c.send(from, Nack{Ballot: m.Ballot, Promised: c.promised})
		return
	}
	if m.Ballot.Replica != from {
		return // no replica may use another's ballot
	}
	if c.leased() && c.promised.Less(m.Ballot) && (!m.Handover.Valid() || m.Handover != c.term) {
		return // the leader may be answering reads on its lease
	}
	if c.promised.Less(m.Ballot) {
		c.becomeFollower()
		c.promise(m.Ballot)
	}
	c.resetElectionTimer()
	if p := c.promisePage(m); !c.onItsWay(p) {
		c.sendAfterSync(from, p)
	}
}

// largePage is a page of a Promise that takes longer than it takes a candidate to ask
// again, or may.
type largePage struct {
	ballot Ballot
	from   Slot
	delay  time.Duration // between the last two times that it was sent
	until  time.Duration // when it may be sent again
}

// onItsWay reports whether a page was sent a while ago and is too large to be sent
// with every question: that would only hold it up. It is sent again later and later,
// or when the transport says that it was lost.
func (c *Core) onItsWay(p Promise) bool {
	size := 0
	for _, e := range p.Entries {
		size += e.cost()
	}
	if size <= c.cfg.MessageBytes {
		return false
	}
	again := c.page.ballot == p.Ballot && c.page.from == p.From
	if again && c.now < c.page.until {
		return true
	}
	delay := 4 * c.cfg.Heartbeat
	if again {
		delay = min(2*c.page.delay, maxResendBackoff)
	}
	c.page = largePage{ballot: p.Ballot, from: p.From, delay: delay, until: c.now + delay}
	return false
}

// leased reports whether a lease that this replica granted may still run.
func (c *Core) leased() bool { return c.cfg.Lease && c.now < c.leaseUntil }

// promise raises the promise. It is in effect at once and on disk with the
// next sync.
func (c *Core) promise(b Ballot) {
	if !c.promised.Less(b) {
		c.invariant("promise of %v after %v", b, c.promised)
	}
	c.promised = b
	c.stateDirty = true
	c.seen(b)
}

// promisePage reports what this replica has accepted from slot m.From on. Only
// what is in memory is reported: a candidate that needs more than that stands
// down, and a member with a higher commit index can be elected in its place.
func (c *Core) promisePage(m Prepare) Promise {
	p := Promise{
		Ballot: m.Ballot, From: m.From, Wall: c.wall,
		Commit: c.commit, LogStart: c.window.first,
	}
	if m.From >= c.window.first {
		p.Entries = c.window.slice(m.From, c.window.last(), pageMessages*c.cfg.MessageBytes)
		p.More = m.From+Slot(len(p.Entries)) <= c.window.last()
	}
	return p
}

// pageMessages is how many messages of entries a page of a Promise is as large
// as: 1 MiB by default.
const pageMessages = 4

// follow takes the sender of a message under ballot b as the leader, unless
// the ballot is too low, which it is told.
func (c *Core) follow(from ReplicaID, b Ballot) bool {
	c.seen(b)
	if b.Less(c.promised) {
		c.send(from, Nack{Ballot: b, Promised: c.promised})
		return false
	}
	if b.Replica != from || !b.Valid() {
		return false
	}
	if c.role != Follower {
		c.becomeFollower()
	}
	if c.term != b {
		if c.promised.Less(b) {
			c.promise(b)
		}
		c.enterTerm(b)
	}
	c.leader, c.hasLeader = from, true
	c.heardLeader()
	if c.cfg.Lease {
		c.leaseUntil = c.now + c.cfg.ElectionTimeout
	}
	return true
}

// enterTerm makes b the ballot whose Accepts are taken. What this replica
// accepted under b before a restart counts as held.
func (c *Core) enterTerm(b Ballot) {
	c.term = b
	c.held = c.commit
	for e := c.window.get(c.held + 1); e != nil && e.Ballot == b; e = c.window.get(c.held + 1) {
		c.held++
	}
}

func (c *Core) heardLeader() {
	c.heardAt = c.now
	c.resetElectionTimer()
}

// onAccept is phase 2 at an acceptor. Slots are taken in order only, so that
// one number says what is held.
func (c *Core) onAccept(from ReplicaID, m Accept) {
	if !c.follow(from, m.Ballot) {
		return
	}
	if m.First > c.held+1 {
		if c.votes() {
			c.send(from, HeartbeatAck{Ballot: m.Ballot, Round: m.Round, Held: c.held, Gap: true})
		} else {
			c.sendProgress(from, true)
		}
		return
	}
	for _, e := range m.Entries {
		if !c.votes() && e.Slot > m.Commit {
			break // a replica that recovers takes only what is chosen
		}
		if old := c.window.get(e.Slot); e.Slot <= c.commit && old != nil && !sameValue(old.Entry, e) {
			c.invariant("slot %d is chosen with one value and proposed under %v with another", e.Slot, m.Ballot)
		}
		if e.Slot <= c.held {
			continue
		}
		e.Ballot = m.Ballot
		c.accept(e)
	}
	c.commitTo(min(m.Commit, c.held))
	if !c.votes() {
		c.learned(from)
		return
	}
	if m.Round != 0 {
		c.send(from, HeartbeatAck{Ballot: m.Ballot, Round: m.Round, Held: c.held})
	}
	c.sendAccepted(from)
}

func sameValue(a, b Entry) bool { return a.Kind == b.Kind && bytes.Equal(a.Value, b.Value) }

// accept stores the value of the slot behind held under term.
func (c *Core) accept(e Entry) {
	if e.Slot != c.held+1 || e.Ballot != c.term || e.Ballot.Less(c.promised) {
		c.invariant("accept of slot %d under %v: held is %d, term %v, promised %v", e.Slot, e.Ballot, c.held, c.term, c.promised)
	}
	c.window.put(heldEntry{Entry: e, sync: c.issued + 1})
	c.fresh = append(c.fresh, e)
	c.held = e.Slot
	if err := c.takeRejoin(e); err != nil {
		c.invariant("slot %d: %v", e.Slot, err)
	}
}

// commitTo raises the commit index.
func (c *Core) commitTo(s Slot) {
	c.commit = max(c.commit, s)
}

// onHeartbeat keeps the leadership of its sender alive.
func (c *Core) onHeartbeat(from ReplicaID, m Heartbeat) {
	if !c.follow(from, m.Ballot) {
		return
	}
	c.commitTo(min(m.Commit, c.held))
	if !c.votes() {
		c.learned(from)
		return
	}
	c.send(from, HeartbeatAck{Ballot: m.Ballot, Round: m.Round, Held: c.held})
	if c.now >= c.acceptedAt+c.cfg.Heartbeat {
		c.sendAccepted(from) // the last one may have been lost
	}
}

// sendAccepted says what is held once it is durable.
func (c *Core) sendAccepted(to ReplicaID) {
	c.acceptedAt = c.now
	c.sendAfterSync(to, Accepted{Ballot: c.term, Through: c.held})
}

// InstallSnapshot says that a snapshot of everything up to slot s, which a
// leader under ballot b sent, is durable and in use. It reports false, and
// changes nothing, if the state is past slot s already. Accepted entries above
// s are kept.
func (c *Core) InstallSnapshot(s Slot, b Ballot, v Vector) bool {
	if s <= c.applied {
		return false
	}
	if c.role != Follower {
		c.becomeFollower() // its election or leadership counted on another commit index
	}
	c.window.dropThrough(s)
	c.commit = max(c.commit, s)
	c.held = max(c.held, c.commit)
	c.applied = s
	c.logStart = s + 1
	if c.promised.Less(b) {
		c.promised = b
		c.seen(b)
	}
	for id, l := range v {
		if l.Epoch >= c.vector[id].Epoch {
			c.takeLife(ReplicaID(id), l)
		}
		c.applyLife(ReplicaID(id), l)
	}
	c.stateDirty = true
	c.check()
	return true
}

// Truncated says that the log on disk no longer holds slots up to s, which
// a durable snapshot covers.
func (c *Core) Truncated(s Slot) {
	if s > c.applied {
		c.invariant("log dropped up to %d, applied is %d", s, c.applied)
	}
	c.logStart = max(c.logStart, s+1)
}
