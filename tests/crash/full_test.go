package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// smallDisk is a file system of its own, with room for so many bytes. It returns
// nothing where that may not be mounted.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	if !*mount {
		return ""
	}
	dir := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.Mkdir(dir, 0o700))
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return ""
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// node starts a single node with its data on a disk.
func node(t *testing.T, o proc.Options, dir string) *proc.Member {
	t.Helper()
	o.Size = 1
	o.Dir = t.TempDir()
	g, err := proc.NewGroup(o)
	require.NoError(t, err)
	m := g.Members[0]
	m.Dir = dir
	t.Cleanup(func() {
		g.Close()
		if t.Failed() {
			t.Log(m.Output())
		}
	})
	return m
}

func startNode(t *testing.T, m *proc.Member, args ...string) *proc.Conn {
	t.Helper()
	require.NoError(t, m.Start(append([]string{"--dir", m.Dir}, args...)...))
	require.NoError(t, m.Ready(patiently(t)))
	c, err := m.Dial()
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// fill writes values under new keys until that fails, and returns how many were
// acknowledged, and the error.
func fill(c *proc.Conn, from int) (int, error) {
	value := strings.Repeat("v", 64<<10)
	for n := from; ; n++ {
		if _, err := c.Do("SET", fmt.Sprint("k", n), value); err != nil {
			return n, err
		}
	}
}

func free(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	return int64(st.Bavail) * st.Bsize
}

// lastLine returns what the process has said last.
func lastLine(m *proc.Member) string {
	lines := strings.Split(strings.TrimSpace(m.Output()), "\n")
	return lines[len(lines)-1]
}

func requireKeys(t *testing.T, c *proc.Conn, n int) {
	t.Helper()
	for i := range n {
		v, err := c.Do("STRLEN", fmt.Sprint("k", i))
		require.NoError(t, err)
		require.EqualValues(t, 64<<10, v.Int, "key %d of %d", i, n)
	}
}

func TestFullDisk(t *testing.T) {
	const size = 64 << 20
	ctx := patiently(t)
	disk := smallDisk(t, size)
	limited := disk == ""
	o := proc.Options{Binary: binary}
	if limited {
		// No file may grow beyond a size: the same for the log, with another error.
		t.Log("a file system may not be mounted here: the size of files is limited instead")
		disk = t.TempDir()
		o.Wrap = []string{"/bin/sh", "-c", `ulimit -f 2048; exec "$0" "$@"`}
	}
	m := node(t, o, filepath.Join(disk, "data"))
	written := 0
	var err error
	if !limited {
		// There is room above the floor for about half of the disk. Once that is
		// used the node notices, in a second at most.
		c := startNode(t, m, "--min-free-bytes", fmt.Sprint(size/2), "--snapshot-min-bytes", fmt.Sprint(size))
		for free(t, disk) >= size/2 {
			_, err = c.Do("SET", fmt.Sprint("k", written), strings.Repeat("v", 64<<10))
			require.NoError(t, err)
			written++
		}
		require.Eventually(t, func() bool {
			_, err = c.Do("SET", "over", "the floor")
			return err != nil
		}, patience, 20*time.Millisecond)
		var refused resp.ErrorReply
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "MISCONF", refused.Code())
		requireKeys(t, c, written)
		_, err = c.Do("DEL", "nosuch")
		require.NoError(t, err, "what frees is executed")

		require.NoError(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", 2*size)))
		require.Eventually(t, func() bool {
			_, err := c.Do("SET", "resumed", "yes")
			return err == nil
		}, patience, 20*time.Millisecond, "writes resume by themselves")
		require.NoError(t, m.Kill())
		require.NoError(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", size)))
	}

	// Without a floor the disk is filled to the last byte.
	c := startNode(t, m, "--min-free-bytes", "1", "--snapshot-min-bytes", fmt.Sprint(size))
	written, err = fill(c, written)
	require.Error(t, err)
	status, err := m.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, status)
	last := lastLine(m)
	t.Logf("%d values written; then: %s", written, last)
	require.True(t, strings.HasPrefix(last, "diskvd: log: log "+filepath.Join(m.Dir, "wal")+" failed, nothing more is written to it: "), last)
	if !limited {
		require.Contains(t, last, syscall.ENOSPC.Error())
		require.Contains(t, last, "nothing acknowledged is lost: make room on the disk of "+m.Dir+" and start again")
	}

	if !limited {
		// A start that finds no room says so, and is harmless. What was made ready for the
		// log may be room enough for a start: then that is filled, too.
		for ready := true; ready; {
			require.NoError(t, m.Start("--dir", m.Dir, "--min-free-bytes", "1", "--snapshot-min-bytes", fmt.Sprint(4*size)))
			require.Eventually(t, func() bool {
				_, err := m.Get("/readyz")
				ready = err == nil
				return ready || !m.Running()
			}, patience, 5*time.Millisecond)
			if ready {
				c, err := m.Dial()
				require.NoError(t, err)
				t.Cleanup(c.Close)
				written, err = fill(c, written)
				require.Error(t, err)
			}
			status, err := m.Wait(ctx)
			require.NoError(t, err)
			require.Equal(t, 1, status)
		}
		require.Contains(t, lastLine(m), "no space left on device; nothing acknowledged is lost: make room on the disk of ")
		require.NoError(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", 4*size)))
	}
	m.Unwrap()
	c = startNode(t, m, "--min-free-bytes", "1")
	requireKeys(t, c, written)
	_, err = c.Do("SET", "room", "again")
	require.NoError(t, err)
}
