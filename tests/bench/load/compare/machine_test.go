package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFileSystemOfADirectory(t *testing.T) {
	const mounts = `21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:20 / /tmp rw - tmpfs tmpfs rw
23 21 0:21 / /data rw - xfs /dev/vdb rw
24 23 0:22 / /data/fast rw shared:2 master:1 - btrfs /dev/vdc rw
malformed
`
	for path, want := range map[string]string{"/": "ext4", "/home/x": "ext4", "/data": "xfs", "/database": "ext4", "/data/fast/x": "btrfs"} {
		got, err := fileSystem(mounts, path)
		require.NoError(t, err)
		require.Equal(t, want, got, path)
	}
	_, err := fileSystem(mounts, "/tmp/x")
	require.ErrorContains(t, err, "/tmp/x is on tmpfs, where a sync costs nothing")
	_, err = fileSystem("", "/x")
	require.Error(t, err)
}

func TestFieldsOfProc(t *testing.T) {
	n, err := kibField("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n", "VmRSS:")
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, n)
	_, err = kibField("Name:\tx\n", "VmRSS:")
	require.Error(t, err)

	s, err := statTime("12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 250 150 0 0 20 0 1 0 5")
	require.NoError(t, err)
	require.InDelta(t, 4.0, s, 1e-9)
	_, err = statTime("12 (a) S 1")
	require.Error(t, err)
}

func TestProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := probe(dir)
	require.NoError(t, err)
	require.Positive(t, s.P50)
	require.LessOrEqual(t, s.P50, s.P99)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestProcessIsEndedByItsID(t *testing.T) {
	dir := t.TempDir()
	p := &process{name: "sleeper", line: []string{"sleep", "600"}}
	s := &system{name: "sleeper", processes: []*process{p}, ready: []func() error{func() error { return nil }}, dirs: []string{"data"}}
	require.NoError(t, s.start(t.Context(), dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "x"), make([]byte, 100_000), 0o600))
	f, err := s.footprint(dir)
	require.NoError(t, err)
	require.Positive(t, f.Memory)
	require.GreaterOrEqual(t, f.Highest, f.Memory)
	require.GreaterOrEqual(t, f.Disk, int64(100_000))
	_, err = s.processorTime()
	require.NoError(t, err)
	require.NoError(t, s.running())
	s.kill()
	require.ErrorIs(t, p.cmd.Process.Signal(syscall.Signal(0)), os.ErrProcessDone)
	require.ErrorContains(t, s.running(), "sleeper has ended")
	s.kill() // it may have ended
}

func TestProcessThatEndsTooSoonIsTold(t *testing.T) {
	p := &process{name: "broken", line: []string{"sh", "-c", "echo no such option; exit 3"}}
	s := &system{name: "broken", processes: []*process{p}, ready: []func() error{listens("127.0.0.1:1")}, dirs: []string{"data"}}
	begun := time.Now()
	err := s.start(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "broken has ended: exit status 3\nno such option")
	require.Less(t, time.Since(begun), 30*time.Second, "nobody waits for it")
	s.kill()

	none := &process{name: "none", line: []string{"./no-such-program"}}
	require.ErrorContains(t, none.start(t.TempDir()), "start none")
	none.kill()
}

func TestWrongFlagsAreTold(t *testing.T) {
	for want, args := range map[string][]string{
		"no --out":              nil,
		"--rounds":              {"--out", "x", "--rounds", "0"},
		`unexpected argument`:   {"--out", "x", "y"},
		"performance.json":      {"--out", t.TempDir(), "--render"},
		"where a sync costs no": {"--out", t.TempDir(), "--dir", "/dev/shm"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
}
