package faultfs_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"diskv/tests/faultfs"
	"diskv/tests/powerloss"
)

func TestFailedSyncIsSeenAndNotOnTheDisk(t *testing.T) {
	d := newDisk(t)
	d.write("f", 0, "old")
	d.sync("f")
	d.sync(".")
	a := d.Fault(faultfs.Fault{Op: faultfs.OpSync, Path: "f", Err: syscall.EIO, Count: 1})
	f := d.open("f", os.O_RDWR)
	_, err := f.WriteAt([]byte("new"), 0)
	require.NoError(t, err)
	require.ErrorIs(t, f.Sync(), syscall.EIO)
	assert.Equal(t, 1, a.Hits())
	require.NoError(t, f.Sync(), "a second sync has nothing to write")
	assert.Equal(t, "new", d.read("f"))

	d.DropCaches()
	assert.Equal(t, "old", d.read("f"))
}

func TestWritesFail(t *testing.T) {
	d := newDisk(t)
	d.Fault(faultfs.Fault{Op: faultfs.OpWrite, Path: "dir/f*", Err: syscall.EIO, Short: 700, After: 1})
	require.NoError(t, os.Mkdir(d.path("dir"), 0o700))
	f := d.open("dir/f1", os.O_RDWR|os.O_CREATE)
	_, err := f.Write([]byte("first "))
	require.NoError(t, err)
	second := strings.Repeat("second", 200)
	n, err := f.Write([]byte(second))
	require.ErrorIs(t, err, syscall.EIO)
	assert.Equal(t, 512-len("first "), n, "to the end of a sector")
	assert.Equal(t, "first "+second[:n], d.read("dir/f1"))
	d.write("dir/g", 0, "other files are well")
	d.Clear()
	_, err = f.Write([]byte(second[n:]))
	require.NoError(t, err)
	assert.Equal(t, "first "+second, d.read("dir/f1"))
	d.Fault(faultfs.Fault{Op: faultfs.OpWrite, Err: syscall.ENOSPC, Short: 3})
	n, err = f.Write([]byte(second))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Zero(t, n, "no sector is whole")
}

func TestOtherOperationsFail(t *testing.T) {
	d := newDisk(t)
	d.write("f", 0, "f")
	require.NoError(t, os.Mkdir(d.path("dir"), 0o700))
	for _, c := range []struct {
		op faultfs.Op
		do func() error
	}{
		{faultfs.OpCreate, func() error { return os.WriteFile(d.path("g"), nil, 0o600) }},
		{faultfs.OpMkdir, func() error { return os.Mkdir(d.path("e"), 0o700) }},
		{faultfs.OpRename, func() error { return os.Rename(d.path("f"), d.path("h")) }},
		{faultfs.OpRemove, func() error { return os.Remove(d.path("f")) }},
		{faultfs.OpTruncate, func() error { return os.Truncate(d.path("f"), 0) }},
		{faultfs.OpOpen, func() error { _, err := os.ReadFile(d.path("f")); return err }},
		{faultfs.OpRead, func() error { _, err := os.ReadFile(d.path("f")); return err }},
		{faultfs.OpSyncDir, func() error {
			f, err := os.Open(d.path("dir"))
			require.NoError(t, err)
			defer func() { _ = f.Close() }()
			return f.Sync()
		}},
	} {
		before := describe(d.State())
		d.Fault(faultfs.Fault{Op: c.op, Err: syscall.ENOSPC})
		require.ErrorIs(t, c.do(), syscall.ENOSPC, "operation %b", c.op)
		assert.Equal(t, before, describe(d.State()), "operation %b", c.op)
		d.Clear()
	}
}

func TestFullDisk(t *testing.T) {
	d := newDisk(t)
	d.write("f", 0, "four")
	d.Free(1024)
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(d.Dir(), &st))
	assert.EqualValues(t, 1024, int64(st.Bavail)*st.Bsize)
	f := d.open("g", os.O_RDWR|os.O_CREATE)
	n, err := f.Write(make([]byte, 2000))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Equal(t, 1024, n, "what there was room for")
	_, err = f.WriteAt([]byte("overwriting takes no room"), 0)
	require.NoError(t, err)
	require.NoError(t, os.Remove(d.path("f")))
	_, err = f.WriteAt([]byte("four"), 1024)
	require.NoError(t, err)
	d.Free(-1)
	_, err = f.WriteAt(make([]byte, 4000), 2000)
	require.NoError(t, err)
}

