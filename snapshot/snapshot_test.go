package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/snapshot"
)

func write(tb testing.TB, dir string, h snapshot.Header, records ...[]byte) snapshot.Info {
	tb.Helper()
	info, err := snapshot.Create(dir, h, func(add func([]byte) error) error {
		for _, r := range records {
			if err := add(r); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(tb, err)
	return info
}

func read(t *testing.T, path string) [][]byte {
	t.Helper()
	r, err := snapshot.Open(path)
	require.NoError(t, err)
	defer r.Close()
	var records [][]byte
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return records
		}
		require.NoError(t, err)
		records = append(records, append([]byte{}, record...))
	}
}

// noise returns n bytes that do not compress.
func noise(seed uint64, n int) []byte {
	key := [32]byte{byte(seed)}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

var header = snapshot.Header{Cluster: 0xc1, Group: 3, Slot: 42, Config: 7, LogTime: 1_700_000_000_000_000_000, State: []byte("hard state")}

func TestRecordsComeBackInOrder(t *testing.T) {
	many := make([][]byte, 20_000)
	for i := range many {
		many[i] = fmt.Appendf(nil, "key %d: %s", i, bytes.Repeat([]byte("v"), i%100))
	}
	const block = 256 << 10
	tests := map[string][][]byte{
		"nothing":                nil,
		"one empty record":       {{}},
		"many":                   many,
		"exactly a block":        {noise(1, block-4), []byte("next")},
		"one byte over a block":  {[]byte("before"), noise(1, block-3), []byte("next")},
		"long, compressible":     {bytes.Repeat([]byte("ab"), 3<<20), {}, []byte("next")},
		"long, not compressible": {noise(2, 5<<20), noise(3, 2*block-4), noise(4, 2*block-3)},
	}
	for name, records := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			info := write(t, dir, header, records...)
			require.Equal(t, records, read(t, info.Path))

			raw := 0
			for _, r := range records {
				raw += len(r)
			}
			st, err := os.Stat(info.Path)
			require.NoError(t, err)
			require.Equal(t, snapshot.Info{
				Path: snapshot.Path(dir, 42), Header: header, Size: st.Size(),
				Records: uint64(len(records)), RawBytes: uint64(raw), Digest: info.Digest,
			}, info)

			verified, err := snapshot.Verify(info.Path)
			require.NoError(t, err)
			require.Equal(t, info, verified)
			newest, ok, err := snapshot.Newest(dir)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, info, newest)
			r, err := snapshot.Open(info.Path)
			require.NoError(t, err)
			require.Equal(t, header, r.Header())
			require.Equal(t, info, r.Info())
			require.NoError(t, r.Close())
		})
	}
}

func TestOneValueTakesLittleSpace(t *testing.T) {
	h := header
	h.State = noise(1, 100)
	info := write(t, t.TempDir(), h, noise(2, 1040))
	require.Less(t, info.Size, int64(1400))
}

func TestAddCopiesTheRecord(t *testing.T) {
	buf := []byte("first")
	info, err := snapshot.Create(t.TempDir(), header, func(add func([]byte) error) error {
		err := add(buf)
		copy(buf, "XXXXX")
		return err
	})
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("first")}, read(t, info.Path))
}

func TestCreateRefusesAndLeavesNothing(t *testing.T) {
	mine := errors.New("the caller's own error")
	tests := map[string]struct {
		state []byte
		write func(add func([]byte) error) error
		want  error
	}{
		"state too large": {make([]byte, snapshot.MaxState+1), func(func([]byte) error) error { return nil }, snapshot.ErrTooLarge},
		"record too large, error overlooked": {nil, func(add func([]byte) error) error {
			_ = add(make([]byte, snapshot.MaxRecord+1))
			_ = add([]byte("more"))
			return nil
		}, snapshot.ErrTooLarge},
		"write fails": {nil, func(add func([]byte) error) error {
			return errors.Join(add(noise(1, 1<<20)), mine)
		}, mine},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := snapshot.Create(dir, snapshot.Header{Slot: 1, State: tt.state}, tt.write)
			require.ErrorIs(t, err, tt.want)
			requireNames(t, dir)
		})
	}
	t.Run("write panics", func(t *testing.T) {
		dir := t.TempDir()
		require.Panics(t, func() {
			_, _ = snapshot.Create(dir, header, func(func([]byte) error) error { panic("mine") })
		})
		requireNames(t, dir)
	})
	t.Run("add called too late", func(t *testing.T) {
		var late func([]byte) error
		_, err := snapshot.Create(t.TempDir(), header, func(add func([]byte) error) error {
			late = add
			return nil
		})
		require.NoError(t, err)
		require.ErrorContains(t, late([]byte("x")), "add was called after")
	})
	t.Run("no directory", func(t *testing.T) {
		_, err := snapshot.Create(filepath.Join(t.TempDir(), "missing"), header, func(func([]byte) error) error { return nil })
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func requireNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, want, names)
}

