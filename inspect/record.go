package inspect

import (
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// Kinds of records, as [Record.Kind] has them and filters name them.
const (
	KindHeader   = "header"   // the first frame of a segment: repeats the newest state
	KindMark     = "mark"     // a sync mark: everything before it is durable
	KindState    = "state"    // promise, commit index, lives
	KindNoop     = "noop"     // an accepted value that fills a hole
	KindBatch    = "batch"    // an accepted batch of commands
	KindRejoin   = "rejoin"   // accepted: a member lives on with another disk
	KindSnapshot = "snapshot" // the header of a snapshot file
	KindKey      = "key"      // a key in a snapshot
	KindSession  = "session"  // a session in a snapshot
	KindImage    = "image"    // another record of a snapshot
	KindUnknown  = "unknown"  // its checksum is right, but it does not decode
)

// Kinds are all of them, in the order in which they are explained.
var Kinds = []string{
	KindHeader, KindState, KindMark, KindBatch, KindNoop, KindRejoin, KindSnapshot, KindKey, KindSession, KindImage, KindUnknown,
}

// Record is one record of a log or a snapshot in words.
type Record struct {
	Segment uint64 `json:"segment,omitempty"`
	Offset  int64  `json:"offset,omitempty"` // in the segment's file
	Index   uint64 `json:"index,omitempty"`
	Kind    string `json:"kind"`
	Bytes   int    `json:"bytes"` // of the record, without its frame
	// Of an accepted entry: the slot, the ballot under which it was accepted, the
	// commit index that rides along.
	Slot   uint64 `json:"slot,omitempty"`
	Ballot string `json:"ballot,omitempty"`
	Commit uint64 `json:"commit,omitempty"`
	// Of a batch: when its leader made it, and the ballot under which it was first
	// proposed.
	Time     *time.Time `json:"time,omitempty"`
	Origin   string     `json:"origin,omitempty"`
	Commands []Command  `json:"commands,omitempty"`
	// Others is how many commands of the batch a filter has left out.
	Others   int       `json:"others,omitempty"`
	State    *State    `json:"state,omitempty"`
	Rejoin   *Rejoin   `json:"rejoin,omitempty"`
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Item     *Item     `json:"item,omitempty"`
	// Image is the kind of another record of a snapshot, with its count.
	Image string `json:"image,omitempty"`
	Count uint32 `json:"count,omitempty"`
	// Problem says why it does not decode.
	Problem string `json:"problem,omitempty"`

	key     []byte       // of a key in a snapshot
	session kv.SessionID // of a session in a snapshot
}

// State is a hard state of a replica.
type State struct {
	Promised   string   `json:"promised"`
	Commit     uint64   `json:"commit"`
	Recovering bool     `json:"recovering,omitempty"`
	Lives      []string `json:"lives"` // by member: epoch/nonce
}

// Rejoin is a new life of a member's disk.
type Rejoin struct {
	Member uint8  `json:"member"`
	Life   string `json:"life"` // epoch/nonce
}

// Item is a key or a session in a snapshot.
type Item struct {
	Key     *Text  `json:"key,omitempty"`
	Value   *Text  `json:"value,omitempty"`
	Changed uint64 `json:"changed,omitempty"`    // slot at which the key became what it is
	Expiry  int64  `json:"expires_ms,omitempty"` // since the Unix epoch
	Session string `json:"session,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Shard   uint16 `json:"shard"`
}

// describer puts records into words.
type describer struct {
	show int // bytes of a value that are shown, -1: all
}

// record describes a frame of the log.
func (d *describer) record(f *frame) *Record {
	rec := &Record{Segment: f.segment, Offset: f.offset, Index: f.Index, Bytes: len(f.Payload)}
	switch f.Type {
	case wal.TypeMark:
		rec.Kind = KindMark
	case wal.TypeHeader, wal.TypeState:
		rec.Kind = KindState
		if f.Type == wal.TypeHeader {
			rec.Kind = KindHeader
		}
		h, err := paxos.DecodeHardState(f.Payload)
		if err != nil {
			return rec.fail(err)
		}
		rec.State = stateOf(h)
	case wal.TypeData:
		rec.Slot = f.Tag
		e, err := replica.ReadEntry(f.toReplica())
		if err != nil {
			return rec.fail(err)
		}
		d.entry(rec, e)
	}
	return rec
}

func (r *Record) fail(err error) *Record {
	if r.Kind == "" || r.Kind == KindState || r.Kind == KindBatch || r.Kind == KindRejoin {
		r.Kind = KindUnknown
	}
	r.Problem = err.Error()
	return r
}

func (d *describer) entry(rec *Record, e replica.AcceptedEntry) {
	rec.Ballot, rec.Commit = e.Ballot.String(), uint64(e.Commit)
	switch e.Kind {
	case paxos.KindNoop:
		rec.Kind = KindNoop
	case paxos.KindRejoin:
		rec.Kind = KindRejoin
		j, err := paxos.DecodeRejoin(e.Value)
		if err != nil {
			rec.fail(err)
			return
		}
		rec.Rejoin = &Rejoin{Member: uint8(j.Replica), Life: j.Life.String()}
	case paxos.KindBatch:
		rec.Kind = KindBatch
		b, err := replica.ReadBatch(e.Value)
		if err != nil {
			rec.fail(err)
			return
		}
		t := time.Unix(0, b.Time).UTC()
		rec.Time, rec.Origin = &t, b.Origin.String()
		for _, c := range b.Commands {
			rec.Commands = append(rec.Commands, d.command(c))
		}
	}
}

func stateOf(h paxos.HardState) *State {
	s := &State{Promised: h.Promised.String(), Commit: uint64(h.Commit), Recovering: h.Recovering, Lives: []string{}}
	n := len(h.Vector)
	for n > 0 && h.Vector[n-1] == (paxos.Life{}) {
		n--
	}
	for _, l := range h.Vector[:n] {
		s.Lives = append(s.Lives, l.String())
	}
	return s
}
