package kv

import (
	"errors"
	"fmt"
	"slices"

	"diskv/internal/record"
	"diskv/internal/wire"
	"diskv/shard"
)

// ErrRecord is wrapped by the errors of [Restore] that mean a record is wrong: the
// image was damaged. Whoever kept it has to look for another one.
var ErrRecord = errors.New("record of an image is not valid")

// Restore makes a store from the records of an [Image]. next returns one after the
// other and io.EOF behind the last; a record is not used after the next call.
func Restore(next func() ([]byte, error)) (*Store, error) {
	r := restorer{s: New()}
	if err := record.Each(next, ErrRecord, r.record); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return r.finish()
}

var (
	errKind      = errors.New("unknown kind")
	errOrder     = errors.New("out of order")
	errIncorrect = errors.New("not as many keys or sessions as the end record says")
	errEntry     = errors.New("value not allowed in an entry")
)

// restorer builds a store from records.
type restorer struct {
	s        *Store
	section  int
	items    int // in all sections
	sessions int

	slab      slab
	current   *shardData // where the last item went; nil at the beginning of a section
	shard     shard.ID   // of current
	lastItem  item
	deadlines []deadline // of current
	lastID    SessionID  // zero at the beginning of a section
	removals  int        // the shard behind the last removal
}

func (r *restorer) record(b []byte) error {
	in := wire.NewReader(b)
	kind, count := record.ReadHead(in)
	section, ok := r.follows(kind)
	if in.Err() == nil && !ok {
		in.Fail(errOrder)
	}
	if in.Err() != nil {
		return in.Err()
	}
	if kind != recordKeys {
		r.finishShard()
	}
	if kind != recordSessions {
		r.lastID = SessionID{}
	}
	r.section = section
	switch kind {
	case recordState:
		if count != imageFormat {
			in.Fail(record.ErrFormat)
		}
		r.s.slot = in.Uint64()
		r.s.logTime = in.Int64()
	case recordKeys:
		for range count {
			if !r.item(in) {
				break
			}
		}
	case recordRemovals:
		for range count {
			if !r.removal(in) {
				break
			}
		}
	case recordSessions:
		for range count {
			if !r.session(in) {
				break
			}
		}
	case recordIncoming:
		r.incoming(in, count)
	case recordLeaving:
		r.leaving(in, count)
	case recordOutgoing:
		r.outgoing(in, count)
	case recordGroup, recordEnd:
		if count != 0 {
			in.Fail(wire.ErrReserved)
		}
		r.uncounted(in, kind)
	default:
		in.Fail(errKind)
	}
	return in.Close()
}

// uncounted takes a record without a count.
func (r *restorer) uncounted(in *wire.Reader, kind byte) {
	switch kind {
	case recordGroup:
		r.group(in)
	case recordEnd:
		keys, sessions := in.Uint64(), in.Uint64()
		if in.Err() == nil && (keys != uint64(r.items) || sessions != uint64(r.sessions)) {
			in.Fail(errIncorrect)
		}
	}
}

// The sections of an image: what the records of keys and sessions belong to.
const (
	sectionNone = iota
	sectionKeys
	sectionRemovals
	sectionSessions
	sectionGroup
	sectionIncoming
	sectionLeaving
	sectionOutgoing // and its sessions
	sectionKept     // its keys
	sectionEnd
)

// follows returns the section that a record of a kind begins or goes on with; ok is
// false if it may not come now.
func (r *restorer) follows(kind byte) (section int, ok bool) {
	in := func(sections ...int) bool { return slices.Contains(sections, r.section) }
	switch kind {
	case recordState:
		return sectionKeys, in(sectionNone)
	case recordKeys:
		if in(sectionOutgoing) {
			return sectionKept, true
		}
		return r.section, in(sectionKeys, sectionIncoming, sectionKept)
	case recordSessions:
		if in(sectionOutgoing) {
			return sectionOutgoing, true
		}
		return sectionSessions, in(sectionKeys, sectionRemovals, sectionSessions)
	case recordRemovals:
		return sectionRemovals, in(sectionKeys, sectionRemovals)
	case recordGroup:
		return sectionGroup, in(sectionKeys, sectionRemovals, sectionSessions)
	case recordIncoming:
		return sectionIncoming, in(sectionGroup, sectionIncoming)
	case recordLeaving:
		return sectionLeaving, in(sectionGroup, sectionIncoming, sectionLeaving)
	case recordOutgoing:
		return sectionOutgoing, in(sectionGroup, sectionIncoming, sectionLeaving, sectionOutgoing, sectionKept)
	case recordEnd:
		return sectionEnd, in(sectionKeys, sectionRemovals, sectionSessions, sectionGroup, sectionIncoming, sectionLeaving, sectionOutgoing, sectionKept)
	}
	return r.section, true // unknown: said below
}

