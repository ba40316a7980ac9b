package snapshot_test

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/snapshot"
)

// pull copies up to limit bytes in chunks.
func pull(t *testing.T, in *snapshot.Incoming, path string, chunk int, limit int64) {
	t.Helper()
	for limit > 0 && in.Offset() < in.Size() {
		b, err := snapshot.ReadChunk(path, in.Offset(), chunk)
		require.NoError(t, err)
		require.NoError(t, in.Write(in.Offset(), b))
		limit -= int64(len(b))
	}
}

func TestTransfer(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	records := [][]byte{noise(1, 300_000), []byte("x"), noise(2, 6<<20)}
	info := write(t, from, header, records...)

	in, err := snapshot.Receive(to, 42, info.Digest, info.Size)
	require.NoError(t, err)
	require.Zero(t, in.Offset())
	pull(t, in, info.Path, 64<<10, 1<<40)
	_, ok, err := snapshot.Newest(to)
	require.NoError(t, err)
	require.False(t, ok, "a snapshot that is still being received counts already")
	got, err := in.Finish()
	require.NoError(t, err)

	want := info
	want.Path = snapshot.Path(to, 42)
	require.Equal(t, want, got)
	require.Equal(t, records, read(t, got.Path))
	requireNames(t, to, "00000000000000000042.snap")
	require.NoError(t, in.Close())
	require.NoError(t, in.Abort())
	require.FileExists(t, got.Path)
}

func TestTransferGoesOnWhereItWas(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	info := write(t, from, header, noise(1, 3<<20))
	in, err := snapshot.Receive(to, 42, info.Digest, info.Size)
	require.NoError(t, err)
	pull(t, in, info.Path, 100_000, 2_000_000)
	stopped := in.Offset()
	require.NoError(t, in.Close())
	require.ErrorIs(t, in.Write(stopped, []byte("x")), snapshot.ErrClosed)

	in, err = snapshot.Receive(to, 42, info.Digest, info.Size)
	require.NoError(t, err)
	require.LessOrEqual(t, in.Offset(), stopped)
	require.Greater(t, in.Offset(), stopped-(256<<10)-20, "more than the block that was cut was given up")
	pull(t, in, info.Path, 100_000, 1<<40)
	require.NoError(t, in.Close())

	// Once more, with every byte there.
	in, err = snapshot.Receive(to, 42, info.Digest, info.Size)
	require.NoError(t, err)
	require.Equal(t, info.Size, in.Offset())
	_, err = in.Finish()
	require.NoError(t, err)
}

func TestTransferGivesUpWhatDoesNotCheck(t *testing.T) {
	from := t.TempDir()
	info := write(t, from, header, noise(1, 3<<20))
	good, err := os.ReadFile(info.Path)
	require.NoError(t, err)
	zeroed := func(from int) []byte {
		return append(bytes.Clone(good[:from]), make([]byte, len(good)-from)...)
	}
	tests := map[string]struct {
		part []byte
		most int64 // the transfer may start here at the latest
		all  bool  // and does so exactly
	}{
		"zeros behind":  {zeroed(1_000_000), 1_000_000, false},
		"zeros only":    {zeroed(0), 0, true},
		"zeroed footer": {zeroed(len(good) - 76), info.Size - 76, true},
		"too long":      {append(bytes.Clone(good), "more"...), info.Size, true},
		"header only":   {good[:74], 74, true},
		"part of it":    {good[:73], 0, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			in, err := snapshot.Receive(to, 42, info.Digest, info.Size)
			require.NoError(t, err)
			require.NoError(t, in.Close())
			entries, err := os.ReadDir(to)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to+"/"+entries[0].Name(), tt.part, 0o600))

			in, err = snapshot.Receive(to, 42, info.Digest, info.Size)
			require.NoError(t, err)
			require.LessOrEqual(t, in.Offset(), tt.most)
			if tt.all {
				require.Equal(t, tt.most, in.Offset())
			}
			pull(t, in, info.Path, 1<<20, 1<<40)
			_, err = in.Finish()
			require.NoError(t, err)
		})
	}
}

