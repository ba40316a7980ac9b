package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

// The golden files, byte for byte, worked out by another program than this one.
const (
	goldenFront = `
		6469736b76736e70 0100 0000 f3ff0198
		03000000 1100000000000000 0200000000000000 2a00000000000000 0700000000000000 15cd5b0700000000
		010203 d486bb47`
	// The records "hello" and "".
	goldenStored = goldenFront + `
		01 01 0000 0d000000 0d000000 37c58c07 7dc95b69
		05000000 68656c6c6f 00000000
		6469736b76656e64 0100000000000000 0200000000000000 0500000000000000 b000000000000000
		17db0b60272c591919a01e691a35f332ea3e1b80550e1c251395a4eda771d56a ca5dbf40`
	// The records "hello", "" and forty times "a", compressed.
	goldenS2 = goldenFront + `
		01 02 0000 39000000 17000000 9d5703c7 8014f993
		39440500000068656c6c6f00000000280000 00619a0100
		6469736b76656e64 0100000000000000 0300000000000000 2d00000000000000 ba00000000000000
		fac85c3158b8ff0c9e17beadce3cff6f82a5110717f994c6168c8f23ae0be57d aff5dbdf`
)

var goldenHeader = Header{Cluster: 0x11, Group: 2, Slot: 42, Config: 7, LogTime: 123456789, State: []byte{1, 2, 3}}

func TestGoldenBytes(t *testing.T) {
	hello, empty, as := []byte("hello"), []byte{}, bytes.Repeat([]byte("a"), 40)

	d := newMemDisk()
	info, err := create(d, memDir, goldenHeader, func(add func([]byte) error) error {
		return errors.Join(add(hello), add(empty))
	})
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(golden.Hex(goldenStored)), hex.EncodeToString(d.names[info.Path].data))

	// What S2 makes of given bytes may change; that it can be read may not.
	for name, file := range map[string]struct {
		text string
		want [][]byte
	}{
		"stored": {goldenStored, [][]byte{hello, empty}},
		"S2":     {goldenS2, [][]byte{hello, empty, as}},
	} {
		records, err := readAll(golden.Hex(file.text))
		require.NoError(t, err, name)
		require.Equal(t, file.want, records, name)
		s, err := scan("mem", bytes.NewReader(golden.Hex(file.text)), int64(len(golden.Hex(file.text))))
		require.NoError(t, err, name)
		require.Equal(t, goldenHeader, s.info.Header, name)
	}
}

// readAll reads what b holds through a scanner, and again record by record.
func readAll(b []byte) ([][]byte, error) {
	s, err := scan("mem", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	verifyErr := s.all()
	s, err = scan("mem", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	r := &Reader{f: &memFile{newMemDisk(), &memInode{}}, scan: s, info: s.info}
	defer r.Close()
	var records [][]byte
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return records, verifyErr
		}
		if err != nil {
			if verifyErr == nil || verifyErr.Error() != err.Error() {
				panic("Verify and Next do not agree")
			}
			return nil, err
		}
		records = append(records, bytes.Clone(record))
	}
}

// reseal makes all checksums of a file right, as far as its lengths make sense,
// so that what stands behind them is put to the test.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	le := binary.LittleEndian
	if len(b) < minFile {
		return b
	}
	le.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
	n := int(le.Uint32(b[16:]))
	end := len(b) - footerSize
	if n > MaxState || headerFixedSize+n+crcSize > end {
		return b
	}
	at := headerFixedSize + n
	le.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
	for at += crcSize; at+blockHeadSize <= end; {
		head := b[at : at+blockHeadSize]
		raw, stored := int(le.Uint32(head[4:])), int(le.Uint32(head[8:]))
		if stored > end-at-blockHeadSize || raw > maxBlock {
			break
		}
		body := b[at+blockHeadSize : at+blockHeadSize+stored]
		if codec(head[1]) == codecStored {
			le.PutUint32(head[12:], crc32.Checksum(body, castagnoli))
		} else {
			out := make([]byte, raw)
			if expand(out, body) == nil {
				le.PutUint32(head[12:], crc32.Checksum(out, castagnoli))
			}
		}
		sealBlock(b[at:at+blockHeadSize+stored], int64(at))
		at += blockHeadSize + stored
	}
	foot := b[end:]
	le.PutUint64(foot[32:], uint64(len(b)))
	sum := sha256.Sum256(b[:end+digestOffset])
	copy(foot[digestOffset:], sum[:])
	le.PutUint32(foot[footerSize-crcSize:], crc32.Checksum(foot[:footerSize-crcSize], castagnoli))
	return b
}