func TestSyncThatIsSlow(t *testing.T) {
	d := newDisk(t)
	d.write("f", 0, "x")
	a := d.Fault(faultfs.Fault{Op: faultfs.OpSync, Delay: time.Hour})
	f := d.open("f", os.O_RDWR)
	done := make(chan error)
	go func() { done <- f.Sync() }()
	require.Eventually(t, func() bool { return a.Hits() == 1 }, 5*time.Second, time.Millisecond)
	d.write("g", 0, "others go on meanwhile")
	select {
	case err := <-done:
		t.Fatal("the sync has ended: ", err)
	default:
	}
	d.Clear()
	require.NoError(t, <-done)

	go func() { done <- f.Sync() }()
	require.NoError(t, <-done)
	b := d.Fault(faultfs.Fault{Op: faultfs.OpSync, Delay: time.Hour})
	go func() { done <- f.Sync() }()
	require.Eventually(t, func() bool { return b.Hits() == 1 }, 5*time.Second, time.Millisecond)
	d.PowerCut(0)
	require.ErrorIs(t, <-done, syscall.EIO)
}

func TestProcessThatWaitsCanBeKilled(t *testing.T) {
	d := newDisk(t)
	a := d.Fault(faultfs.Fault{Op: faultfs.OpRead, Delay: time.Hour})
	d.write("f", 0, "x")
	cmd := exec.Command("cat", d.path("f"))
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return a.Hits() == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func TestOpenFilesAreDeadAfterACut(t *testing.T) {
	d := newDisk(t)
	d.write("f", 0, "x")
	d.sync("f")
	d.sync(".")
	f := d.open("f", os.O_RDWR)
	d.PowerCut(1)
	check := func() {
		_, err := f.WriteAt([]byte("y"), 0)
		require.ErrorIs(t, err, syscall.EIO)
		_, err = f.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorIs(t, f.Sync(), syscall.EIO)
		require.ErrorIs(t, f.Truncate(0), syscall.EIO)
	}
	check()
	_, err := os.Open(d.path("f"))
	require.ErrorIs(t, err, syscall.EIO)
	d.PowerOn()
	check()
	assert.Equal(t, "x", d.read("f"))
}

func TestLocksAndSockets(t *testing.T) {
	d := newDisk(t)
	f, g := d.open("LOCK", os.O_RDWR|os.O_CREATE), d.open("LOCK", os.O_RDWR|os.O_CREATE)
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	require.ErrorIs(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB), syscall.EWOULDBLOCK)
	require.NoError(t, f.Close())
	require.NoError(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB))

	l, err := net.Listen("unix", d.path("s"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	c, err := net.Dial("unix", d.path("s"))
	require.NoError(t, err)
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
	require.NoError(t, c.Close())
}

func TestFilesThatWereRemovedLiveWhileTheyAreOpen(t *testing.T) {
	d := newDisk(t)
	f := d.open("f", os.O_RDWR|os.O_CREATE)
	require.NoError(t, os.Remove(d.path("f")))
	for range 600 { // enough for memory to be given back
		d.write("g", 0, "g")
		require.NoError(t, os.Remove(d.path("g")))
	}
	_, err := f.WriteAt([]byte("alive"), 0)
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = f.ReadAt(b, 0)
	require.NoError(t, err)
	assert.Equal(t, "alive", string(b))
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, 10))
	info, err := f.Stat()
	require.NoError(t, err)
	assert.EqualValues(t, 10, info.Size())
}

func TestRecordingBegins(t *testing.T) {
	d := newDisk(t)
	d.write("f", 0, "before")
	d.Record()
	assert.Zero(t, d.Position())
	d.write("f", 0, "behind")
	assert.Equal(t, 1, d.Position())
	r := d.Recorded()
	assert.Equal(t, "before", string(r.Start.Seen()[0].Data))
	assert.Equal(t, powerloss.Write, r.Ops[0].Kind)
}
