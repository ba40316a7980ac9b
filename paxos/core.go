package paxos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Role is what a replica is doing about leadership.
type Role uint8

// The roles.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Config is what a Core is made with. Zero durations and sizes stand for the
// defaults.
type Config struct {
	Cluster ClusterID
	Group   GroupID
	ID      ReplicaID
	Size    int  // members of the group, 1 to MaxReplicas
	Life    Life // of this replica's disk
	// Recovering says that this replica lost its disk and has not been let back:
	// it may have voted on anything, so it votes on nothing.
	Recovering bool

	// Rand spreads the election timeouts. It decides nothing else.
	Rand *rand.Rand

	// ElectionTimeout is the shortest time without a leader after which a
	// replica runs for leader; the longest is twice that. Default 300 ms.
	ElectionTimeout time.Duration
	// Heartbeat is the time between a leader's signs of life. Default 50 ms.
	Heartbeat time.Duration

	// Lease lets a leader answer reads on its lease instead of a round of
	// confirmations. The whole group must agree on it, and the members' clocks
	// must run at rates that differ by less than one in ten.
	Lease bool

	// WindowBytes is how much of the applied log stays in memory for members
	// that lag. Default 32 MiB.
	WindowBytes int
	// MessageBytes is the aimed-at size of a message of many entries.
	// Default 256 KiB.
	MessageBytes int
	// InflightBytes is how much may be on its way to one member without an
	// answer. Default 8 MiB.
	InflightBytes int
	// CatchUpBytes is how much a second a member that recovers is sent, on top of
	// what is being proposed, while anything is: it decides nothing, and those that
	// do need the same disks and processors. Default 32 MiB.
	CatchUpBytes int
}

func (c *Config) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.ElectionTimeout, 300*time.Millisecond)
	def(&c.Heartbeat, 50*time.Millisecond)
	size := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	size(&c.WindowBytes, 32<<20)
	size(&c.MessageBytes, 256<<10)
	size(&c.InflightBytes, 8<<20)
	size(&c.CatchUpBytes, 32<<20)
}

// leaseDuration is how long a leader relies on a lease, counted from the send
// of the round that a quorum confirmed. Voters hold it for an election
// timeout, counted from the receipt: the difference is the margin for clocks
// that run at different rates.
func (c *Config) leaseDuration() time.Duration { return c.ElectionTimeout * 8 / 10 }

// Core is the consensus state of one replica.
//
// Invariants:
//  1. applied <= commit <= held <= window.last()
//  2. every slot in (commit, window.last()] was accepted under a ballot <= promised
//  3. every slot in (commit, held] was accepted under term
//  4. term <= promised
//  5. a leader's or candidate's ballot is promised, and a leader's is term
//  6. the window reaches down to applied+1 at least
type Core struct {
	cfg    Config
	quorum int
	now    time.Duration // monotonic, from the last Tick
	wall   int64         // wall clock, ns since the Unix epoch, from the last Tick

	// What must be durable.
	promised Ballot
	vector   Vector // newest life accepted of every member
	life     Life   // of this replica's disk
	window   window
	commit   Slot
	applied  Slot // handed out in Ready.Committed
	logStart Slot // first slot that the log on disk still holds

	lives      Vector // newest life applied of every member
	recovering bool   // votes on nothing
	readmitted Life   // recovering, and about to vote with this life
	lost       string // why this replica's disk counts as lost; it votes no more

	// Towards the disk.
	stateDirty bool    // promised or vector changed since the last Ready
	fresh      []Entry // accepted since the last Ready
	issued     uint64  // number of the last sync asked for
	durable    uint64  // number of the last sync that has ended

	// While restoring.
	logged Ballot // promise of the newest hard state in the log

	// As an acceptor: term is the ballot whose Accepts are taken, held the slot
	// up to which they came without a gap.
	term   Ballot
	held   Slot
	leader ReplicaID // who leads in term; meaningful if hasLeader

	acceptedAt time.Duration // when the last Accepted was queued
	page       largePage     // the last one that was sent

	hasLeader  bool
	heardAt    time.Duration // when the leader was last heard
	electionAt time.Duration // when to run for leader
	leaseUntil time.Duration // until when no other candidate is promised anything

	role     Role
	maxRound uint64 // highest round seen in any ballot
	election election
	lead     leadership

	// reading is what was asked from the log on disk and has not been answered.
	// It outlives a leadership: an answer that is late must not pass for that
	// to a later question. From is zero where nothing was asked.
	reading [MaxReplicas]LogRead

	out Ready
}

