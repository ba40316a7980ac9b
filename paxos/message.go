package paxos

// Envelope carries one message between two replicas.
type Envelope struct {
	Cluster ClusterID // zero only while a group forms
	Group   GroupID
	From    ReplicaID
	To      ReplicaID
	Life    Life   // of the sender's disk
	Vector  Vector // the sender's, in messages that give a vote; else zero
	Message Message
}

// Message is one of the message structs of this package.
type Message interface {
	kind() messageKind
}

// Vote reports whether m gives a vote and so carries the sender's vector.
func vote(m Message) bool {
	switch m.(type) {
	case Promise, Accepted, HeartbeatAck:
		return true
	}
	return false
}

// PreVote asks whether an election under Ballot could succeed. It promises
// nothing and changes nothing.
type PreVote struct {
	Ballot Ballot // the one that the sender would use
	Commit Slot   // the sender's commit index
}

// PreVoteReply answers a PreVote.
type PreVoteReply struct {
	Ballot   Ballot // of the PreVote
	Granted  bool
	Promised Ballot // the voter's promise, so that the sender can go above it
}

// Prepare is phase 1 for every slot from From on. A candidate sends it again,
// with a higher From, for the next page of the answer.
type Prepare struct {
	Ballot   Ballot
	From     Slot
	Handover Ballot // the leader that asked the sender to take over, or zero
}

// Promise is one page of a voter's answer to a Prepare. It counts when the
// page without More has arrived.
type Promise struct {
	Ballot   Ballot
	From     Slot    // of the Prepare that this page answers
	Commit   Slot    // the voter's commit index: its entries up to here are chosen
	LogStart Slot    // first slot that the voter can still report
	Wall     int64   // the voter's wall clock, ns since the Unix epoch
	More     bool    // a further page begins behind the last entry
	Entries  []Entry // accepted entries from From on, without gaps
}

// Nack refuses a message of a ballot that is below the sender's promise.
type Nack struct {
	Ballot   Ballot // refused
	Promised Ballot
}

// Accept is phase 2 for a run of slots. The entries' own ballots are not
// carried: every one is proposed under Ballot.
type Accept struct {
	Ballot  Ballot
	Commit  Slot    // the leader's commit index
	Round   uint64  // read round that an answer confirms
	First   Slot    // slot of Entries[0]
	Entries []Entry // consecutive
}

// Accepted says that every slot up to Through is at or below the sender's
// commit index or durably held by it under Ballot.
type Accepted struct {
	Ballot  Ballot
	Through Slot
}

// Heartbeat keeps a leadership alive while there is nothing else to send.
type Heartbeat struct {
	Ballot Ballot
	Commit Slot
	Round  uint64
}

// HeartbeatAck confirms that its sender had promised nothing above Ballot when
// it saw round Round. It waits for no sync.
type HeartbeatAck struct {
	Ballot Ballot
	Round  uint64
	Held   Slot // received under Ballot without a gap up to here, durable or not
	Gap    bool // an Accept began behind Held+1: send again from there
}

// Handover asks the receiver to run for leader at once.
type Handover struct {
	Ballot Ballot // the sender's
}

// SnapshotChunk is a piece of the sender's newest snapshot file, for a replica
// that needs slots that the sender's log no longer holds.
type SnapshotChunk struct {
	Ballot Ballot
	Slot   Slot     // the snapshot covers every slot up to here
	Digest [32]byte // of the whole file
	Size   uint64   // of the whole file in bytes
	Offset uint64   // of Data in the file
	Data   []byte   // empty in the first message, which only offers
}

// SnapshotAck says what the receiver of a snapshot has.
type SnapshotAck struct {
	Ballot    Ballot
	Slot      Slot
	Digest    [32]byte
	Offset    uint64 // next byte wanted
	Installed bool   // the state up to Slot, at least, is durable and in use
}

// FormHello tells the other members the nonce of the sender's disk, and asks
// them what group this is. It is sent until the answer has made the sender a
// member, and by a member that recovers while it knows no leader.
type FormHello struct {
	Size       uint8 // number of members that the sender was told of
	Lease      bool  // the sender was told to use leader leases
	Service    Service
	Recovering bool // the sender lost its disk, or was not told that the group is new
	// Echo is the nonce that the sender last heard from the receiver, or zero. A
	// group forms from hellos that echo only: an old one, of a disk that is
	// gone, cannot know the nonce of a disk that was formatted later.
	Echo uint64
}

