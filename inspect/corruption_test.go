package inspect

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/paxos"
	"diskv/wal"
)

// The table of damages of the log's own tests, on a data directory: what Verify says
// must be what a start makes of the same files.

const (
	seg1 = "wal/00000000000000000001/00000000000000000001"
	seg2 = "wal/00000000000000000002/00000000000000000001"
	seg3 = "wal/00000000000000000003/00000000000000000001"
	seg4 = "wal/00000000000000000004/00000000000000000001"
)

// rotten is a directory with a log of several segments, of which the last has a
// batch that no later frame vouches for.
func rotten(tb testing.TB) string {
	tb.Helper()
	b := ballot(1, 0)
	return makeDir(tb, identity(0), 640,
		[]wal.Record{set(1, b, 0, "one", "1"), state(b, 0)},
		[]wal.Record{set(2, b, 1, "two", strings.Repeat("2", 60)), set(3, b, 1, "three", strings.Repeat("3", 90))},
		[]wal.Record{set(4, b, 3, "four", strings.Repeat("4", 90)), state(b, 3)},
		[]wal.Record{set(5, b, 4, "five", strings.Repeat("5", 140)), set(6, b, 5, "six", "6")},
		[]wal.Record{set(7, b, 6, "seven", "7")},
		[]wal.Record{set(8, b, 7, "eight", "8"), set(9, b, 7, "nine", "")},
	)
}

// written returns a sound segment without the zeros that nothing was written to.
func written(t *testing.T, dir, name string) string {
	t.Helper()
	segment, err := wal.ScanSegment(filepath.Join(dir, name), func(wal.Record, int64) error { return nil })
	require.NoError(t, err)
	return golden.Tree(t, dir)[name][:segment.Bytes]
}

// agree checks that Verify and a start say the same of a directory.
func agree(t *testing.T, dir, what string) Verdict {
	t.Helper()
	before := golden.Tree(t, dir)
	c := verify(t, dir)
	require.Equal(t, before, golden.Tree(t, dir), "nothing is changed")
	require.Equal(t, start(t, dir), c.Verdict, "%s: %v", what, c.Fault)
	return c.Verdict
}

// verdicts counts them, to show that a table has all of them.
type verdicts map[Verdict]int

func TestFlippedBytes(t *testing.T) {
	dir := rotten(t)
	require.Equal(t, Well, agree(t, dir, "whole"))
	d, err := Open(dir)
	require.NoError(t, err)
	info, err := d.Info(nil)
	require.NoError(t, err)
	require.Equal(t, uint64(3), info.Log.LastSegment, "the table is about a log of three segments")
	seen := verdicts{}
	for _, name := range []string{seg1, seg2, seg3, "wal/MANIFEST"} {
		content := golden.Tree(t, dir)[name]
		for i := 0; i < len(content); i += 5 {
			write(t, dir, name, flip(content, i, 0x40))
			seen[agree(t, dir, fmt.Sprintf("%s, byte %d", name, i))]++
		}
		write(t, dir, name, content)
	}
	require.Positive(t, seen[Damaged])
	require.Positive(t, seen[Suspect])
}

func TestFlippedBytesOfIdentity(t *testing.T) {
	dir := rotten(t)
	content := golden.Tree(t, dir)["IDENTITY"]
	for i := range content {
		write(t, dir, "IDENTITY", flip(content, i, 0x40))
		c := verify(t, dir)
		require.Equal(t, Damaged, c.Verdict)
		require.Contains(t, c.Fault.Hex, "> 00000000  ")
		require.NoError(t, Dump(dir, Filter{}, nil, func(*Record) error { return nil }), "the log can be read all the same")
		write(t, dir, "IDENTITY", content)
	}
}

func TestCutFiles(t *testing.T) {
	dir := rotten(t)
	seen := verdicts{}
	for _, name := range []string{seg1, seg3, "wal/MANIFEST", "IDENTITY"} {
		content := golden.Tree(t, dir)[name]
		for i := 0; i < len(content); i += 3 {
			write(t, dir, name, content[:i])
			seen[agree(t, dir, fmt.Sprintf("%s cut to %d bytes", name, i))]++
		}
		write(t, dir, name, content)
	}
	require.Positive(t, seen[Damaged])
	require.Positive(t, seen[Torn])
}