// Ready is what a Core wants done. The order within a field is the order in
// which to do it.
type Ready struct {
	// Sync numbers the newest batch that was to be made durable, in this Ready
	// or in one before. AfterSync waits for it.
	Sync uint64
	// MustSync says that this Ready has something to be made durable: Entries,
	// or a HardState that changed.
	MustSync bool
	// StateChanged says that HardState has more to remember than a higher
	// commit index.
	StateChanged bool
	// HardState is to be logged behind Entries, in the same batch. Its commit
	// index is never above what the log holds then.
	HardState HardState
	Entries   []Entry

	Messages  []Envelope // may leave now
	AfterSync []Envelope // may leave once sync number Sync has ended

	Committed []Entry     // apply in slot order, before Reads are answered
	Reads     []ReadState // reads that may be answered, or have failed

	// Readmitted is the life with which this replica may vote again, once sync
	// number Sync has ended and IDENTITY says so; see [Core.Readmit].
	Readmitted *Life
	// Lost says that this replica's disk is not the one that it last voted with.
	Lost string

	LogReads     []LogRead   // chosen entries wanted from the log on disk
	NeedSnapshot []ReplicaID // members that need slots the log no longer holds
}

// ReadState is the outcome of a Read.
type ReadState struct {
	ID uint64
	OK bool // false: this replica is not, or no longer, the leader
}

// LogRead asks for chosen entries from the log on disk, for a member that
// lags. Each is answered once, with [Core.LogRead].
type LogRead struct {
	For     ReplicaID
	From    Slot
	Through Slot // entries above it need not be what was chosen
	Limit   int  // bytes, but at least one entry
}

// New returns a Core with an empty log. What the disk holds is put in with the
// Restore functions; Start ends that.
func New(cfg Config) *Core {
	cfg.setDefaults()
	if cfg.Size < 1 || cfg.Size > MaxReplicas || int(cfg.ID) >= cfg.Size || cfg.Rand == nil {
		panic(fmt.Sprintf("paxos: bad configuration: replica %d of %d", cfg.ID, cfg.Size))
	}
	return &Core{
		cfg: cfg, quorum: cfg.Size/2 + 1, life: cfg.Life, recovering: cfg.Recovering,
		window: window{first: 1}, logStart: 1,
	}
}

// RestoreSnapshot says that a snapshot of everything up to slot s was loaded,
// with the hard state that it carries. It comes before any other Restore.
func (c *Core) RestoreSnapshot(s Slot, h HardState) {
	c.commit, c.applied, c.held = s, s, s
	c.logStart = s + 1
	c.window = window{first: s + 1}
	c.promised, c.vector = h.Promised, h.Vector
	c.seen(h.Promised)
	for id, l := range h.Vector {
		c.applyLife(ReplicaID(id), l)
	}
}

// RestoreHardState puts in a hard state from the log. Entries that come in the
// log before it must have been restored. An error means that the log is not
// one that this package wrote.
func (c *Core) RestoreHardState(h HardState) error {
	if h.Promised.Less(c.logged) {
		return fmt.Errorf("hard state with promise %v behind one of %v", h.Promised, c.logged)
	}
	c.logged = h.Promised
	c.restorePromise(h.Promised)
	for id, l := range h.Vector {
		c.takeLife(ReplicaID(id), l)
	}
	c.stateDirty = false // the log has it
	return c.RestoreCommit(h.Commit)
}

// RestoreCommit puts in a commit index from the log.
func (c *Core) RestoreCommit(s Slot) error {
	if s > c.window.last() {
		return fmt.Errorf("commit index %d above the last entry, %d", s, c.window.last())
	}
	c.commit = max(c.commit, s)
	c.held = c.commit
	return nil
}

// RestoreEntry puts in an accepted entry from the log.
func (c *Core) RestoreEntry(e Entry) error {
	if e.Slot <= c.commit {
		// Held by the snapshot already, or sent once more under a later ballot
		// after it was chosen: the value is the same.
		return nil
	}
	if e.Slot > c.window.last()+1 {
		return fmt.Errorf("entry of slot %d behind slot %d", e.Slot, c.window.last())
	}
	c.restorePromise(e.Ballot) // to accept is to promise
	c.window.put(heldEntry{Entry: e})
	return c.takeRejoin(e)
}

// restorePromise puts in a promise that is on the disk. There may be a later one
// before it: in a snapshot, or in an entry of a batch of which the end, with the
// hard state, was lost.
func (c *Core) restorePromise(b Ballot) {
	if c.promised.Less(b) {
		c.promised = b
	}
	c.seen(b)
}

// TakeCommitted hands out, while the log is being restored, the entries that
// are chosen and not applied yet.
func (c *Core) TakeCommitted() []Entry {
	c.emitCommitted()
	out := c.out.Committed
	c.out.Committed = nil
	c.window.trim(c.applied, c.cfg.WindowBytes)
	return out
}

