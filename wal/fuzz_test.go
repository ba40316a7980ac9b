package wal

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzDecodeManifest(f *testing.F) {
	f.Add(manifest{logID: 1, first: 2, newest: 3, durable: 4, suspect: true, cleanSegment: 2, cleanSize: 5}.encode())
	f.Add([]byte{})
	f.Add(make([]byte, manifestSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeManifest(b); err == nil {
			require.Equal(t, b, m.encode())
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(header{logID: 1, segment: 2, stateIndex: 3, state: []byte("s")}.encode())
	f.Add([]byte{1})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHeader(b); err == nil {
			require.Equal(t, b, h.encode())
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	for _, fr := range []frame{
		{typ: TypeData, index: 3, tag: 9, durable: 2, payload: []byte("payload")},
		{typ: TypeMark, index: 3, durable: 3},
		{typ: TypeState, index: 3, payload: bytes.Repeat([]byte("s"), 300)},
	} {
		f.Add(appendEntry(nil, placeOf(testID, 1), fr), int64(0))
	}
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80}, int64(math.MaxInt64))
	f.Add(bytes.Repeat([]byte{0xff}, 60), int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, off int64) {
		p := placeOf(testID, 1)
		fr, size, what, err := p.decode(b, off)
		require.Equal(t, what == faultFormat, err != nil)
		if what == faultNone {
			again := p.appendFrame(b[:prefixSize(size-prefixSize(size))], fr, off)
			require.Equal(t, b[:size], again[:size])
		}
	})
}

// FuzzOpen opens a log whose tail is anything. With sum set the checksum of what
// looks like a head is made right, so that the fuzzer gets past it.
func FuzzOpen(f *testing.F) {
	p := placeOf(testID, 2)
	head := appendEntry(nil, p, frame{typ: TypeHeader, index: 2, durable: 2, payload: header{logID: testID, segment: 2, state: []byte("s")}.encode()})
	record := func(index, durable uint64) []byte {
		return appendEntry(bytes.Clone(head), p, frame{typ: TypeData, index: index, tag: 7, durable: durable, payload: []byte("p")})
	}
	f.Add(head, uint64(0))
	f.Add(record(3, 2), uint64(0))
	f.Add(append(record(3, 2), make([]byte, 600)...), uint64(0))
	f.Add(record(9, 8), uint64(1))
	f.Add([]byte{}, uint64(0))
	f.Add([]byte("garbage"), uint64(0))
	f.Add(bytes.Repeat([]byte(frameMagic), 50), uint64(3))
	base := tempDir(f)
	f.Fuzz(func(t *testing.T, tail []byte, sum uint64) {
		for at := 0; at+frameHead <= len(tail) && sum != 0; at++ {
			if string(tail[at:at+4]) == frameMagic && sum&1 != 0 {
				fixHead(tail[at:], p, int64(at-1))
				sum >>= 1
			}
		}
		dir, err := os.MkdirTemp(base, "log")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		one := appendEntry(nil, placeOf(testID, 1), frame{typ: TypeHeader, payload: header{logID: testID, segment: 1, state: []byte("s")}.encode()})
		one = appendEntry(one, placeOf(testID, 1), frame{typ: TypeData, index: 1, tag: 1, payload: []byte("1")})
		one = appendEntry(one, placeOf(testID, 1), frame{typ: TypeData, index: 2, tag: 2, durable: 1, payload: []byte("2")})
		for n, content := range map[uint64][]byte{1: one, 2: tail} {
			require.NoError(t, os.Mkdir(segmentDir(dir, n), 0o750))
			require.NoError(t, os.WriteFile(segmentPath(dir, n), content, 0o600))
		}
		m := manifest{logID: testID, first: 1, newest: 2}
		require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), m.encode(), 0o600))

		scan, scanErr := Scan(dir, func(uint64, Record, int64) error { return nil })
		replay, got := gather()
		l, report, err := Open(dir, quiet(), replay)
		var damage *CorruptionError
		if errors.As(err, &damage) {
			require.ErrorAs(t, scanErr, &damage)
			return
		}
		require.NoError(t, err)
		require.NoError(t, scanErr)
		require.Equal(t, scan.LastIndex, report.LastIndex)
		require.GreaterOrEqual(t, len(*got), 3, "what is in front of the tail is there")
		for i, r := range *got {
			require.EqualValues(t, i, r.Index)
		}
		require.NoError(t, l.Close())
		l, report, err = Open(dir, quiet(), replay)
		require.NoError(t, err)
		require.True(t, report.CleanClose)
		require.NoError(t, l.Close())
	})
}

// fixHead makes the checksum of the head at the front of b right.
func fixHead(b []byte, p place, off int64) {
	s := p.sum(b, off)
	copy(b[frameSummed:], []byte{byte(s), byte(s >> 8), byte(s >> 16), byte(s >> 24)})
}
