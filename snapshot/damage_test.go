package snapshot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

// fileOf returns the bytes of a snapshot of records.
func fileOf(tb testing.TB, records ...[]byte) []byte {
	tb.Helper()
	d := newMemDisk()
	info, err := createOf(d, 42, records...)
	require.NoError(tb, err)
	return d.names[info.Path].data
}

// requireCorrupt says that b is refused as damaged, with a place inside it.
func requireCorrupt(t *testing.T, b []byte, what string) {
	t.Helper()
	_, err := readAll(b)
	var damaged *CorruptionError
	require.ErrorAs(t, err, &damaged, what)
	require.Equal(t, "mem", damaged.File, what)
	require.GreaterOrEqual(t, damaged.Offset, int64(0), what)
	require.LessOrEqual(t, damaged.Offset, int64(len(b)), what)
	require.NotEmpty(t, damaged.Reason, what)
}

// small has a stored block, a compressed one, and a record that takes three.
func small(tb testing.TB) []byte {
	tb.Helper()
	return fileOf(tb, noise(1, 300), bytes.Repeat([]byte("long"), 150_000), []byte("last"), bytes.Repeat([]byte("z"), 100))
}

func TestEachFlippedByteIsFound(t *testing.T) {
	for name, good := range map[string][]byte{
		"golden, stored": golden.Hex(goldenStored),
		"golden, S2":     golden.Hex(goldenS2),
		"several blocks": small(t),
	} {
		_, err := readAll(good)
		require.NoError(t, err)
		step := max(1, len(good)/1500)
		for i := 0; i < len(good); i += step {
			for _, flip := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(good)
				bad[i] ^= flip
				requireCorrupt(t, bad, fmt.Sprintf("%s: byte %d flipped by %#x", name, i, flip))
			}
		}
	}
}

func TestEachCutIsFound(t *testing.T) {
	for name, good := range map[string][]byte{"golden": golden.Hex(goldenS2), "several blocks": small(t)} {
		step := max(1, len(good)/1500)
		for n := 0; n < len(good); n += step {
			requireCorrupt(t, good[:n], fmt.Sprintf("%s: cut to %d of %d bytes", name, n, len(good)))
		}
		requireCorrupt(t, append(bytes.Clone(good), 0), "a byte appended")
		requireCorrupt(t, append(bytes.Clone(good), good...), "the file twice")
	}
}

func TestWhatIsResealedButImpossibleIsRefused(t *testing.T) {
	le := binary.LittleEndian
	front := headerFixedSize + crcSize
	footAt := func(b []byte) []byte { return b[len(b)-footerSize:] }
	tests := map[string]struct {
		file   func() []byte
		reason string
	}{
		"blocks of another file in between": {func() []byte {
			a, b := fileOf(t, noise(1, 300)), fileOf(t, noise(2, 300))
			copy(a[front:len(a)-footerSize], b[front:])
			return a // each block checks, counts agree
		}, "digest"},
		"state too long": {func() []byte {
			b := small(t)
			le.PutUint32(b[16:], MaxState+1)
			return reseal(b)
		}, "state"},
		"version 0": {func() []byte {
			b := small(t)
			b[8] = 0
			return reseal(b)
		}, "version 0"},
		"reserved bytes of the header": {func() []byte {
			b := small(t)
			b[10] = 1
			return reseal(b)
		}, "reserved"},
		"reserved bytes of a block": {func() []byte {
			b := small(t)
			b[front+2] = 1
			return reseal(b)
		}, "reserved"},
		"block type 0": {func() []byte {
			b := small(t)
			b[front] = 0
			return reseal(b)
		}, "block type 0"},
		"block type 4": {func() []byte {
			b := small(t)
			b[front] = 4
			return reseal(b)
		}, "block type 4"},
		"codec 0": {func() []byte {
			b := small(t)
			b[front+1] = 0
			return reseal(b)
		}, "codec 0"},
		"more of a record where none is": {func() []byte {
			b := small(t)
			b[front] = byte(blockMore)
			return reseal(b)
		}, "block type 3"},
		"long record that would fit": {func() []byte {
			b := small(t)
			b[front] = byte(blockLong)
			return reseal(b)
		}, "long record of 300"},
		"record beyond its block": {func() []byte {
			b := small(t)
			le.PutUint32(b[front+blockHeadSize:], 301)
			return reseal(b)
		}, "input ends inside"},
		"record of 4 GiB": {func() []byte {
			b := small(t)
			le.PutUint32(b[front+blockHeadSize:], 1<<32-1)
			return reseal(b)
		}, "length above the limit"},
		"more records counted": {func() []byte {
			b := small(t)
			footAt(b)[16]++
			return reseal(b)
		}, "where the footer counts"},
		"fewer records counted": {func() []byte {
			b := small(t)
			footAt(b)[16]--
			return reseal(b)
		}, "more than the"},
		"more blocks counted than fit": {func() []byte {
			b := small(t)
			le.PutUint64(footAt(b)[8:], 1<<40)
			return reseal(b)
		}, "do not fit"},
		"more records counted than fit": {func() []byte {
			b := small(t)
			le.PutUint64(footAt(b)[16:], 1<<60)
			return reseal(b)
		}, "do not fit"},
		"more bytes counted than fit": {func() []byte {
			b := small(t)
			le.PutUint64(footAt(b)[24:], 1<<60)
			return reseal(b)
		}, "do not fit"},
		"not a snapshot": {func() []byte { return bytes.Repeat([]byte("text "), 100) }, "not a snapshot"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := tt.file()
			requireCorrupt(t, b, name)
			_, err := readAll(b)
			require.ErrorContains(t, err, tt.reason)
		})
	}
}

func TestNewerFormatIsNotCalledDamage(t *testing.T) {
	b := small(t)
	b[8] = 2
	b = reseal(b)
	path := filepath.Join(t.TempDir(), "x.snap")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	_, err := Open(path)
	require.ErrorIs(t, err, ErrVersion)
	require.ErrorContains(t, err, "version 2, highest known 1")
	require.NotErrorAs(t, err, new(*CorruptionError))
	_, err = Verify(path)
	require.ErrorIs(t, err, ErrVersion)
}

// FuzzReader reads files of which every checksum is right, and as they are.
func FuzzReader(f *testing.F) {
	f.Add(golden.Hex(goldenStored))
	f.Add(golden.Hex(goldenS2))
	f.Add(small(f))
	f.Add(fileOf(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, reseal(b)} {
			records, err := readAll(file)
			if err != nil {
				continue
			}
			s, err := scan("mem", bytes.NewReader(file), int64(len(file)))
			require.NoError(t, err)
			require.Len(t, records, int(s.info.Records))
			n := 0
			for _, r := range records {
				n += len(r)
			}
			require.EqualValues(t, s.info.RawBytes, n)
		}
		// As the front of a transfer.
		n, err := intactFront("mem", bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		require.LessOrEqual(t, n, int64(len(b)))
	})
}
