package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"diskv/internal/wire"
)

// A segment file is a row of entries. An entry is what tidwall/wal makes of one
// frame: the frame's length as a uvarint in its shortest form, then the frame.
// All numbers in a frame are little-endian:
//
//	 0       4  5  6   8      12          16    24  32      40          44
//	+-------+--+--+---+------+-----------+-----+---+-------+-----------+---------+
//	| magic |v |ty| 0 |length|payload CRC|index|tag|durable| head CRC  | payload |
//	+-------+--+--+---+------+-----------+-----+---+-------+-----------+---------+
//
// durable is the index up to which everything was durable when the frame was
// made. The payload CRC is the CRC32C of the payload. The head CRC is the CRC32C
// of bytes 0 to 39, begun not with 0 but with the frame's place (see place): it
// covers the payload CRC, so a frame of another log or segment, one that was
// moved, or one that is stored inside a payload never passes. Two sums and not
// one, so that the search for frames behind a damaged one looks at 44 bytes for
// each magic that it meets and not at whole payloads again and again, and so that
// a damaged payload does not silence what the head in front of it has to say.
//
// The payload of a header frame:
//
//	 0      8         16            24       28
//	+------+---------+-------------+--------+-------+
//	|log id| segment | state index | length | state |
//	+------+---------+-------------+--------+-------+
const (
	frameMagic   = "\xf7dkv" // on disk
	frameVersion = 1         // on disk
	frameHead    = 44        // on disk: bytes in front of the payload
	frameSummed  = 40        // on disk: bytes that the head CRC covers
	headerFixed  = 28        // on disk: bytes of a header's payload in front of the state
	maxPrefix    = 5         // a uvarint below 1<<35
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one frame, decoded or to be encoded.
type frame struct {
	typ     Type
	index   uint64
	tag     uint64
	durable uint64
	payload []byte
}

// entrySize returns the bytes of file that a frame with such a payload takes.
func entrySize(payload int) int {
	n := frameHead + payload
	return prefixSize(n) + n
}

// prefixSize returns the length of n as a uvarint.
func prefixSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// place is the part of a frame's place that a segment has in common: it binds
// checksums to one segment of one log.
type place uint32

func placeOf(logID, segment uint64) place {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 16), logID)
	b = binary.LittleEndian.AppendUint64(b, segment)
	return place(crc32.Checksum(b, castagnoli))
}

// sum returns the head CRC of an entry that starts at off. Frames that are equal
// but for their offsets always differ in it, since what begins differently and
// goes on alike ends differently.
func (p place) sum(head []byte, off int64) uint32 {
	start := uint32(p) ^ uint32(off) ^ uint32(off>>32)
	return crc32.Update(start, castagnoli, head[:frameSummed])
}

// appendFrame appends f, without the prefix, for an entry that starts at off.
func (p place) appendFrame(dst []byte, f frame, off int64) []byte {
	start := len(dst)
	dst = append(dst, frameMagic...)
	dst = append(dst, frameVersion, byte(f.typ), 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.payload)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(f.payload, castagnoli))
	dst = binary.LittleEndian.AppendUint64(dst, f.index)
	dst = binary.LittleEndian.AppendUint64(dst, f.tag)
	dst = binary.LittleEndian.AppendUint64(dst, f.durable)
	dst = binary.LittleEndian.AppendUint32(dst, p.sum(dst[start:], off))
	return append(dst, f.payload...)
}

// fault is what is wrong with the bytes at an offset.
type fault uint8

const (
	faultNone    fault = iota
	faultShort         // the file ends inside the frame
	faultHead          // the prefix or the head is not what was written
	faultPayload       // the head is sound, the payload is not
	faultFormat        // all of it is sound, and not what this version writes
)

// appendEntry appends a whole entry to dst, the content of the segment file so
// far.
func appendEntry(dst []byte, p place, f frame) []byte {
	off := int64(len(dst))
	dst = binary.AppendUvarint(dst, uint64(frameHead+len(f.payload)))
	return p.appendFrame(dst, f, off)
}

// head is a frame's head whose checksum is right.
type head struct {
	frame          // without payload
	length  int    // of the payload
	sum     uint32 // of the payload
	problem error  // sound, but not what this version writes
}