// FormGenesis tells a member that asks what group it is in: the cluster id is
// in the envelope, the members' lives, as far as the sender knows, are here.
// One whose nonce is among them is a voter; another one has lost its disk.
type FormGenesis struct {
	Size    uint8
	Lease   bool // reads by leader lease, for the whole group
	Service Service
	Led     bool // the sender leads the group or follows a leader
	Vector  Vector
}

// FormStored says that the sender has durably stored the genesis and is a
// voter from now on.
type FormStored struct{}

// Progress is what a replica that lost its disk answers instead of Accepted
// and HeartbeatAck: it is no vote, and counts for nothing but what to send next.
type Progress struct {
	Ballot Ballot
	Held   Slot // chosen entries, held without a gap up to here
	Gap    bool // an Accept began behind Held+1: send again from there
}

// RejoinNotice tells a replica whose votes do not count what the leader knows of
// its disk.
type RejoinNotice struct {
	Ballot Ballot
	Epoch  uint64 // the newest that the leader knows of it
	Chosen Life   // its newest life that was chosen
}

// RejoinRequest asks the leader to let the sender, whose life is in the
// envelope, vote again. Prev is the epoch that this leader has told it: a
// request that comes late finds another one and is dropped.
type RejoinRequest struct {
	Ballot Ballot
	Prev   uint64
}

// Holding is what a replica's disk held at some time. The same disk never holds
// less later on.
type Holding struct {
	Boot     uint64 // count of process starts
	BootID   uint64 // random, of that start
	Last     Slot   // durable in the log up to here
	Promised Ballot // durably
}

// Started tells the other members what the sender's disk holds, at each start of
// a voter and until each has answered: one may remember that it held more.
type Started struct{ Holding }

// Remembered answers a Started: the most that the sender has heard of the
// receiver's disk with that nonce, and has durably noted.
type Remembered struct {
	Nonce uint64
	Holding
}

type messageKind uint8

// On the wire. Zero is invalid.
const (
	kindPreVote       messageKind = 1
	kindPreVoteReply  messageKind = 2
	kindPrepare       messageKind = 3
	kindPromise       messageKind = 4
	kindNack          messageKind = 5
	kindAccept        messageKind = 6
	kindAccepted      messageKind = 7
	kindHeartbeat     messageKind = 8
	kindHeartbeatAck  messageKind = 9
	kindHandover      messageKind = 10
	kindSnapshotChunk messageKind = 11
	kindSnapshotAck   messageKind = 12
	kindFormHello     messageKind = 13
	kindFormGenesis   messageKind = 14
	kindFormStored    messageKind = 15
	kindProgress      messageKind = 16
	kindRejoinNotice  messageKind = 17
	kindRejoinRequest messageKind = 18
	kindStarted       messageKind = 19
	kindRemembered    messageKind = 20
)

func (PreVote) kind() messageKind       { return kindPreVote }
func (PreVoteReply) kind() messageKind  { return kindPreVoteReply }
func (Prepare) kind() messageKind       { return kindPrepare }
func (Promise) kind() messageKind       { return kindPromise }
func (Nack) kind() messageKind          { return kindNack }
func (Accept) kind() messageKind        { return kindAccept }
func (Accepted) kind() messageKind      { return kindAccepted }
func (Heartbeat) kind() messageKind     { return kindHeartbeat }
func (HeartbeatAck) kind() messageKind  { return kindHeartbeatAck }
func (Handover) kind() messageKind      { return kindHandover }
func (SnapshotChunk) kind() messageKind { return kindSnapshotChunk }
func (SnapshotAck) kind() messageKind   { return kindSnapshotAck }
func (FormHello) kind() messageKind     { return kindFormHello }
func (FormGenesis) kind() messageKind   { return kindFormGenesis }
func (FormStored) kind() messageKind    { return kindFormStored }
func (Progress) kind() messageKind      { return kindProgress }
func (RejoinNotice) kind() messageKind  { return kindRejoinNotice }
func (RejoinRequest) kind() messageKind { return kindRejoinRequest }
func (Started) kind() messageKind       { return kindStarted }
func (Remembered) kind() messageKind    { return kindRemembered }

// Bulk reports whether m may be large and so must not hold up the small
// messages that keep a leadership alive.
func Bulk(m Message) bool {
	switch m.(type) {
	case Promise, Accept, SnapshotChunk:
		return true
	}
	return false
}