func TestAppendedGarbage(t *testing.T) {
	dir := rotten(t)
	content := written(t, dir, seg3)
	for what, behind := range map[string]string{
		"less than a frame":   strings.Repeat("g", 30),
		"garbage":             strings.Repeat("garbage", 300),
		"ones":                strings.Repeat("\xff", 100),
		"a copy of the end":   content[len(content)-80:],
		"magics":              strings.Repeat("\xf7dkv", 200),
		"garbage, then zeros": strings.Repeat("g", 10) + strings.Repeat("\x00", 5000),
		"zeros, then garbage": strings.Repeat("\x00", 600) + strings.Repeat("g", 100),
		"an endless length":   "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + strings.Repeat("g", 100),
	} {
		write(t, dir, seg3, content+behind)
		require.NotEqual(t, Well, agree(t, dir, what))
		c := verify(t, dir)
		require.Equal(t, int64(len(content)), c.Fault.Offset, what)
		require.Contains(t, c.Fault.Hex, fmt.Sprintf("> %08x", len(content)/16*16))
		write(t, dir, seg3, content+behind+strings.Repeat("\x00", 1500))
		require.NotEqual(t, Well, agree(t, dir, what+", and nothing written behind it"))
	}
	for _, size := range []int{1, 300, 4096} {
		write(t, dir, seg3, content+strings.Repeat("\x00", size))
		require.Equal(t, Well, agree(t, dir, "zeros, where nothing was written yet"))
	}
	write(t, dir, seg3, content)
	write(t, dir, "wal/00000000000000000009/00000000000000000001", "x")
	require.Equal(t, Damaged, agree(t, dir, "a segment that MANIFEST does not know"))
}

func TestMissingAndStrangeFiles(t *testing.T) {
	whole := rotten(t)
	for what, change := range map[string]func(dir string) error{
		"no MANIFEST":        func(dir string) error { return os.Remove(filepath.Join(dir, "wal/MANIFEST")) },
		"no first segment":   func(dir string) error { return os.RemoveAll(filepath.Dir(filepath.Join(dir, seg1))) },
		"no middle segment":  func(dir string) error { return os.RemoveAll(filepath.Dir(filepath.Join(dir, seg2))) },
		"no tail":            func(dir string) error { return os.RemoveAll(filepath.Dir(filepath.Join(dir, seg3))) },
		"none made ready":    func(dir string) error { return os.RemoveAll(filepath.Dir(filepath.Join(dir, seg4))) },
		"no file":            func(dir string) error { return os.Remove(filepath.Join(dir, seg2)) },
		"no wal":             func(dir string) error { return os.RemoveAll(filepath.Join(dir, "wal")) },
		"segments exchanged": func(dir string) error { return os.Rename(filepath.Join(dir, seg2), filepath.Join(dir, seg1)) },
		"a file of tidwall":  func(dir string) error { return os.WriteFile(filepath.Join(dir, seg3)+".START", nil, 0o600) },
		"a directory for it": func(dir string) error {
			if err := os.Remove(filepath.Join(dir, seg2)); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(dir, seg2), 0o750)
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(tempDir(t), "data")
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			require.NoError(t, change(dir))
			require.Equal(t, Damaged, agree(t, dir, what))
		})
	}
	for _, name := range []string{"wal/MANIFEST.new", "wal/00000000000000000003/rewrite", "wal/notes.txt", "snapshot/00000000000000000042.snap.tmp"} {
		dir := filepath.Join(tempDir(t), "data")
		require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
		write(t, dir, name, "half")
		require.Equal(t, Well, agree(t, dir, name))
	}
}

func TestSuspicionLasts(t *testing.T) {
	dir := rotten(t)
	content := written(t, dir, seg3)
	write(t, dir, seg3, flip(content, len(content)-3, 4))
	c := verify(t, dir)
	require.Equal(t, Suspect, c.Verdict)
	l, report, err := wal.Open(filepath.Join(dir, "wal"), wal.Options{Quarantine: filepath.Join(dir, "quarantine")}, func(wal.Record) error { return nil })
	require.NoError(t, err)
	require.True(t, report.Suspect)
	require.NoError(t, l.Close())
	c = verify(t, dir)
	require.Equal(t, Suspect, c.Verdict, "the end was cut, and nobody has accepted that")
	require.Contains(t, c.Fault.Reason, "an earlier start")
}

