package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"diskv/internal/wire"
	"diskv/shard"
)

// MaxChunk is how many bytes a chunk has at most, unless one key and value are more.
const MaxChunk = 1 << 20

// A chunk is a part of the stream in which shards go from one group to another. All
// numbers are little-endian:
//
//	0   version   1 byte, 1
//	1   flags     1 byte: 1 = last of the stream; the rest is zero
//	2   reserved  2 bytes, zero
//	4   config    8 bytes: with which the shards move
//	12  from      8 bytes: group
//	20  to        8 bytes: group
//	28  log time  8 bytes: of the source when the batch was frozen, ns
//	    start     u32 + bytes: cursor where the chunk begins
//	    next      u32 + bytes: cursor where the next one begins
//	    entries   u32 + bytes, one behind the other
//	    checksum  4 bytes: CRC32C of all before
//
// An entry begins with its kind, 1 byte:
//
//	session  birth u64 (ms), random u64, seq u64, shard u16, flags u8 (1: without
//	         a reply); reply u32 + bytes unless that flag is set
//	item     expiry i64 (ms, 0: never), key u32 + bytes, value u32 + bytes
//	mark     shard u16: the items of the shard, none or those before, are complete
//
// A cursor is the entry that was sent last. The empty cursor is the beginning; others
// are a byte that says what follows, the number of the batch, u32, and:
//
//	behind a session  birth u64, random u64
//	behind an item    shard u16, key: the rest
//	behind a shard    shard u16
//	begin of a batch  nothing; not of batch 0
const (
	chunkVersion  = 1
	chunkLast     = 1 << 0 // flag
	chunkChecksum = 4
	chunkFixed    = 36 + 3*4 + chunkChecksum // without cursors and entries

	entrySession = 1 // 0 is invalid
	entryItem    = 2
	entryMark    = 3

	withoutReply = 1 // flag of a session

	maxCursor = cursorHead + 2 + MaxKey

	cursorHead = 1 + 4
)

// The kinds of positions; all but the first are on the wire.
const (
	atStart       = 0
	behindSession = 1
	behindItem    = 2
	behindShard   = 3

	batchStart = 4 // on the wire: at the start of a batch other than the first
)

var (
	errChecksum        = errors.New("checksum does not match")
	errCursorKind      = errors.New("unknown kind of cursor")
	errCursorElsewhere = errors.New("cursor is not one of this batch")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// position is a place in a stream: in a batch, behind the entry that was sent last.
type position struct {
	kind    byte
	batch   uint32
	session SessionID
	shard   shard.ID
	key     []byte
}

func (p position) append(dst []byte) []byte {
	kind := p.kind
	if kind == atStart {
		if p.batch == 0 {
			return dst
		}
		kind = batchStart
	}
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, p.batch)
	switch kind {
	case behindSession:
		return p.session.append(dst)
	case behindItem, behindShard:
		dst = binary.LittleEndian.AppendUint16(dst, uint16(p.shard))
	}
	if kind == behindItem {
		dst = append(dst, p.key...)
	}
	return dst
}

// size returns how many bytes the cursor has, of a position behind an entry.
func (p position) size() int {
	if p.kind == behindSession {
		return cursorHead + 16
	}
	return cursorHead + 2 + len(p.key)
}

// CursorBatch returns the number of the batch in which a cursor is.
func CursorBatch(cursor []byte) (uint32, error) {
	p, err := readCursor(cursor)
	return p.batch, err
}

// readCursor is the inverse of position.append. The key aliases the cursor.
func readCursor(cursor []byte) (position, error) {
	if len(cursor) == 0 {
		return position{}, nil
	}
	r := wire.NewReader(cursor)
	p := position{kind: r.Uint8(), batch: r.Uint32()}
	switch p.kind {
	case batchStart:
		if p.kind = atStart; p.batch == 0 {
			r.Fail(wire.ErrBadValue)
		}
	case behindSession:
		p.session = readSessionID(r)
	case behindItem, behindShard:
		if p.shard = shard.ID(r.Uint16()); p.shard >= shard.Count {
			r.Fail(wire.ErrBadValue)
		}
		if p.kind == behindItem {
			p.key = r.Fixed(r.Len())
			if r.Err() == nil && (len(p.key) > MaxKey || shard.Of(p.key) != p.shard) {
				r.Fail(wire.ErrBadValue)
			}
		}
	default:
		r.Fail(errCursorKind)
	}
	if err := r.Close(); err != nil {
		return position{}, fmt.Errorf("cursor: %w", err)
	}
	return p, nil
}

// ChunkHead says which part of which stream a chunk is.
type ChunkHead struct {
	Config   uint64
	From, To shard.GroupID
	LogTime  int64 // of the source when the batch was frozen, in ns
	// Start is the cursor where the chunk begins, Next where the one behind it does.
	// They alias the chunk.
	Start, Next []byte
	Last        bool // there is none behind it, and no further batch
}

