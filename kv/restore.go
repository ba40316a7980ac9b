package kv

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"diskv/internal/wire"
	"diskv/shard"
)

// ErrRecord is wrapped by the errors of [Restore] that mean a record is wrong: the
// image was damaged, or written by a newer version. Whoever kept it has to look
// for another one.
var ErrRecord = errors.New("record of an image is not valid")

// Restore makes a store from the records of an [Image]. next returns one after the
// other and io.EOF behind the last; a record is not used after the next call.
func Restore(next func() ([]byte, error)) (*Store, error) {
	r := restorer{s: New()}
	for n := uint64(0); ; n++ {
		record, err := next()
		if errors.Is(err, io.EOF) {
			return r.finish()
		}
		if err != nil {
			return nil, fmt.Errorf("restore: record %d: %w", n, err)
		}
		if err := r.record(record); err != nil {
			return nil, fmt.Errorf("restore: record %d: %w: %w", n, ErrRecord, err)
		}
	}
}

var (
	errKind      = errors.New("unknown kind")
	errOrder     = errors.New("out of order")
	errReserved  = errors.New("reserved bytes are not zero")
	errFormat    = errors.New("unknown format: written by a newer version")
	errIncorrect = errors.New("not as many keys or sessions as the end record says")
	errEntry     = errors.New("value not allowed in an entry")
)

// restorer builds a store from records.
type restorer struct {
	s         *Store
	kind      byte // of the record before
	slab      slab
	shard     shard.ID // of the last item
	lastItem  item
	deadlines []deadline // of the shard
	lastID    SessionID
}

func (r *restorer) record(b []byte) error {
	in := wire.NewReader(b)
	kind := in.Uint8()
	for _, b := range in.Fixed(3) {
		if b != 0 {
			in.Fail(errReserved)
		}
	}
	count := in.Uint32()
	if in.Err() == nil && !r.follows(kind) {
		in.Fail(errOrder)
	}
	if in.Err() != nil {
		return in.Err()
	}
	r.kind = kind
	switch kind {
	case recordState:
		if count != imageFormat {
			in.Fail(errFormat)
		}
		r.s.slot = in.Uint64()
		r.s.logTime = in.Int64()
	case recordKeys:
		for range count {
			if !r.item(in) {
				break
			}
		}
	case recordSessions:
		for range count {
			if !r.session(in) {
				break
			}
		}
	case recordEnd:
		if count != 0 {
			in.Fail(errReserved)
		}
		keys, sessions := in.Uint64(), in.Uint64()
		if in.Err() == nil && (keys != uint64(r.s.keys) || sessions != uint64(r.s.sessions.Len())) {
			in.Fail(errIncorrect)
		}
	default:
		in.Fail(errKind)
	}
	return in.Close()
}

// follows tells whether a record of a kind may come now.
func (r *restorer) follows(kind byte) bool {
	switch kind {
	case recordState:
		return r.kind == 0
	case recordKeys:
		return r.kind == recordState || r.kind == recordKeys
	}
	return r.kind != 0 && r.kind != recordEnd && r.kind <= kind
}

// item takes one entry of a keys record and returns false on a fault.
func (r *restorer) item(in *wire.Reader) bool {
	expiry := in.Int64()
	key := in.Bytes(MaxKey)
	value := in.Bytes(hardMaxValue)
	if in.Err() == nil && expiry < 0 {
		in.Fail(errEntry)
	}
	if in.Err() != nil {
		return false
	}
	id := shard.Of(key)
	it := r.slab.item(key, value, expiry)
	if r.s.keys > 0 && (id < r.shard || id == r.shard && !itemLess(r.lastItem, it)) {
		in.Fail(errOrder)
		return false
	}
	if id != r.shard {
		r.finishShard()
	}
	r.shard, r.lastItem = id, it
	d := r.s.mutable(id)
	d.items.ReplaceOrInsert(it)
	d.bytes += it.size()
	r.s.bytes += it.size()
	r.s.keys++
	if expiry != 0 {
		r.deadlines = append(r.deadlines, it.deadline())
	}
	return true
}

// finishShard makes the index of the last shard's deadlines. Keys come in their
// order, not in that of their times; a tree is built much faster in order.
func (r *restorer) finishShard() {
	if len(r.deadlines) == 0 {
		return
	}
	slices.SortFunc(r.deadlines, compareDeadlines)
	d := r.s.mutable(r.shard)
	for _, at := range r.deadlines {
		d.deadlines.ReplaceOrInsert(at)
	}
	r.s.expires += len(r.deadlines)
	r.s.index(r.shard, d)
	clear(r.deadlines)
	r.deadlines = r.deadlines[:0]
}

// session takes one entry of a sessions record and returns false on a fault.
func (r *restorer) session(in *wire.Reader) bool {
	e := session{id: readSessionID(in), seq: in.Uint64(), shard: shard.ID(in.Uint16())}
	flags, reserved := in.Uint8(), in.Uint8()
	reply := in.Bytes(MaxSessionReply)
	if in.Err() == nil && (!e.id.IsValid() || e.seq == 0 || e.shard >= shard.Count ||
		flags&^replyNotKept != 0 || reserved != 0 || (flags != 0) != (len(reply) == 0)) {
		in.Fail(errEntry)
	}
	if in.Err() == nil && r.s.sessions.Len() > 0 && r.lastID.Compare(e.id) >= 0 {
		in.Fail(errOrder)
	}
	if in.Err() != nil {
		return false
	}
	if flags == 0 {
		e.reply = append(make([]byte, 0, len(reply)), reply...)
	}
	r.lastID = e.id
	r.s.remember(e)
	return true
}

// finish returns the store, if it is whole.
func (r *restorer) finish() (*Store, error) {
	if r.kind != recordEnd {
		return nil, fmt.Errorf("restore: %w: the end record is missing", ErrRecord)
	}
	r.finishShard()
	r.s.due = r.s.nextDue()
	return r.s, nil
}