// Start ends the restoring and sets the clock: now is monotonic, from any
// origin; wall is in ns since the Unix epoch.
func (c *Core) Start(now time.Duration, wall int64) {
	c.now, c.wall = now, wall
	if !c.recovering {
		c.noteOwnLife(c.vector)
		if c.vector[c.cfg.ID].Epoch <= c.life.Epoch {
			c.vector[c.cfg.ID] = c.life // IDENTITY knows it, if the log does not
		}
	}
	// A promise may be known from a snapshot or an entry alone, if a crash took
	// the end of a batch: it has to get into the log before anything relies on it.
	c.stateDirty = c.stateDirty || c.logged.Less(c.promised)
	c.resetElectionTimer()
	if c.cfg.Lease {
		// A lease that this replica granted before it was restarted may run.
		c.leaseUntil = now + c.cfg.ElectionTimeout
	}
	if c.cfg.Size == 1 && c.votes() {
		c.campaign(Ballot{})
	}
	c.check()
}

// Tick says what time it is. Time never goes back; it should be told before
// every other input that depends on it.
func (c *Core) Tick(now time.Duration, wall int64) {
	c.now, c.wall = max(c.now, now), wall
	switch c.role {
	case Leader:
		c.tickLeader()
	case Candidate:
		c.tickCandidate()
	}
	if c.role != Leader && c.now >= c.electionAt && !c.awaitsOwnPromise() {
		if c.votes() {
			c.preVote()
		} else {
			c.becomeFollower() // of nobody: who does not vote must not wait for a leader that is gone
		}
	}
	c.check()
}

// Heard says that bytes of member from have arrived, though perhaps no whole
// message yet.
func (c *Core) Heard(from ReplicaID) {
	switch {
	case c.role == Follower && c.hasLeader && c.leader == from:
		c.heardLeader()
	case c.role == Candidate && !c.election.votes[from].granted:
		// A page of its promise may be on its way, which takes what a large value
		// takes. To begin again with another ballot would only begin that again.
		c.resetElectionTimer()
	}
}

// NotLeading says that member from does not lead, whatever this replica thinks: it
// was started again, perhaps without its disk. What it sends is no longer a sign
// that there is a leader.
func (c *Core) NotLeading(from ReplicaID) {
	if c.role == Follower && c.hasLeader && c.leader == from {
		c.hasLeader = false
	}
}

// Step takes a message. Those of another cluster or group, and those that are
// not for this replica, must not get here.
func (c *Core) Step(e Envelope) {
	if e.Cluster != c.cfg.Cluster || e.Group != c.cfg.Group || e.To != c.cfg.ID || int(e.From) >= c.cfg.Size || e.From == c.cfg.ID {
		panic(fmt.Sprintf("paxos: misdirected envelope: %+v", e))
	}
	c.noteOwnLife(e.Vector)
	switch m := e.Message.(type) {
	case PreVote:
		c.onPreVote(e.From, m)
	case PreVoteReply:
		c.onPreVoteReply(e.From, m)
	case Prepare:
		c.onPrepare(e.From, m)
	case Promise:
		c.onPromise(e, m)
	case Nack:
		c.onNack(m)
	case Accept:
		c.onAccept(e.From, m)
	case Accepted:
		c.onAccepted(e, m)
	case Heartbeat:
		c.onHeartbeat(e.From, m)
	case HeartbeatAck:
		c.onHeartbeatAck(e, m)
	case Handover:
		c.onHandover(e.From, m)
	case Progress:
		c.onProgress(e, m)
	case RejoinNotice:
		c.onRejoinNotice(e.From, m)
	case RejoinRequest:
		c.onRejoinRequest(e, m)
	default:
		panic(fmt.Sprintf("paxos: %T is not for the core", m))
	}
	c.check()
}

// Durable says that sync number n, and every one before it, has ended.
func (c *Core) Durable(n uint64) {
	if n > c.issued {
		panic(fmt.Sprintf("paxos: sync %d has ended, the last one asked for is %d", n, c.issued))
	}
	if n <= c.durable {
		return
	}
	c.durable = n
	switch c.role {
	case Candidate:
		c.countPromises()
	case Leader:
		c.advanceOwn()
	}
	c.check()
}

// Ready returns what is to be done since the last call.
func (c *Core) Ready() Ready {
	if c.role == Leader {
		c.flush()
	}
	c.emitCommitted()
	c.releaseReads()
	rd := c.out
	c.out = Ready{}
	rd.Entries, c.fresh = c.fresh, nil
	rd.StateChanged, c.stateDirty = c.stateDirty, false
	rd.MustSync = rd.StateChanged || len(rd.Entries) > 0
	if rd.MustSync {
		c.issued++
	}
	rd.Sync = c.issued
	rd.HardState = c.HardState()
	if rd.Sync == c.durable {
		rd.Messages = append(rd.Messages, rd.AfterSync...)
		rd.AfterSync = nil
	}
	c.window.trim(c.applied, c.cfg.WindowBytes)
	c.check()
	return rd
}