// decodeHead checks the head at the front of b, of an entry that starts at off.
// ok is false if the magic or the checksum is wrong.
func (p place) decodeHead(b []byte, off int64) (h head, ok bool) {
	if len(b) < frameHead || string(b[:len(frameMagic)]) != frameMagic {
		return head{}, false
	}
	if binary.LittleEndian.Uint32(b[frameSummed:]) != p.sum(b, off) {
		return head{}, false
	}
	r := wire.NewReader(b[len(frameMagic):frameSummed])
	version, typ, reserved := r.Uint8(), Type(r.Uint8()), r.Uint16()
	length := r.Uint32()
	h.sum = r.Uint32()
	h.frame = frame{typ: typ, index: r.Uint64(), tag: r.Uint64(), durable: r.Uint64()}
	// Behind a right checksum a wrong field is no damage but another program.
	switch {
	case r.Close() != nil:
		h.problem = r.Err()
	case version != frameVersion:
		h.problem = fmt.Errorf("frame of version %d, this program knows %d", version, frameVersion)
	case reserved != 0 || length > maxPayload || !h.sensible():
		h.problem = fmt.Errorf("fields of the frame contradict each other: type %d, index %d, tag %d, durable %d, length %d, reserved %d",
			typ, h.index, h.tag, h.durable, length, reserved)
	default:
		h.length = int(length)
	}
	return h, true
}

// sensible reports whether the fields of a frame fit its type.
func (f *frame) sensible() bool {
	switch f.typ {
	case TypeData:
		return f.durable < f.index
	case TypeState:
		return f.durable < f.index && f.tag == 0
	case TypeMark, TypeHeader:
		return f.durable == f.index && f.tag == 0
	}
	return false
}

// decode checks the entry at the front of b, which starts at off of its file,
// and returns its frame, whose payload aliases b, and its size. With a fault
// other than faultNone only that is to be used; err comes with faultFormat.
func (p place) decode(b []byte, off int64) (f frame, size int, what fault, err error) {
	if len(b) < 1+frameHead {
		return frame{}, 0, faultShort, nil
	}
	n, k := binary.Uvarint(b[:maxPrefix])
	if k <= 0 {
		return frame{}, 0, faultHead, nil
	}
	if len(b) < k+frameHead {
		// The end of a longer frame, unless the prefix itself lies.
		if string(b[k:k+len(frameMagic)]) == frameMagic {
			return frame{}, 0, faultShort, nil
		}
		return frame{}, 0, faultHead, nil
	}
	h, ok := p.decodeHead(b[k:], off)
	if !ok {
		return frame{}, 0, faultHead, nil
	}
	if h.problem != nil {
		return frame{}, 0, faultFormat, h.problem
	}
	if n != uint64(frameHead+h.length) || k != prefixSize(frameHead+h.length) {
		return frame{}, 0, faultHead, nil
	}
	size = k + frameHead + h.length
	if len(b) < size {
		return frame{}, 0, faultShort, nil
	}
	h.payload = b[k+frameHead : size : size]
	if crc32.Checksum(h.payload, castagnoli) != h.sum {
		return frame{}, 0, faultPayload, nil
	}
	return h.frame, size, faultNone, nil
}

// header is the payload of a segment's first frame.
type header struct {
	logID      uint64
	segment    uint64
	stateIndex uint64
	state      []byte
}

func (h header) encode() []byte {
	b := make([]byte, 0, headerFixed+len(h.state))
	b = binary.LittleEndian.AppendUint64(b, h.logID)
	b = binary.LittleEndian.AppendUint64(b, h.segment)
	b = binary.LittleEndian.AppendUint64(b, h.stateIndex)
	return wire.AppendBytes(b, h.state)
}

// decodeHeader returns the header in b, which its state aliases.
func decodeHeader(b []byte) (header, error) {
	r := wire.NewReader(b)
	h := header{logID: r.Uint64(), segment: r.Uint64(), stateIndex: r.Uint64(), state: r.Bytes(MaxBatch)}
	if err := r.Close(); err != nil {
		return header{}, fmt.Errorf("segment header: %w", err)
	}
	return h, nil
}

// headerOwner returns the log and segment that the header at the front of b
// names, which may be anything.
func headerOwner(b []byte) (logID, segment uint64) {
	r := wire.NewReader(b)
	return r.Uint64(), r.Uint64()
}
