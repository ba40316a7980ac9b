// Package record is the frame of the records of which the image of a state machine
// is made, on disk and between members. Every record begins with
//
//	0  kind      1 byte
//	1  reserved  3 bytes, zero
//	4  count     4 bytes, little-endian
//
// and what follows is the machine's:
//
//	b := record.AppendHead(nil, kind, count)       // and then the fields
//
//	err := record.Each(next, ErrRecord, func(b []byte) error {
//		r := wire.NewReader(b)
//		kind, count := record.ReadHead(r)
//		...                                    // and then the fields
//		return r.Close()
//	})
//
// It knows nothing of the kinds, of what counts, or of the order of records.
package record

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"diskv/internal/wire"
)

// HeadBytes is the length of a head.
const HeadBytes = 8

// AppendHead appends the head of a record.
func AppendHead(dst []byte, kind byte, count uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, kind, 0, 0, 0), count)
}

// SetCount changes the count of a record that has its head.
func SetCount(record []byte, count uint32) { binary.LittleEndian.PutUint32(record[4:], count) }

// ReadHead reads the head of a record. A fault is the reader's.
func ReadHead(r *wire.Reader) (kind byte, count uint32) {
	kind = r.Uint8()
	for _, b := range r.Fixed(3) {
		if b != 0 {
			r.Fail(wire.ErrReserved)
		}
	}
	return kind, r.Uint32()
}

// ErrFormat says that an image has a format that this release does not read. It is not
// damaged.
var ErrFormat = errors.New("the image has a format of another release: start one that reads it")

// Each calls take with every record that next returns, which ends with io.EOF; a
// record is not used after the next call. The error names the record. It wraps that
// of next, or that of take and, unless it is ErrFormat, invalid.
func Each(next func() ([]byte, error), invalid error, take func(record []byte) error) error {
	for n := uint64(0); ; n++ {
		b, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		switch err := take(b); {
		case errors.Is(err, ErrFormat):
			return fmt.Errorf("record %d: %w", n, err)
		case err != nil:
			return fmt.Errorf("record %d: %w: %w", n, invalid, err)
		}
	}
}

// Digest returns a fingerprint of records, which the function gives one after the
// other to its argument.
func Digest(records func(add func(record []byte) error) error) [sha256.Size]byte {
	h := sha256.New()
	err := records(func(record []byte) error {
		_, err := h.Write(record)
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("record: a hash failed to write: %v", err)) // documented never to
	}
	return [sha256.Size]byte(h.Sum(nil))
}
