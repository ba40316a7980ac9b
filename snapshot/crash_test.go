package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const memDir = "data/snapshot"

// noise returns n bytes that S2 cannot make shorter.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// createOf writes the given records at slot.
func createOf(d disk, slot uint64, records ...[]byte) (Info, error) {
	return create(d, memDir, Header{Cluster: 1, Group: 2, Slot: slot}, func(add func([]byte) error) error {
		for _, r := range records {
			if err := add(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// contents reads all records of the newest snapshot.
func contents(d disk) (uint64, [][]byte, error) {
	info, ok, err := newest(d, memDir)
	if err != nil || !ok {
		return 0, nil, err
	}
	r, err := openReader(d, info.Path)
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	var records [][]byte
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return info.Header.Slot, records, nil
		}
		if err != nil {
			return 0, nil, err
		}
		records = append(records, append([]byte{}, record...))
	}
}

// requireSame compares megabytes, which require.Equal does byte by byte.
func requireSame(t *testing.T, want, got [][]byte, at string) {
	t.Helper()
	require.True(t, slices.EqualFunc(want, got, bytes.Equal), at)
}

// powerCuts calls check with each disk that a power cut at this moment may
// leave: contents that were not flushed are there, or not, or the first half of
// them; names that were not flushed are there or not.
func powerCuts(d *memDisk, check func(name string, left *memDisk)) {
	for names, set := range map[string]map[string]*memInode{"flushed names": d.durable, "all names": d.names} {
		for data, of := range map[string]func(*memInode) []byte{
			"flushed bytes": func(i *memInode) []byte { return i.durable },
			"all bytes":     func(i *memInode) []byte { return i.data },
			"half the bytes": func(i *memInode) []byte {
				return i.data[:max(len(i.data)/2, min(len(i.durable), len(i.data)))]
			},
			"zeros": func(i *memInode) []byte {
				return append(append([]byte{}, i.durable...), make([]byte, max(0, len(i.data)-len(i.durable)))...)
			},
		} {
			check(names+", "+data, d.after(set, of))
		}
	}
}

func TestCreateIsAtomicAtEachStep(t *testing.T) {
	old := [][]byte{[]byte("old"), noise(1, 1000)}
	young := [][]byte{[]byte("young"), noise(2, flushEvery+1), {}, []byte("end")}
	for name, slot := range map[string]uint64{"newer slot": 20, "same slot": 10} {
		t.Run(name, func(t *testing.T) {
			start := func() *memDisk {
				d := newMemDisk()
				_, err := createOf(d, 10, old...)
				require.NoError(t, err)
				d.ops = 0
				return d
			}
			whole := start()
			_, err := createOf(whole, slot, young...)
			require.NoError(t, err)
			require.Greater(t, whole.ops, 20)

			for step := 1; step <= whole.ops+1; step++ {
				d := start()
				d.failAt, d.crash = step, true
				_, err := createOf(d, slot, young...)
				if step <= whole.ops {
					require.ErrorIs(t, err, errInjected)
				} else {
					require.NoError(t, err)
				}
				powerCuts(d, func(state string, left *memDisk) {
					at := fmt.Sprintf("crash at step %d, %s", step, state)
					got, records, readErr := contents(left)
					require.NoError(t, readErr, at)
					if err == nil {
						require.Equal(t, slot, got, at)
						requireSame(t, young, records, at)
						return
					}
					if len(records) == len(young) {
						require.Equal(t, slot, got, at)
						requireSame(t, young, records, at)
					} else {
						require.EqualValues(t, 10, got, at)
						requireSame(t, old, records, at)
					}
					// What is left over is in nobody's way.
					require.NoError(t, clean(left, memDir, got), at)
					require.Len(t, left.names, 1, at)
					_, err := createOf(left, 30, old...)
					require.NoError(t, err, at)
				})
			}
		})
	}
}

func TestCreateThatFailsLeavesTheDirectoryAsItWas(t *testing.T) {
	old := [][]byte{[]byte("old")}
	young := [][]byte{noise(3, 300<<10)}
	probe := newMemDisk()
	_, err := createOf(probe, 20, young...)
	require.NoError(t, err)

	for step := 1; step < probe.ops; step++ { // the last one is the directory's flush
		d := newMemDisk()
		_, err := createOf(d, 10, old...)
		require.NoError(t, err)
		d.ops, d.failAt = 0, step
		_, err = createOf(d, 20, young...)
		require.ErrorIs(t, err, errInjected)
		require.Len(t, d.names, 1, "step %d", step)
		slot, records, err := contents(d)
		require.NoError(t, err)
		require.EqualValues(t, 10, slot)
		require.Equal(t, old, records)
	}
}

func TestTransferSurvivesACrashAtEachStep(t *testing.T) {
	src := newMemDisk()
	records := [][]byte{[]byte("first"), noise(4, 900<<10), []byte("last")}
	info, err := createOf(src, 20, records...)
	require.NoError(t, err)
	file := src.names[info.Path].data
	const chunk = 100_000

	transfer := func(d disk) (int64, error) {
		in, err := receive(d, memDir, 20, info.Digest, info.Size)
		if err != nil {
			return 0, err
		}
		begin := in.Offset()
		for in.Offset() < in.Size() {
			off := in.Offset()
			if err := in.Write(off, file[off:min(off+chunk, in.Size())]); err != nil {
				return begin, err
			}
		}
		_, err = in.Finish()
		return begin, err
	}
	whole := newMemDisk()
	_, err = transfer(whole)
	require.NoError(t, err)

	resumed := false
	for step := 1; step <= whole.ops+1; step++ {
		d := newMemDisk()
		d.failAt, d.crash = step, true
		_, err := transfer(d)
		require.Equal(t, step > whole.ops, err == nil)
		powerCuts(d, func(state string, left *memDisk) {
			at := fmt.Sprintf("crash at step %d, %s", step, state)
			_, got, readErr := contents(left)
			require.NoError(t, readErr, at)
			if err == nil {
				requireSame(t, records, got, at)
			}
			begin, again := transfer(left)
			require.NoError(t, again, at)
			resumed = resumed || begin > 0
			_, got, readErr = contents(left)
			require.NoError(t, readErr, at)
			requireSame(t, records, got, at)
			require.Len(t, left.names, 1, at)
		})
	}
	require.True(t, resumed, "no crash left anything to go on from")
}

func TestFailedFlushOfATransferLeavesNothingToRelyOn(t *testing.T) {
	src := newMemDisk()
	info, err := createOf(src, 20, noise(5, 2000))
	require.NoError(t, err)
	d := newMemDisk()
	in, err := receive(d, memDir, 20, info.Digest, info.Size)
	require.NoError(t, err)
	require.NoError(t, in.Write(0, src.names[info.Path].data))
	d.failAt = d.ops + 1
	_, err = in.Finish()
	require.ErrorIs(t, err, errInjected)
	require.Empty(t, d.names)
	require.NoError(t, in.Close())
}

func TestReadBackCatchesADiskThatChangesBytes(t *testing.T) {
	d := newMemDisk()
	path := tempPath(memDir, 7)
	_, err := create(lyingDisk{d}, memDir, Header{Slot: 7}, func(add func([]byte) error) error {
		return add(noise(6, 100))
	})
	var damaged *CorruptionError
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, path, filepath.Clean(damaged.File))
	require.Empty(t, d.names, "a damaged file got a name")
}

// lyingDisk gives back other bytes than were written.
type lyingDisk struct{ *memDisk }

func (d lyingDisk) create(path string) (file, error) {
	f, err := d.memDisk.create(path)
	if err != nil {
		return nil, err
	}
	return lyingFile{f}, nil
}

type lyingFile struct{ file }

func (f lyingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	for i := range b[:n] {
		if off+int64(i) == 100 {
			b[i] ^= 4
		}
	}
	return n, err
}
