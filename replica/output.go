package replica

import (
	"time"

	"diskv/paxos"
)

// Time is a reading of the driver's clocks.
type Time struct {
	Mono time.Duration // monotonic, from any origin
	Wall int64         // ns since the Unix epoch
}

// Token is the driver's name for a request. It comes back in the Reply.
type Token any

// Output is what a Replica wants done, in the order of the fields. A driver
// that dies in the middle has done nothing wrong.
type Output struct {
	// Records are to be appended to the log as one batch. When the log holds
	// them durably the driver says so with LogDurable(Sync).
	Records []Record
	// Sync numbers the newest batch of records, of this Output or an earlier one.
	Sync uint64

	Messages  []paxos.Envelope // may leave now
	AfterSync []paxos.Envelope // may leave once sync number Sync is durable

	Replies []Reply

	// Decided are the batches that this replica had proposed and has applied now.
	Decided []Decided

	// Identity is to be stored durably in IDENTITY; if it has a State, after a
	// log whose first state that is has been created. IdentityStored answers.
	Identity *NewIdentity

	// Peers, if not nil, is to be stored durably in PEERS, in place of what is
	// there; PeersStored answers.
	Peers []byte

	// LogReads ask for chosen entries from the log; LogRead answers each.
	LogReads []paxos.LogRead

	// Roll asks for a new segment, so that the old ones can be dropped.
	Roll bool
	// Snapshot asks for a snapshot file; SnapshotSaved answers.
	Snapshot *SnapshotTask
	// SnapshotReads ask for pieces of a snapshot file; SnapshotRead answers.
	SnapshotReads []SnapshotReadTask
	// SnapshotWrite asks for a piece of a snapshot that is being received to be
	// written, and for the whole to be verified and loaded when it is
	// complete; SnapshotWritten answers.
	SnapshotWrite *SnapshotWriteTask
	// DropLog, if not zero, says that the log is no longer needed up to a slot.
	DropLog paxos.Slot
	// DropSnapshots, if not zero, says that snapshots below a slot are no
	// longer needed.
	DropSnapshots paxos.Slot

	// Lost, if not empty, says why the disk of this replica is not the one that
	// it last voted with. It is to be put aside, and the replica to be started
	// again as one that has lost its disk.
	Lost string

	// Events are for the operator, one line each.
	Events []Event
}

// RecordKind says what a log record holds. On disk, in the frame's type.
type RecordKind uint8

// The kinds of records.
const (
	// RecordState is a hard state. The log repeats the newest one at the head
	// of every segment.
	RecordState RecordKind = 1
	// RecordEntry is an accepted entry.
	RecordEntry RecordKind = 2
)

// Record is a record for the log.
type Record struct {
	Kind    RecordKind
	Slot    paxos.Slot // of an entry; zero for a state
	Payload []byte     // not changed any more
}

// Outcome says what has become of a request.
type Outcome uint8

// The outcomes.
const (
	// Done: executed; the reply is in Data.
	Done Outcome = iota + 1
	// NotLeader: not executed, and never will be; the leader may serve it.
	NotLeader
	// Overloaded: not executed, and never will be; this replica has too much
	// to do.
	Overloaded
	// Unknown: it may have been executed, may yet be, or may never be.
	Unknown
	// Deferred: a query was not executed, since the replies of those that were asked
	// with it are enough for once. See [Replica.ReadWithin].
	Deferred
)

// Reply answers a request.
type Reply struct {
	Token   Token
	Outcome Outcome
	Data    []byte     // of the state machine; not changed any more
	Slot    paxos.Slot // of a command that is Done: where the log has it
}

// Decided is a batch of the leader's that has become durable where it must, and was
// applied.
type Decided struct {
	Proposed time.Duration // when, by Time.Mono
	Commands int
	Bytes    int // of the commands
}

// NewIdentity is the identity of a replica that becomes a member, or learns
// what group it recovers in.
type NewIdentity struct {
	Identity Identity
	State    []byte // the first hard state of a new log; nil if there is one
}

// SnapshotInfo names a snapshot file.
type SnapshotInfo struct {
	Slot   paxos.Slot
	Digest [32]byte
	Size   int64 // bytes
}

// SnapshotHeader is what a snapshot says of itself besides the records.
type SnapshotHeader struct {
	Slot    paxos.Slot // everything up to here is in it
	LogTime int64      // ns since the Unix epoch
	State   []byte     // hard state: ballot and epoch vector
}

// SnapshotTask asks for a snapshot.
type SnapshotTask struct {
	Header SnapshotHeader
	Image  Image
}

// SnapshotReadTask asks for a piece of the snapshot of a slot.
type SnapshotReadTask struct {
	For    paxos.ReplicaID
	Slot   paxos.Slot
	Offset int64
	Limit  int // bytes
}

// SnapshotWriteTask brings a piece of a snapshot from another member. Data is
// empty when only the position is asked for, from which to continue.
type SnapshotWriteTask struct {
	Snapshot SnapshotInfo
	Offset   int64
	Data     []byte
}

// LoadedSnapshot is a snapshot that is durable, verified and loaded.
type LoadedSnapshot struct {
	Header  SnapshotHeader
	Machine StateMachine
}

// Event is something notable that happened, for the operator's log.
type Event struct {
	Text  string
	Attrs []any // alternating keys and values, as log/slog takes them
	Warn  bool
}
