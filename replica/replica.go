package replica

import (
	"fmt"
	"math/rand/v2"
	"time"

	"diskv/paxos"
)

// Options are the settings of a replica. Zero values stand for the defaults.
type Options struct {
	ElectionTimeout time.Duration // see paxos.Config
	Heartbeat       time.Duration // see paxos.Config

	// MaxBatchBytes bounds the commands of one slot, unless one alone is
	// larger. Default 1 MiB.
	MaxBatchBytes int
	// MaxUnsynced is how many slots of a leader may wait for its own sync.
	// While that many do, commands gather for the next. Default 1.
	MaxUnsynced int
	// MaxQueueBytes bounds the commands that wait or are undecided. Default
	// 128 MiB.
	MaxQueueBytes int
	// RequestTimeout is how long a request may stay without an outcome.
	// Default 5 s.
	RequestTimeout time.Duration

	// SnapshotMinBytes is the size below which the log is not worth a
	// snapshot. Default 32 MiB.
	SnapshotMinBytes int64
	// IdleTime without a new record makes a replica tidy up a log that is
	// larger than a quarter of the data and than 2 KiB. Default 1 s.
	IdleTime time.Duration

	WindowBytes   int // see paxos.Config
	MessageBytes  int // see paxos.Config
	InflightBytes int // see paxos.Config
	CatchUpBytes  int // see paxos.Config
}

func (o *Options) setDefaults() {
	if o.MaxBatchBytes == 0 {
		o.MaxBatchBytes = 1 << 20
	}
	if o.MaxUnsynced == 0 {
		o.MaxUnsynced = 1
	}
	if o.MaxQueueBytes == 0 {
		o.MaxQueueBytes = 128 << 20
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 5 * time.Second
	}
	if o.SnapshotMinBytes == 0 {
		o.SnapshotMinBytes = 32 << 20
	}
	if o.IdleTime == 0 {
		o.IdleTime = time.Second
	}
}

// Config is what a Replica is made with.
type Config struct {
	Options
	Identity Identity
	// Machine holds what the newest snapshot holds, or nothing.
	Machine StateMachine
	// Snapshot and Header are of the newest snapshot; zero if there is none.
	Snapshot SnapshotInfo
	Header   SnapshotHeader
	// Peers is the content of the file PEERS, empty if there is none.
	Peers []byte
	// Rand is the only source of chance.
	Rand *rand.Rand
}

// Replica is one member of a group.
//
// Invariants:
//  1. the state machine has applied exactly the slots up to core.Applied
//  2. a slot in waiting is above applied, and was proposed by this replica
//  3. a snapshot of slot s is asked for only when the machine is at s
type Replica struct {
	opts    Options
	id      Identity
	rand    *rand.Rand
	core    *paxos.Core // nil until the group has formed
	machine StateMachine
	now     Time

	form      forming
	recovery  recovery
	roster    roster
	peers     peers
	proposals proposals
	reads     reads
	snapshots snapshots

	logTime    int64 // of the last batch applied
	leading    bool  // as of the last input
	leader     paxos.ReplicaID
	hasLeader  bool
	clockBase  int64         // leader's log time at clockMono
	clockMono  time.Duration // when the leadership began
	commitKept paxos.Slot    // commit index in the log

	// For Status.
	campaign                 paxos.Ballot // of the last own election
	elections, leaderChanges uint64

	out   Output
	arena []byte // replies of one Output
}

// New returns a replica as its disk left it, before the log is replayed.
func New(cfg Config) (*Replica, error) {
	cfg.setDefaults()
	if err := cfg.Identity.valid(); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	r := &Replica{
		opts: cfg.Options, id: cfg.Identity, rand: cfg.Rand, machine: cfg.Machine,
		proposals: proposals{waiting: make(map[paxos.Slot]*proposal)},
		reads:     reads{groups: make(map[uint64][]query)},
		snapshots: snapshots{newest: cfg.Snapshot},
	}
	r.restorePeers(cfg.Peers)
	if !r.id.HasLog() {
		return r, nil
	}
	r.newCore()
	if cfg.Snapshot.Slot != 0 {
		if cfg.Header.Slot != cfg.Snapshot.Slot {
			return nil, fmt.Errorf("snapshot of slot %d has a header for slot %d", cfg.Snapshot.Slot, cfg.Header.Slot)
		}
		h, err := paxos.DecodeHardState(cfg.Header.State)
		if err != nil {
			return nil, fmt.Errorf("snapshot of slot %d: %w", cfg.Snapshot.Slot, err)
		}
		r.core.RestoreSnapshot(cfg.Snapshot.Slot, h)
		r.logTime = cfg.Header.LogTime
	}
	return r, nil
}

