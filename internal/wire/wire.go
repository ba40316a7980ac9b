// Package wire reads and writes the fixed-width, little-endian fields of which
// every format of diskv is made, on disk and between peers.
//
// Writing is appending: encoding/binary's AppendUint functions, and
// [AppendBytes] for what has a length. Reading goes through a [Reader], which
// remembers the first fault, so that a decoder is a straight list of fields
// with one check at its end:
//
//	r := wire.NewReader(b)
//	m.Round = r.Uint64()
//	m.Value = r.Bytes(maxValue)
//	if err := r.Close(); err != nil {
//		return fmt.Errorf("accept message: %w", err)
//	}
//
// A length is checked against its limit and against what is left of the input
// before anything is taken on its account, so a hostile length costs nothing.
// The package knows nothing of what the fields mean.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Faults that a [Reader] reports, wrapped with the offset where they were met.
var (
	ErrShort    = errors.New("input ends inside a field")
	ErrTrailing = errors.New("bytes left over behind the last field")
	ErrTooLong  = errors.New("length above the limit")
	ErrBadValue = errors.New("value not allowed here")
	ErrReserved = errors.New("reserved bytes are not zero")
)

// AppendBytes appends a 32-bit length and then b.
func AppendBytes(dst, b []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...)
}

// AppendBool appends one byte, 1 or 0.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Reader takes fields off the front of a byte slice. The zero Reader is empty.
// After the first fault every read returns a zero value.
type Reader struct {
	in  []byte
	off int
	err error
}

// NewReader returns a Reader of b, which it does not copy.
func NewReader(b []byte) *Reader { return &Reader{in: b} }

// Len returns how many bytes have not been read.
func (r *Reader) Len() int { return len(r.in) - r.off }

// Offset returns how many bytes have been read.
func (r *Reader) Offset() int { return r.off }

// Err returns the first fault met so far.
func (r *Reader) Err() error { return r.err }

// Close returns the first fault met, or [ErrTrailing] if bytes are left.
func (r *Reader) Close() error {
	if r.err == nil && r.Len() != 0 {
		r.Fail(ErrTrailing)
	}
	return r.err
}

// Fail records a fault that the caller found at the current offset, unless one
// is recorded already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("offset %d: %w", r.off, err)
	}
}

// take returns the next n bytes, or nil after recording [ErrShort].
func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if r.Len() < n {
		r.Fail(ErrShort)
		return nil
	}
	b := r.in[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail(ErrBadValue)
		return false
	}
	return v == 1
}

// Uint16 reads two bytes.
func (r *Reader) Uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads four bytes.
func (r *Reader) Uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads eight bytes.
func (r *Reader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Int64 reads eight bytes as a two's complement number.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) }

// Bytes reads a 32-bit length and that many bytes. The result aliases the
// input. A length above limit records [ErrTooLong].
func (r *Reader) Bytes(limit int) []byte {
	n := r.Uint32()
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(limit) {
		r.Fail(fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, n, limit))
		return nil
	}
	return r.take(int(n))
}

// Fixed reads exactly n bytes. The result aliases the input.
func (r *Reader) Fixed(n int) []byte { return r.take(n) }

// Count reads a 32-bit number of items, each of which takes at least size
// bytes: a number that the rest of the input cannot hold records [ErrShort]
// before anyone reserves memory for it.
func (r *Reader) Count(size int) int {
	n := r.Uint32()
	if r.err != nil {
		return 0
	}
	if uint64(n)*uint64(size) > uint64(r.Len()) {
		r.Fail(ErrShort)
		return 0
	}
	return int(n)
}