// HardState returns what must be remembered besides the entries. Its commit
// index is true of a log that holds every entry handed out so far.
func (c *Core) HardState() HardState {
	return HardState{
		Promised: c.promised, Commit: c.commit, Vector: c.vector,
		Recovering: c.recovering && c.readmitted.Nonce == 0,
	}
}

// SnapshotState returns the hard state that goes into a snapshot of what is
// applied. Its lives are those of chosen entries only: who installs it takes
// them as chosen.
func (c *Core) SnapshotState() HardState {
	return HardState{Promised: c.promised, Commit: c.applied, Vector: c.lives}
}

// emitCommitted hands out what is chosen and, in this replica's own log,
// durable: a replica that applied more would go back on a restart.
func (c *Core) emitCommitted() {
	for c.applied < c.commit {
		e := c.window.get(c.applied + 1)
		if e.sync > c.durable {
			return
		}
		c.out.Committed = append(c.out.Committed, e.Entry)
		c.applied++
		if e.Kind == KindRejoin {
			c.applyRejoin(e.Entry)
		}
	}
}

// send queues a message that may leave at once.
func (c *Core) send(to ReplicaID, m Message) {
	c.out.Messages = append(c.out.Messages, c.envelope(to, m))
}

// sendAfterSync queues a message that speaks of something that must be durable
// first: everything that was accepted or promised up to now.
func (c *Core) sendAfterSync(to ReplicaID, m Message) {
	c.out.AfterSync = append(c.out.AfterSync, c.envelope(to, m))
}

func (c *Core) envelope(to ReplicaID, m Message) Envelope {
	e := Envelope{
		Cluster: c.cfg.Cluster, Group: c.cfg.Group,
		From: c.cfg.ID, To: to, Life: c.life, Message: m,
	}
	if vote(m) {
		e.Vector = c.vector
	}
	return e
}

// peers calls f for every other member.
func (c *Core) peers(f func(id ReplicaID)) {
	for id := range ReplicaID(c.cfg.Size) {
		if id != c.cfg.ID {
			f(id)
		}
	}
}

// seen notes a ballot, so that an own one will be above it.
func (c *Core) seen(b Ballot) { c.maxRound = max(c.maxRound, b.Round) }

// Role returns what this replica is doing about leadership.
func (c *Core) Role() Role { return c.role }

// LeaderID returns the member that leads, as far as this replica knows.
func (c *Core) LeaderID() (ReplicaID, bool) { return c.leader, c.hasLeader }

// Promised returns the ballot below which nothing gets a vote.
func (c *Core) Promised() Ballot { return c.promised }

// Commit returns the commit index: everything up to it is chosen.
func (c *Core) Commit() Slot { return c.commit }

// Applied returns the highest slot handed out to be applied.
func (c *Core) Applied() Slot { return c.applied }

// Last returns the highest slot with an accepted value.
func (c *Core) Last() Slot { return c.window.last() }

// LogStart returns the first slot that the log on disk still holds.
func (c *Core) LogStart() Slot { return c.logStart }

// check panics if an invariant of Core does not hold: to go on would put
// chosen values at risk.
func (c *Core) check() {
	if c.applied > c.commit || c.commit > c.held || c.held > c.window.last() {
		c.invariant("applied %d <= commit %d <= held %d <= last %d", c.applied, c.commit, c.held, c.window.last())
	}
	if c.promised.Less(c.term) {
		c.invariant("term %v <= promised %v", c.term, c.promised)
	}
	if c.window.first > c.applied+1 {
		c.invariant("window starts at %d, applied is %d", c.window.first, c.applied)
	}
	if c.held > c.commit && c.window.get(c.held).Ballot != c.term {
		c.invariant("slot %d held under %v, term is %v", c.held, c.window.get(c.held).Ballot, c.term)
	}
	if l := c.window.last(); l > c.commit && c.promised.Less(c.window.get(l).Ballot) {
		c.invariant("slot %d accepted under %v, promised is %v", l, c.window.get(l).Ballot, c.promised)
	}
	switch c.role {
	case Candidate:
		if c.promised != c.election.ballot {
			c.invariant("candidate under %v, promised is %v", c.election.ballot, c.promised)
		}
	case Leader:
		if c.promised != c.term || c.term.Replica != c.cfg.ID {
			c.invariant("leader under %v, promised is %v", c.term, c.promised)
		}
	}
}

func (c *Core) invariant(format string, args ...any) {
	panic(fmt.Sprintf("paxos: replica %d: broken invariant: ", c.cfg.ID) + fmt.Sprintf(format, args...))
}