func (r *Replica) newCore() {
	r.core = paxos.New(paxos.Config{
		Cluster: r.id.Cluster, Group: r.id.Group, ID: r.id.Index, Size: r.id.Size, Life: r.id.Life,
		Recovering: r.id.Phase == PhaseRecovering,
		Rand:       r.rand, Lease: r.id.Lease,
		ElectionTimeout: r.opts.ElectionTimeout, Heartbeat: r.opts.Heartbeat,
		WindowBytes: r.opts.WindowBytes, MessageBytes: r.opts.MessageBytes, InflightBytes: r.opts.InflightBytes,
		CatchUpBytes: r.opts.CatchUpBytes,
	})
}

// Replay puts in one record of the log, in the log's order. An error means that
// the log and the snapshot are not what this replica wrote.
func (r *Replica) Replay(rec Record) error {
	if r.core == nil {
		return fmt.Errorf("a log, though the group has not formed")
	}
	r.snapshots.appended(rec)
	switch rec.Kind {
	case RecordState:
		h, err := paxos.DecodeHardState(rec.Payload)
		if err != nil {
			return err
		}
		if err := r.core.RestoreHardState(h); err != nil {
			return err
		}
	case RecordEntry:
		e, err := ReadEntry(rec)
		if err != nil {
			return err
		}
		if err := r.core.RestoreEntry(e.Entry); err != nil {
			return err
		}
		if err := r.core.RestoreCommit(e.Commit); err != nil {
			return err
		}
	default:
		return fmt.Errorf("log record of unknown kind %d: start the release that wrote it", rec.Kind)
	}
	if err := r.apply(r.core.TakeCommitted()); err != nil {
		return err
	}
	r.snapshots.applied(r.core.Applied())
	return nil
}

// Start ends the replay.
func (r *Replica) Start(now Time) {
	r.now = now
	r.snapshots.activeAt = now.Mono
	if r.core != nil {
		r.commitKept = r.core.Commit()
		r.campaign = r.core.Promised() // it may be of an election before the restart
		r.core.Start(now.Mono, now.Wall)
		r.startPeers(true)
		r.noteLeader()
		return
	}
	r.startForming()
}

// Tick says what time it is. It must be told before every other input.
func (r *Replica) Tick(now Time) {
	r.now = now
	if r.core == nil {
		r.tickForming()
		return
	}
	r.core.Tick(now.Mono, now.Wall)
	r.noteLeader()
	r.expireRequests()
	r.tickSnapshots()
	r.tickRecovery()
	r.tickPeers()
}

// Heard says that bytes of another member have arrived.
func (r *Replica) Heard(from paxos.ReplicaID) {
	if r.core != nil {
		r.core.Heard(from)
	}
}

// Lost says that messages to another member may have been lost.
func (r *Replica) Lost(to paxos.ReplicaID) {
	if r.core != nil {
		r.core.Lost(to)
	}
}

// Receive takes a message of another member. What is not for this replica is
// dropped.
func (r *Replica) Receive(e paxos.Envelope) {
	if e.Group != r.id.Group || e.To != r.id.Index || int(e.From) >= r.id.Size || e.From == r.id.Index {
		return
	}
	r.noteMember(e)
	switch m := e.Message.(type) {
	case paxos.FormHello:
		r.onFormHello(e, m)
		return
	case paxos.FormGenesis:
		r.onFormGenesis(e, m)
		return
	}
	if r.core == nil || e.Cluster != r.id.Cluster {
		return
	}
	if h, ok := acknowledges(e.Message); ok {
		r.hearPeer(e, h)
	}
	switch m := e.Message.(type) {
	case paxos.Started:
		r.onStarted(e)
	case paxos.Remembered:
		r.onRemembered(e.From, m)
	case paxos.FormStored:
		r.event("member has stored the genesis", "peer", e.From)
	case paxos.SnapshotChunk:
		r.onSnapshotChunk(e.From, m)
	case paxos.SnapshotAck:
		r.onSnapshotAck(e.From, m)
	default:
		r.core.Step(e)
		r.noteLeader()
	}
}

