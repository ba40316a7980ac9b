package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"diskv/internal/wire"
)

// A frame on the wire. All numbers are little-endian.
//
//	 0  4  length n of the body
//	 4  1  version of the frame
//	 5  1  kind: 1 hello, 2 reply, 3 alive, 4 control, 5 bulk
//	 6  1  flags: bit 0 set on the last frame of a payload
//	 7  1  reserved, zero
//	 8  4  CRC32C of bytes 0 to 8 and of the body
//	12  n  body
const (
	// Magic is what a connection between peers starts with. On the wire. No
	// client of the server starts with a zero byte.
	Magic = "\x00diskv"

	// Version is the highest version of frames that this package speaks. On
	// the wire.
	Version = 1

	frameHeadSize = 12        // on the wire
	maxFrame      = 256 << 10 // on the wire: the longest frame, its head included
	maxBody       = maxFrame - frameHeadSize
	flagLast      = 1 // on the wire
)

// IsPeer says whether a connection whose first byte this is comes from a peer.
func IsPeer(first byte) bool { return first == Magic[0] }

// kind says what the body of a frame is. On the wire; 0 is invalid.
type kind uint8

const (
	kindHello   kind = 1 // the first frame, from the one who dialled
	kindReply   kind = 2 // the answer to it
	kindAlive   kind = 3 // an empty body, either way, when there is nothing else to say
	kindControl kind = 4 // a payload of LaneControl, or a part of one
	kindBulk    kind = 5 // a payload of LaneBulk, or a part of one
)

func kindOf(lane Lane) kind {
	if lane == LaneControl {
		return kindControl
	}
	return kindBulk
}

// Faults of what a peer sends.
var (
	errChecksum = errors.New("checksum does not match")
	errProtocol = errors.New("peer does not follow the protocol")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a whole frame. The body has at most maxBody bytes.
func appendFrame(dst []byte, k kind, last bool, body []byte) []byte {
	start := len(dst)
	flags := byte(0)
	if last {
		flags = flagLast
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, Version, byte(k), flags, 0)
	dst = binary.LittleEndian.AppendUint32(dst, frameSum(dst[start:], body))
	return append(dst, body...)
}

func frameSum(head, body []byte) uint32 {
	sum := crc32.Update(0, castagnoli, head[:frameHeadSize-4])
	return crc32.Update(sum, castagnoli, body)
}

type frameHead struct {
	length int
	kind   kind
	last   bool
	sum    uint32
}

func decodeFrameHead(b []byte) (frameHead, error) {
	r := wire.NewReader(b)
	length := r.Uint32()
	version := r.Uint8()
	h := frameHead{kind: kind(r.Uint8())}
	flags, reserved := r.Uint8(), r.Uint8()
	h.sum = r.Uint32()
	if err := r.Close(); err != nil {
		return frameHead{}, fmt.Errorf("frame head: %w", err)
	}
	switch {
	case version != Version:
		return frameHead{}, fmt.Errorf("frame of version %d, expected %d: %w", version, Version, errProtocol)
	case length > maxBody:
		return frameHead{}, fmt.Errorf("frame of %d bytes, at most %d: %w", length, maxBody, wire.ErrTooLong)
	case h.kind < kindHello || h.kind > kindBulk:
		return frameHead{}, fmt.Errorf("frame of kind %d: %w", h.kind, wire.ErrBadValue)
	case flags > flagLast || reserved != 0:
		return frameHead{}, fmt.Errorf("frame with flags %#x, reserved byte %#x: %w", flags, reserved, wire.ErrBadValue)
	}
	h.length, h.last = int(length), flags&flagLast != 0
	return h, nil
}

// payloads puts the frames of one connection together again.
type payloads struct {
	in    io.Reader
	limit int // longest payload
	// arrived is called when a frame of a payload has begun, and whenever more
	// of its body is there.
	arrived func()

	head  [frameHeadSize]byte
	parts [2][]byte // what there is of a payload of each lane; nil between payloads
	body  bodyReader
}

func newPayloads(in io.Reader, limit int, arrived func()) *payloads {
	return &payloads{in: in, limit: limit, arrived: arrived, body: bodyReader{in, arrived}}
}

// bodyReader reports every read.
type bodyReader struct {
	in      io.Reader
	arrived func()
}

func (r bodyReader) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if n > 0 {
		r.arrived()
	}
	return n, err
}

// next returns the next whole payload, which belongs to the caller.
func (p *payloads) next() ([]byte, error) {
	for {
		h, err := p.readHead()
		if err != nil {
			return nil, err
		}
		switch h.kind {
		case kindAlive:
			if err := checkAlive(p.head[:], h); err != nil {
				return nil, err
			}
		case kindControl, kindBulk:
			p.arrived()
			part := &p.parts[h.kind-kindControl]
			if *part, err = p.extend(*part, h); err != nil {
				return nil, err
			}
			if h.last {
				whole := *part
				*part = nil
				return whole, nil
			}
		default:
			return nil, fmt.Errorf("frame of kind %d after the greeting: %w", h.kind, errProtocol)
		}
	}
}

func (p *payloads) readHead() (frameHead, error) {
	if _, err := io.ReadFull(p.in, p.head[:]); err != nil {
		return frameHead{}, err
	}
	return decodeFrameHead(p.head[:])
}

// extend reads the body of a frame behind what there is of its payload. Memory
// is taken for the frame that is being read and, in all, twice for what did
// arrive.
func (p *payloads) extend(part []byte, h frameHead) ([]byte, error) {
	have := len(part)
	switch {
	case h.length > p.limit-have:
		return nil, fmt.Errorf("payload of %d bytes and more, at most %d: %w", have+h.length, p.limit, wire.ErrTooLong)
	case h.length == 0 && !h.last:
		return nil, fmt.Errorf("empty frame in the middle of a payload: %w", errProtocol)
	}
	if cap(part)-have < h.length {
		room := have + h.length
		if have > 0 {
			room = max(room, min(2*have, p.limit))
		}
		grown := make([]byte, have, room)
		copy(grown, part)
		part = grown
	}
	part = part[:have+h.length]
	if _, err := io.ReadFull(p.body, part[have:]); err != nil {
		return nil, err
	}
	if frameSum(p.head[:], part[have:]) != h.sum {
		return nil, fmt.Errorf("frame of kind %d with %d bytes: %w", h.kind, h.length, errChecksum)
	}
	return part, nil
}

// checkAlive checks a frame whose body is empty.
func checkAlive(head []byte, h frameHead) error {
	switch {
	case h.kind != kindAlive || h.length != 0 || !h.last:
		return fmt.Errorf("frame of kind %d with %d bytes where only signs of life are sent: %w", h.kind, h.length, errProtocol)
	case frameSum(head, nil) != h.sum:
		return fmt.Errorf("sign of life: %w", errChecksum)
	}
	return nil
}