func TestTransferRefuses(t *testing.T) {
	from := t.TempDir()
	info := write(t, from, header, noise(1, 1<<20))
	other := write(t, t.TempDir(), header, noise(2, 1<<20))
	require.Equal(t, info.Size, other.Size)
	start := func(t *testing.T) (*snapshot.Incoming, string) {
		t.Helper()
		to := t.TempDir()
		in, err := snapshot.Receive(to, 42, info.Digest, info.Size)
		require.NoError(t, err)
		return in, to
	}

	t.Run("bytes out of order", func(t *testing.T) {
		in, _ := start(t)
		require.NoError(t, in.Write(0, make([]byte, 100)))
		require.ErrorIs(t, in.Write(0, make([]byte, 100)), snapshot.ErrNotContiguous)
		require.ErrorIs(t, in.Write(101, make([]byte, 100)), snapshot.ErrNotContiguous)
		require.EqualValues(t, 100, in.Offset())
		require.NoError(t, in.Abort())
	})
	t.Run("more bytes than announced", func(t *testing.T) {
		in, _ := start(t)
		require.ErrorIs(t, in.Write(0, make([]byte, info.Size+1)), snapshot.ErrTooLarge)
		require.NoError(t, in.Abort())
	})
	t.Run("an end before the end", func(t *testing.T) {
		in, _ := start(t)
		pull(t, in, info.Path, 1000, 5000)
		_, err := in.Finish()
		require.ErrorIs(t, err, snapshot.ErrIncomplete)
		pull(t, in, info.Path, 1<<20, 1<<40)
		_, err = in.Finish()
		require.NoError(t, err)
	})
	t.Run("another snapshot than announced", func(t *testing.T) {
		in, to := start(t)
		pull(t, in, other.Path, 1<<20, 1<<40)
		_, err := in.Finish()
		var damaged *snapshot.CorruptionError
		require.ErrorAs(t, err, &damaged)
		require.ErrorContains(t, err, "announced")
		requireNames(t, to)
	})
	t.Run("another slot than announced", func(t *testing.T) {
		to := t.TempDir()
		in, err := snapshot.Receive(to, 43, info.Digest, info.Size)
		require.NoError(t, err)
		pull(t, in, info.Path, 1<<20, 1<<40)
		_, err = in.Finish()
		var damaged *snapshot.CorruptionError
		require.ErrorAs(t, err, &damaged)
		requireNames(t, to)
	})
	t.Run("a flipped bit", func(t *testing.T) {
		in, to := start(t)
		b, err := os.ReadFile(info.Path)
		require.NoError(t, err)
		b[500_000] ^= 16
		require.NoError(t, in.Write(0, b))
		_, err = in.Finish()
		var damaged *snapshot.CorruptionError
		require.ErrorAs(t, err, &damaged)
		requireNames(t, to)
		_, err = in.Finish()
		require.ErrorIs(t, err, snapshot.ErrClosed)
	})
	t.Run("an impossible size", func(t *testing.T) {
		_, err := snapshot.Receive(t.TempDir(), 42, info.Digest, 10)
		require.ErrorContains(t, err, "a size of 10 bytes was announced")
	})
}

func TestAbortRemovesWhatWasReceived(t *testing.T) {
	info := write(t, t.TempDir(), header, noise(1, 1000))
	to := t.TempDir()
	in, err := snapshot.Receive(to, 42, info.Digest, info.Size)
	require.NoError(t, err)
	require.Equal(t, info.Size, in.Size())
	require.EqualValues(t, 42, in.Slot())
	pull(t, in, info.Path, 100, 500)
	require.NoError(t, in.Abort())
	requireNames(t, to)
}

func TestNewTransferRemovesTheUselessOnes(t *testing.T) {
	to := t.TempDir()
	for slot := uint64(1); slot <= 3; slot++ {
		in, err := snapshot.Receive(to, slot, [32]byte{byte(slot)}, 1000)
		require.NoError(t, err)
		require.NoError(t, in.Close())
	}
	in, err := snapshot.Receive(to, 2, [32]byte{2}, 1000)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	entries, err := os.ReadDir(to)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the transfer of slot 2, and that of slot 3 which is ahead of it")
}

func TestReadChunk(t *testing.T) {
	info := write(t, t.TempDir(), header, noise(1, 1000))
	all, err := os.ReadFile(info.Path)
	require.NoError(t, err)
	tests := map[string]struct {
		off   int64
		limit int
		want  []byte
	}{
		"front":           {0, 10, all[:10]},
		"middle":          {100, 50, all[100:150]},
		"beyond the end":  {info.Size - 5, 50, all[info.Size-5:]},
		"at the end":      {info.Size, 50, []byte{}},
		"whole and more":  {0, 1 << 30, all},
		"nothing, please": {7, 0, []byte{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := snapshot.ReadChunk(info.Path, tt.off, tt.limit)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	_, err = snapshot.ReadChunk(info.Path, info.Size+1, 1)
	require.ErrorContains(t, err, "not in")
	_, err = snapshot.ReadChunk(info.Path, -1, 1)
	require.Error(t, err)
	_, err = snapshot.ReadChunk(info.Path+"x", 0, 1)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