func TestDamagedSnapshots(t *testing.T) {
	dir := rotten(t)
	h := paxos.HardState{Promised: ballot(1, 0), Commit: 6, Vector: vector()}
	path := addSnapshot(t, dir, 6, h)
	require.Equal(t, Well, agree(t, dir, "a snapshot within the log"))
	name, err := filepath.Rel(dir, path)
	require.NoError(t, err)
	content := golden.Tree(t, dir)[name]
	for i := 0; i < len(content); i += 7 {
		write(t, dir, name, flip(content, i, 2))
		require.Equal(t, Damaged, agree(t, dir, fmt.Sprintf("byte %d", i)))
		write(t, dir, name, content[:i])
		require.Equal(t, Damaged, agree(t, dir, fmt.Sprintf("cut to %d bytes", i)))
	}
	other := "snapshot/00000000000000000007.snap"
	require.NoError(t, os.Rename(path, filepath.Join(dir, other)))
	write(t, dir, other, content)
	require.Contains(t, verify(t, dir).Fault.Reason, "the name is of slot 7, the contents are of slot 6")
}

// FuzzVerify puts anything in the place of any file: there must be an answer.
func FuzzVerify(f *testing.F) {
	whole := rotten(f)
	addSnapshot(f, whole, 3, paxos.HardState{Promised: ballot(1, 0), Commit: 3, Vector: vector()})
	files := golden.Tree(f, whole)
	names := []string{"IDENTITY", "PEERS", "wal/MANIFEST", seg1, seg2, seg3, "snapshot/00000000000000000003.snap"}
	for n, name := range names {
		f.Add(uint8(n), []byte(files[name]))
		f.Add(uint8(n), []byte(strings.ToUpper(files[name])))
	}
	f.Fuzz(func(t *testing.T, n uint8, content []byte) {
		dir := filepath.Join(tempDir(t), "data")
		name := names[int(n)%len(names)]
		planted := maps.Clone(files)
		planted[name] = string(content)
		for name, content := range planted {
			write(t, dir, name, content)
		}
		c, err := Verify(dir, nil)
		if err != nil {
			require.ErrorContains(t, err, "version") // of a newer release
		} else if string(content) == files[name] {
			require.Equal(t, Well, c.Verdict)
		}
		if d, err := Open(dir); err == nil {
			_, err := d.Info(nil)
			require.NoError(t, err)
			for _, to := range []Moment{{Slot: 2}, {Slot: 5}, {Slot: 9, Accepted: true}, {Time: time.Unix(4, 0)}} {
				r, err := d.Replay(to, nil)
				require.Equal(t, err == nil, r != nil)
				if err != nil {
					require.NotEmpty(t, err.Error())
				} else if to.Slot != 0 {
					require.Equal(t, to.Slot, r.Slot)
				}
			}
		}
		for _, path := range []string{dir, filepath.Join(dir, name)} {
			err := Dump(path, Filter{ValueBytes: 10}, nil, func(r *Record) error {
				require.NotEmpty(t, r.Line(true))
				return nil
			})
			if err != nil {
				require.NotEmpty(t, err.Error())
			}
		}
	})
}

func TestPipesInPlaceOfFiles(t *testing.T) {
	for _, name := range []string{"IDENTITY", "PEERS", "wal/MANIFEST", seg1, seg3, "snapshot/00000000000000000003.snap"} {
		dir := rotten(t)
		addSnapshot(t, dir, 3, paxos.HardState{Promised: ballot(1, 0), Commit: 3, Vector: vector()})
		if name != "PEERS" {
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
		}
		require.NoError(t, syscall.Mkfifo(filepath.Join(dir, name), 0o600))
		// Nobody needs PEERS, and to a start the snapshot is not there.
		spared := name == "PEERS" || strings.HasPrefix(name, "snapshot")
		require.Equal(t, spared, verify(t, dir).Verdict == Well, name)
		for _, path := range []string{dir, filepath.Join(dir, name)} {
			require.NotPanics(t, func() { _ = Dump(path, Filter{}, nil, func(*Record) error { return nil }) })
		}
	}
}