// readItem reads what appendItem appended. Key and value alias the input.
func readItem(in *wire.Reader) (expiry int64, key, value []byte) {
	expiry = in.Int64()
	key = in.Bytes(MaxKey)
	value = in.Bytes(hardMaxValue)
	if in.Err() == nil && expiry < 0 {
		in.Fail(errEntry)
	}
	return expiry, key, value
}

// item takes one entry of a keys record and returns false on a fault.
func (r *restorer) item(in *wire.Reader) bool {
	changed := in.Uint64()
	expiry, key, value := readItem(in)
	if in.Err() == nil && changed > r.s.slot {
		in.Fail(errEntry)
	}
	if in.Err() != nil {
		return false
	}
	id := shard.Of(key)
	it := r.slab.item(key, value, expiry)
	it.changed = changed
	switch {
	case r.current == nil || id > r.shard:
		r.finishShard()
		d, err := r.place(id)
		if err != nil {
			in.Fail(err)
			return false
		}
		r.current, r.shard = d, id
	case id < r.shard || !itemLess(r.lastItem, it):
		in.Fail(errOrder)
		return false
	}
	r.lastItem = it
	r.current.items.ReplaceOrInsert(it)
	r.current.bytes += it.size()
	r.s.bytes += it.size()
	r.items++
	if expiry != 0 && r.section != sectionKept {
		r.deadlines = append(r.deadlines, it.deadline())
	}
	return true
}

// removal takes one entry of a removals record and returns false on a fault.
func (r *restorer) removal(in *wire.Reader) bool {
	id, slot := shard.ID(in.Uint16()), in.Uint64()
	if in.Err() == nil && (id >= shard.Count || slot == 0 || slot > r.s.slot) {
		in.Fail(errEntry)
	}
	if in.Err() == nil && r.removals > int(id) {
		in.Fail(errOrder)
	}
	if in.Err() != nil {
		return false
	}
	r.removals = int(id) + 1
	r.s.setRemoved(id, slot)
	return true
}

// finishShard completes the shard of the items so far. Keys come in their order, not
// in that of their times; a tree is built much faster in order.
func (r *restorer) finishShard() {
	if r.current == nil {
		return
	}
	slices.SortFunc(r.deadlines, compareDeadlines)
	for _, at := range r.deadlines {
		r.current.deadlines.ReplaceOrInsert(at)
	}
	if r.section == sectionKeys {
		r.s.keys += r.current.items.Len()
		r.s.expires += len(r.deadlines)
		r.s.index(r.shard, r.current)
	}
	clear(r.deadlines)
	r.deadlines, r.current = r.deadlines[:0], nil
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
	if in.Err() == nil && r.lastID.Compare(e.id) >= 0 {
		in.Fail(errOrder)
	}
	if in.Err() != nil {
		return false
	}
	if flags == 0 {
		e.reply = append(make([]byte, 0, len(reply)), reply...)
	}
	r.lastID = e.id
	r.sessions++
	if r.section == sectionOutgoing {
		o := r.s.outgoing[len(r.s.outgoing)-1]
		o.sessions.ReplaceOrInsert(e)
		o.sessionBytes += e.size()
		r.s.bytes += e.size()
		return true
	}
	r.s.remember(e)
	return true
}

// finish returns the store, if it is whole.
func (r *restorer) finish() (*Store, error) {
	if r.section != sectionEnd {
		return nil, fmt.Errorf("restore: %w: the end record is missing", ErrRecord)
	}
	if err := r.finishHandover(); err != nil {
		return nil, fmt.Errorf("restore: %w: %w", ErrRecord, err)
	}
	r.s.due = r.s.nextDue()
	return r.s, nil
}