// LogDurable says that the records of sync number n, and all before, are
// durable.
func (r *Replica) LogDurable(n uint64) {
	r.core.Durable(n)
	r.readmitAfter(n)
	r.noteLeader()
}

// LogRead answers a LogRead of an Output: chosen entries, consecutive from the
// slot that was asked for, or none if the log does not hold them any more.
func (r *Replica) LogRead(to paxos.ReplicaID, entries []paxos.Entry) {
	r.core.LogRead(to, entries)
}

// HandOver makes another member the leader, if this replica is the leader and
// another answers. It reports whether that was begun.
func (r *Replica) HandOver() bool { return r.core != nil && r.core.HandOver() }

// noteLeader notices a change of leadership.
func (r *Replica) noteLeader() {
	if b := r.core.Promised(); b != r.campaign && b.Replica == r.id.Index && b.Round != 0 {
		r.campaign = b
		r.elections++
	}
	id, ok := r.core.LeaderID()
	if ok != r.hasLeader || ok && id != r.leader {
		r.hasLeader, r.leader = ok, id
		if ok {
			r.leaderChanges++
			r.event("group has a leader", "leader", id, "ballot", r.core.Promised().String())
		} else {
			r.event("group has no leader")
		}
	}
	leading := r.core.Role() == paxos.Leader
	if leading == r.leading {
		return
	}
	r.leading = leading
	if leading {
		r.clockBase, r.clockMono = max(r.core.LeaderClock(), r.logTime), r.now.Mono
		// One batch, empty if nobody wants anything: a slot that an earlier leader used
		// and nobody else had heard of is decided, and its clients hear at once that
		// nothing was executed. They would wait until somebody writes, or in vain. In the
		// first round nobody has led before, and alone nobody else.
		r.reads.want = r.core.Promised().Round > 1 && r.id.Size > 1
	} else {
		r.dropQueue()
		r.dropQueries()
		r.endTransfers()
	}
}

// leaderTime is the leader's estimate of the time: it advances with the
// monotonic clock from what the members' clocks agreed on, and is never below
// log time.
func (r *Replica) leaderTime() int64 {
	return max(r.logTime, r.clockBase+int64(r.now.Mono-r.clockMono))
}

// Output returns what is to be done since the last call.
func (r *Replica) Output() Output {
	if r.core == nil {
		out := r.out
		r.out = Output{}
		return out
	}
	r.proposeQueue()
	r.confirmQueries()
	for {
		rd := r.core.Ready()
		r.takeReady(rd)
		// What was applied may have let a query through that needs a time
		// entry; nothing else changes the core here.
		if !r.proposeTime() {
			break
		}
	}
	r.noteLeader()
	out := r.out
	r.out = Output{}
	r.arena = nil
	return out
}

// takeReady moves what the core wants done into the output, and applies what
// is chosen.
func (r *Replica) takeReady(rd paxos.Ready) {
	if rd.MustSync {
		for i, e := range rd.Entries {
			// The commit index rides in the last entry; it is true of the log
			// once that entry is in it.
			commit := r.commitKept
			if i == len(rd.Entries)-1 && !rd.StateChanged {
				commit = rd.HardState.Commit
			}
			r.record(entryRecord(e, commit))
		}
		if rd.StateChanged {
			r.record(Record{Kind: RecordState, Payload: paxos.AppendHardState(nil, rd.HardState)})
		}
		r.commitKept = rd.HardState.Commit
	}
	r.out.Sync = rd.Sync
	r.out.Messages = append(r.out.Messages, rd.Messages...)
	r.out.AfterSync = append(r.out.AfterSync, rd.AfterSync...)
	r.noteAcknowledged(rd.Messages)
	r.noteAcknowledged(rd.AfterSync)
	r.out.LogReads = append(r.out.LogReads, rd.LogReads...)
	if err := r.apply(rd.Committed); err != nil {
		// What is chosen cannot be skipped, and was decoded once before it was
		// proposed: the group runs releases that do not fit together.
		panic(fmt.Sprintf("replica %d: %v", r.id.Index, err))
	}
	r.answerReads(rd.Reads)
	r.noteRecovery(rd)
	for _, id := range rd.NeedSnapshot {
		r.startTransfer(id)
	}
	r.considerSnapshot()
}