func TestReaderKeepsItsFileWhenTheSnapshotIsReplacedOrRemoved(t *testing.T) {
	dir := t.TempDir()
	info := write(t, dir, header, []byte("old"))
	r, err := snapshot.Open(info.Path)
	require.NoError(t, err)
	defer r.Close()
	write(t, dir, header, []byte("new"))
	require.NoError(t, os.Remove(info.Path))
	record, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, "old", string(record))
	_, err = r.Next()
	require.ErrorIs(t, err, io.EOF)
	_, err = r.Next()
	require.ErrorIs(t, err, io.EOF)
}

func TestReaderCanBeClosedInTheMiddle(t *testing.T) {
	info := write(t, t.TempDir(), header, noise(1, 10<<20), noise(2, 10<<20))
	for _, steps := range []int{0, 1} {
		r, err := snapshot.Open(info.Path)
		require.NoError(t, err)
		for range steps {
			_, err := r.Next()
			require.NoError(t, err)
		}
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		_, err = r.Next()
		require.ErrorIs(t, err, snapshot.ErrClosed)
	}
}

func TestVerifyNeedsLittleMemory(t *testing.T) {
	record := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	info := write(t, t.TempDir(), header, record)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := snapshot.Verify(info.Path)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	_, ok, err := snapshot.Newest(dir)
	require.NoError(t, err)
	require.False(t, ok)
	_, _, err = snapshot.Newest(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	for _, slot := range []uint64{9, 100, 20} {
		write(t, dir, snapshot.Header{Slot: slot}, noise(slot, 2000))
	}
	for _, leftover := range []string{
		fmt.Sprintf("%020d.snap.tmp", 900), fmt.Sprintf("%020d-%064x-5000.part", 900, 1), "900.snap", "notes.txt",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, leftover), []byte("half of"), 0o600))
	}
	require.NoError(t, os.Mkdir(snapshot.Path(dir, 901), 0o700))
	info, ok, err := snapshot.Newest(dir)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 100, info.Header.Slot)
	slots, err := snapshot.List(dir)
	require.NoError(t, err)
	require.Equal(t, []uint64{9, 20, 100}, slots)

	var damaged *snapshot.CorruptionError
	for name, change := range map[string]func(b []byte) []byte{
		"cut":            func(b []byte) []byte { return b[:len(b)-1] },
		"empty":          func([]byte) []byte { return nil },
		"footer flipped": func(b []byte) []byte { b[len(b)-50] ^= 1; return b },
		"header flipped": func(b []byte) []byte { b[30] ^= 1; return b },
	} {
		good, err := os.ReadFile(info.Path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(info.Path, change(bytes.Clone(good)), 0o600))
		_, _, err = snapshot.Newest(dir)
		require.ErrorAs(t, err, &damaged, name)
		require.Equal(t, info.Path, damaged.File)
		require.NoError(t, os.WriteFile(info.Path, good, 0o600))
	}

	require.NoError(t, os.Rename(info.Path, snapshot.Path(dir, 101)))
	_, _, err = snapshot.Newest(dir)
	require.ErrorAs(t, err, &damaged)
	require.ErrorContains(t, err, "the name is of slot 101, the contents are of slot 100")
}

func TestClean(t *testing.T) {
	part := func(slot int) string { return fmt.Sprintf("%020d-%064x-5000.part", slot, slot) }
	snap := func(slot int) string { return fmt.Sprintf("%020d.snap", slot) }
	temp := func(slot int) string { return fmt.Sprintf("%020d.snap.tmp", slot) }
	all := []string{part(10), snap(10), temp(10), snap(20), snap(30), temp(30), part(40), snap(40), "other.txt"}
	tests := map[string]struct {
		keep    uint64
		options []snapshot.CleanOption
		want    []string
		err     error
	}{
		"lowest":    {10, nil, []string{snap(10), snap(20), snap(30), part(40), snap(40), "other.txt"}, nil},
		"middle":    {30, nil, []string{snap(30), part(40), snap(40), "other.txt"}, nil},
		"newest":    {40, nil, []string{snap(40), "other.txt"}, nil},
		"pinned":    {30, []snapshot.CleanOption{snapshot.Pinned(10, 5)}, []string{snap(10), snap(30), part(40), snap(40), "other.txt"}, nil},
		"transfers": {30, []snapshot.CleanOption{snapshot.DropTransfers()}, []string{snap(30), snap(40), "other.txt"}, nil},
		"missing":   {25, nil, all, fs.ErrNotExist},
		"nothing":   {0, nil, []string{snap(10), snap(20), snap(30), part(40), snap(40), part(10), "other.txt"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range all {
				require.NoError(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
			}
			require.ErrorIs(t, snapshot.Clean(dir, tt.keep, tt.options...), tt.err)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			require.ElementsMatch(t, tt.want, names)
		})
	}
}