func appendChunk(dst []byte, h *ChunkHead, entries []byte) []byte {
	flags := byte(0)
	if h.Last {
		flags |= chunkLast
	}
	start := len(dst)
	dst = append(dst, chunkVersion, flags, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.Config)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.From))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.To))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.LogTime))
	dst = wire.AppendBytes(dst, h.Start)
	dst = wire.AppendBytes(dst, h.Next)
	dst = wire.AppendBytes(dst, entries)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ReadChunkHead checks that a chunk is whole and returns its head.
func ReadChunkHead(chunk []byte) (ChunkHead, error) {
	h, _, err := readChunk(chunk)
	return h, err
}

// readChunk returns the head and the entries of a chunk, which alias it.
func readChunk(chunk []byte) (ChunkHead, []byte, error) {
	r := wire.NewReader(chunk)
	if r.Uint8() != chunkVersion {
		r.Fail(errVersion)
	}
	flags := r.Uint8()
	if flags&^chunkLast != 0 {
		r.Fail(errFlags)
	}
	if r.Uint16() != 0 {
		r.Fail(wire.ErrReserved)
	}
	h := ChunkHead{
		Config: r.Uint64(), From: shard.GroupID(r.Uint64()), To: shard.GroupID(r.Uint64()), LogTime: r.Int64(),
		Start: r.Bytes(maxCursor), Next: r.Bytes(maxCursor), Last: flags&chunkLast != 0,
	}
	entries := r.Bytes(len(chunk))
	if r.Err() == nil && r.Uint32() != crc32.Checksum(chunk[:max(len(chunk)-chunkChecksum, 0)], castagnoli) {
		r.Fail(errChecksum)
	}
	if err := r.Close(); err != nil {
		return ChunkHead{}, nil, fmt.Errorf("chunk of a shard hand-over: %w", err)
	}
	return h, entries, nil
}

// chunkWriter gathers entries, up to a limit.
type chunkWriter struct {
	limit   int
	at      position // behind the last entry
	entries []byte
}

// admit tells whether an entry of a size, with the position behind it, has room. The
// first one always has.
func (w *chunkWriter) admit(size int, next position) bool {
	if len(w.entries) > 0 && len(w.entries)+size+next.size() > w.limit {
		return false
	}
	next.batch = w.at.batch
	w.at = next
	return true
}

func (w *chunkWriter) session(e *session, withReply bool) bool {
	flags := byte(0)
	size := 1 + 16 + 8 + 2 + 1
	if !withReply || e.reply == nil {
		flags = withoutReply
	} else {
		size += 4 + len(e.reply)
	}
	if !w.admit(size, position{kind: behindSession, session: e.id}) {
		return false
	}
	w.entries = append(w.entries, entrySession)
	w.entries = e.id.append(w.entries)
	w.entries = binary.LittleEndian.AppendUint64(w.entries, e.seq)
	w.entries = binary.LittleEndian.AppendUint16(w.entries, uint16(e.shard))
	w.entries = append(w.entries, flags)
	if flags == 0 {
		w.entries = wire.AppendBytes(w.entries, e.reply)
	}
	return true
}

func (w *chunkWriter) item(id shard.ID, it *item) bool {
	if !w.admit(1+8+4+4+len(it.data), position{kind: behindItem, shard: id, key: it.key()}) {
		return false
	}
	w.entries = append(w.entries, entryItem)
	w.entries = appendItem(w.entries, it)
	return true
}

func (w *chunkWriter) mark(id shard.ID) bool {
	if !w.admit(1+2, position{kind: behindShard, shard: id}) {
		return false
	}
	w.entries = append(w.entries, entryMark)
	w.entries = binary.LittleEndian.AppendUint16(w.entries, uint16(id))
	return true
}

// entry is one entry of a chunk.
type entry struct {
	at      position // behind it; the batch is not known
	session session  // of a session; its reply aliases the chunk
	expiry  int64    // of an item, whose key is in at
	value   []byte   // of an item
}

// readEntry reads one entry, which aliases the input.
func readEntry(r *wire.Reader) entry {
	var e entry
	switch r.Uint8() {
	case entrySession:
		e.session = session{id: readSessionID(r), seq: r.Uint64(), shard: shard.ID(r.Uint16())}
		flags := r.Uint8()
		if flags&^withoutReply != 0 || !e.session.id.IsValid() || e.session.seq == 0 || e.session.shard >= shard.Count {
			r.Fail(errEntry)
		}
		if flags == 0 {
			if e.session.reply = r.Bytes(MaxSessionReply); r.Err() == nil && len(e.session.reply) == 0 {
				r.Fail(errEntry)
			}
		}
		e.at = position{kind: behindSession, session: e.session.id}
	case entryItem:
		expiry, key, value := readItem(r)
		e.expiry, e.value = expiry, value
		e.at = position{kind: behindItem, shard: shard.Of(key), key: key}
	case entryMark:
		e.at = position{kind: behindShard, shard: shard.ID(r.Uint16())}
		if e.at.shard >= shard.Count {
			r.Fail(errEntry)
		}
	default:
		r.Fail(errKind)
	}
	return e
}