func (r *Replica) record(rec Record) {
	r.snapshots.written += recordCost(rec)
	r.snapshots.appended(rec)
	r.snapshots.activeAt = r.now.Mono
	r.out.Records = append(r.out.Records, rec)
}

// apply executes chosen entries and answers those of their commands that wait
// here.
func (r *Replica) apply(entries []paxos.Entry) error {
	for _, e := range entries {
		if e.Kind != paxos.KindBatch {
			r.whose(e.Slot, paxos.Ballot{})
			r.machine.Begin(uint64(e.Slot), r.logTime)
			r.settle(e.Slot, Batch{}, nil)
			continue
		}
		b, err := ReadBatch(e.Value)
		if err != nil {
			return fmt.Errorf("slot %d: %w", e.Slot, err)
		}
		r.logTime = max(r.logTime, b.Time)
		whose := r.whose(e.Slot, b.Origin)
		r.machine.Begin(uint64(e.Slot), r.logTime)
		waiting := r.proposals.waiting[e.Slot] != nil
		var replies [][]byte
		anticipating, ok := r.machine.(Anticipating)
		for i, c := range b.Commands {
			if ok && i%anticipated == 0 && len(b.Commands)-i > 1 {
				anticipating.Anticipate(b.Commands[i:min(i+anticipated, len(b.Commands))])
			}
			if whose != nil {
				whose(i)
			}
			start := len(r.arena)
			r.arena = r.machine.Apply(r.arena, c)
			if waiting {
				replies = append(replies, r.arena[start:len(r.arena):len(r.arena)])
			} else {
				r.arena = r.arena[:start]
			}
		}
		r.followLogTime()
		r.settle(e.Slot, b, replies)
	}
	return nil
}

// whose returns a function that tells the machine whose the i-th command of a batch is,
// if the machine wants to know.
func (r *Replica) whose(s paxos.Slot, origin paxos.Ballot) func(i int) {
	m, ok := r.machine.(Attributed)
	if !ok {
		return nil
	}
	wanted := m.Executing(nil)
	p := r.proposals.waiting[s]
	if !wanted || p == nil || p.origin != origin {
		return nil
	}
	return func(i int) { m.Executing(p.tokens[i]) }
}

// followLogTime takes over a log time that the batch has moved on by its commands.
// The leader's clock goes on from there, so that time does not stand still until
// the clock has caught up.
func (r *Replica) followLogTime() {
	t := r.machine.LogTime()
	if t <= r.logTime {
		return
	}
	r.logTime = t
	if r.leading {
		r.clockBase = max(r.clockBase, t-int64(r.now.Mono-r.clockMono))
	}
}

// send has a message leave for another member.
func (r *Replica) send(to paxos.ReplicaID, m paxos.Message) { r.sendAs(r.id.Cluster, to, m) }

// sendAs is send in the name of a cluster, or of none, which a hello is in.
func (r *Replica) sendAs(cluster paxos.ClusterID, to paxos.ReplicaID, m paxos.Message) {
	r.out.Messages = append(r.out.Messages, paxos.Envelope{
		Cluster: cluster, Group: r.id.Group, From: r.id.Index, To: to, Life: r.id.Life, Message: m,
	})
}

func (r *Replica) event(text string, attrs ...any) {
	r.out.Events = append(r.out.Events, Event{Text: text, Attrs: attrs})
}

func (r *Replica) warn(text string, attrs ...any) {
	r.out.Events = append(r.out.Events, Event{Text: text, Attrs: attrs, Warn: true})
}

// Machine returns the state machine. It must only be read.
func (r *Replica) Machine() StateMachine { return r.machine }

// Identity returns whose replica this is.
func (r *Replica) Identity() Identity { return r.id }
