package kv

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/btree"

	"diskv/internal/record"
	"diskv/internal/wire"
	"diskv/shard"
)

// The records of an image, in this order: state, keys in ascending order of
// (shard, key), removals in ascending order of the shards, sessions in ascending order of their ids; of a sharded group, group,
// then what arrives: each incoming, with the keys that have come of the shard that is
// under way; each leaving; then what is kept for others: each outgoing, with its sessions
// and its keys; end. All numbers are little-endian.
// Every record begins with
//
//	0  kind      1 byte
//	1  reserved  3 bytes, zero
//	4  count     4 bytes: entries of a keys, removals or sessions record; shards of an
//	             incoming, leaving or outgoing one; of a state record, the format: 2;
//	             else zero
//
// and goes on, by its kind:
//
//	state     slot u64, log time i64 (ns)
//	keys      count times: changed u64 (slot), expiry i64 (ms, 0: never), key u32 + bytes,
//	          value u32 + bytes
//	removals  count times: shard u16, slot u64 at which a key of it was last removed
//	sessions  count times: birth u64 (ms), random u64, seq u64, shard u16,
//	          flags u8 (1: the reply was not kept), zero u8, reply u32 + bytes
//	end       keys u64, sessions u64: how many there were
//	group     group u64, config u32 + bytes (empty: none)
//	incoming  source, cursor u32 + bytes, count times: shard u16, awaited
//	leaving   group u64, count times: shard u16, not frozen
//	outgoing  config u64, log time i64 (ns), batch u32, target, count times: shard u16
//
// A source or target is: group u64, servers u32, that many times: address u32 + bytes.
const (
	recordState    = 1 // 0 is invalid
	recordKeys     = 2
	recordSessions = 3
	recordEnd      = 4

	recordGroup    = 5
	recordIncoming = 6
	recordLeaving  = 7
	recordOutgoing = 8

	recordRemovals = 9

	imageFormat     = 2
	replyNotKept    = 1                         // flag of a session
	entryOverhead   = 24                        // of a key, beside key and value
	removalBytes    = 10                        // of a shard of which a key was removed
	sessionOverhead = 32                        // of a session, beside its reply
	imageOverhead   = 4*record.HeadBytes + 2*16 // one record of each kind
	recordTarget    = 64 << 10                  // bytes after which a record is full
)

// Image is the state at one moment. Another goroutine may read it while the store
// goes on; what the store replaces meanwhile stays in memory until the image is
// dropped.
type Image struct {
	shards   shardArray
	removed  removals
	keys     int
	sessions *btree.BTreeG[session]
	slot     uint64
	logTime  int64
	bytes    int64
	handover handoverImage
}

// Config returns the number of the config that the group is at, or 0 if there is none.
func (m *Image) Config() uint64 {
	if m.handover.config == nil {
		return 0
	}
	return m.handover.config.Num
}

// Image returns the present state. It takes some microseconds, however large that
// is; the store copies what it changes from then on, once.
func (s *Store) Image() *Image {
	s.generation++
	return &Image{
		shards:   s.shards,
		removed:  s.removed,
		keys:     s.keys,
		sessions: s.sessions.Clone(),
		slot:     s.slot,
		logTime:  s.logTime,
		bytes:    s.Bytes(),
		handover: s.handoverImage(),
	}
}

// Bytes returns about how many bytes the records have.
func (m *Image) Bytes() int64 { return m.bytes }

// Records calls add with every record of the image, in order, and returns its
// first error. add must copy what it keeps. A record is not much larger than 64
// KiB unless it holds one larger value.
func (m *Image) Records(add func(record []byte) error) error {
	w := recordWriter{add: add}
	w.begin(recordState)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, m.slot)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(m.logTime))
	w.count = imageFormat
	w.flush()

	m.shards.ascend(0, nil, func(_ shard.ID, it item) bool { return w.item(it) })
	w.flush()
	w.removals(&m.removed)
	m.sessions.Ascend(w.session)
	w.flush()
	m.handover.write(&w)

	keys, sessions := m.handover.counts()
	w.begin(recordEnd)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(m.keys+keys))
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(m.sessions.Len()+sessions))
	w.flush()
	return w.err
}

// recordWriter gathers entries into records.
type recordWriter struct {
	add   func([]byte) error
	buf   []byte // the record so far, empty between records
	count uint32
	err   error // the first of add; nothing is done after it
}

func (w *recordWriter) begin(kind byte) {
	w.buf = record.AppendHead(w.buf[:0], kind, 0)
	w.count = 0
}

// entry makes room for an entry of a record of some kind.
func (w *recordWriter) entry(kind byte) {
	if len(w.buf) >= recordTarget {
		w.flush()
	}
	if len(w.buf) == 0 {
		w.begin(kind)
	}
	w.count++
}

// item adds an item, and returns false if that is of no use any more.
func (w *recordWriter) item(it item) bool {
	w.entry(recordKeys)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, it.changed)
	w.buf = appendItem(w.buf, &it)
	return w.err == nil
}

// removals adds when keys were last removed.
func (w *recordWriter) removals(r *removals) {
	for id, slot := range r {
		if slot != 0 {
			w.entry(recordRemovals)
			w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(id))
			w.buf = binary.LittleEndian.AppendUint64(w.buf, slot)
		}
	}
	w.flush()
}

// appendItem appends an item as it is in chunks, and in images behind its slot.
func appendItem(dst []byte, it *item) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(it.expiry))
	dst = wire.AppendBytes(dst, it.key())
	return wire.AppendBytes(dst, it.value())
}

// session adds a session, and returns false if that is of no use any more.
func (w *recordWriter) session(e session) bool {
	w.entry(recordSessions)
	flags := byte(0)
	if e.reply == nil {
		flags = replyNotKept
	}
	w.buf = e.id.append(w.buf)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, e.seq)
	w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(e.shard))
	w.buf = append(w.buf, flags, 0)
	w.buf = wire.AppendBytes(w.buf, e.reply)
	return w.err == nil
}

// flush hands the record over, if there is one.
func (w *recordWriter) flush() {
	if len(w.buf) > 0 && w.err == nil {
		record.SetCount(w.buf, w.count)
		w.err = w.add(w.buf)
	}
	w.buf = w.buf[:0]
}

// Digest returns a fingerprint of the whole state: keys, values, times, sessions,
// slot and log time. Replicas that have applied the same slots have the same. It
// reads everything.
func (s *Store) Digest() [sha256.Size]byte {
	return record.Digest(s.Image().Records)
}
