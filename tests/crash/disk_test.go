package crash

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/tests/faultfs"
	"diskv/tests/powerloss"
	"diskv/tests/proc"
)

// disked is a group whose members each have a disk that can lose power and fail.
type disked struct {
	*proc.Group
	disks []*faultfs.FS
}

// newDisked starts a group on such disks and waits until it is ready.
func newDisked(t *testing.T, size int, args ...string) *disked {
	t.Helper()
	d := &disked{}
	for range size {
		d.disks = append(d.disks, faultfs.New(t, faultfs.Options{}))
	}
	d.Group = newGroupWith(t, proc.Options{
		Size: size, Args: args,
		Place: func(i int) proc.Place { return proc.Place{Dir: filepath.Join(d.disks[i].Dir(), "data")} },
	})
	return d
}

// cut cuts the power of members, all at once, and starts them again.
func (d *disked) cut(t *testing.T, seed uint64, members ...*proc.Member) {
	t.Helper()
	for _, m := range members {
		d.disks[m.Index].PowerCut(seed + uint64(m.Index))
	}
	for _, m := range members {
		require.NoError(t, m.Kill())
	}
	for _, m := range members {
		d.disks[m.Index].PowerOn()
		require.NoError(t, m.Start())
	}
}

// requireNoLostDisk: a cut is no reason for a member to vote no more.
func (d *disked) requireNoLostDisk(t *testing.T) {
	t.Helper()
	for _, m := range d.Members {
		require.Zero(t, fieldOf(t, m, "epoch"), "no disk counts as lost")
		require.NotContains(t, m.Output(), "has lost its disk")
	}
}

func TestPowerCutOfOneUnderLoad(t *testing.T) {
	t.Parallel()
	d := newDisked(t, 3, "--snapshot-min-bytes", "16384")
	l := startLoad(t, d.Group)
	for seed := range uint64(6) {
		l.awaitMore(150)
		m := d.Members[seed%3]
		d.cut(t, 10*seed, m)
		require.NoError(t, m.Ready(patiently(t)))
	}
	l.stop()
	require.NoError(t, d.Converged(patiently(t)))
	l.verify()
	d.requireNoLostDisk(t)
}

func TestPowerCutOfAllOnDisksThatLoseWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	d := newDisked(t, 3, "--snapshot-min-bytes", "16384")
	l := startLoad(t, d.Group)
	for seed := range uint64(5) {
		l.awaitMore(150)
		d.cut(t, 10*seed, d.Members...)
		l.awaitMore(1)
	}
	l.stop()
	require.NoError(t, d.Converged(patiently(t)))
	l.verify()
	d.requireNoLostDisk(t)
}

// writeUntil writes values under new keys until that fails, and returns how many were
// acknowledged.
func writeUntil(t *testing.T, m *proc.Member, from int) int {
	t.Helper()
	c, err := m.Dial()
	require.NoError(t, err)
	defer c.Close()
	end := time.Now().Add(patience)
	for n := from; ; n++ {
		if _, err := c.Do("SET", fmt.Sprint("k", n), value(n)); err != nil {
			return n
		}
		require.True(t, time.Now().Before(end), "the fault is met")
	}
}

func value(n int) string { return fmt.Sprint(n, " ", strings.Repeat("v", n*997%20_000)) }

// requireThere asks for all values that were acknowledged, and returns whether the one
// behind them is there too: it may be.
func requireThere(t *testing.T, m *proc.Member, n int) bool {
	t.Helper()
	require.NoError(t, m.Ready(patiently(t)))
	c, err := m.Dial()
	require.NoError(t, err)
	defer c.Close()
	get := func(i int) (string, bool) {
		v, err := c.Do("GET", fmt.Sprint("k", i))
		require.NoError(t, err)
		return string(v.Str), !v.IsNull()
	}
	for i := range n {
		v, _ := get(i)
		require.Equal(t, value(i), v, "key %d of %d", i, n)
	}
	v, more := get(n)
	if more {
		require.Equal(t, value(n), v)
	}
	return more
}

// Each fault ends the process with one clear line, and what was acknowledged is there
// at the next start: with the page cache as it is, and after a power cut behind that.
func TestDiskThatFailsEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault faultfs.Fault
		says  syscall.Errno
	}{
		{"a sync", faultfs.Fault{Op: faultfs.OpSync, Path: "data/wal/", Err: syscall.EIO, After: 150, Count: 1}, syscall.EIO},
		{"a write", faultfs.Fault{Op: faultfs.OpWrite, Path: "data/wal/", Err: syscall.EIO, After: 150}, syscall.EIO},
		{"a write that is cut short", faultfs.Fault{Op: faultfs.OpWrite, Path: "data/wal/", Err: syscall.EIO, Short: 1000, After: 150}, syscall.EIO},
		{"no space for an append", faultfs.Fault{Op: faultfs.OpWrite, Path: "data/wal/", Err: syscall.ENOSPC, Short: 700, After: 150}, syscall.ENOSPC},
		{"no space for a segment", faultfs.Fault{Op: faultfs.OpMkdir, Path: "data/wal/", Err: syscall.ENOSPC}, syscall.ENOSPC},
		{"no space for the name of a segment", faultfs.Fault{Op: faultfs.OpSyncDir, Path: "data/wal/", Err: syscall.ENOSPC}, syscall.ENOSPC},
		{"no space for MANIFEST", faultfs.Fault{Op: faultfs.OpWrite | faultfs.OpCreate, Path: "MANIFEST.new", Err: syscall.ENOSPC}, syscall.ENOSPC},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDisked(t, 1, "--snapshot-min-bytes", "32768", "--min-free-bytes", "1")
			m, disk := d.Members[0], d.disks[0]
			armed := disk.Fault(c.fault)
			n := writeUntil(t, m, 0)
			status, err := m.Wait(patiently(t))
			require.NoError(t, err)
			assert.Equal(t, 1, status)
			assert.NotZero(t, armed.Hits())
			last := lastLine(m)
			assert.Contains(t, last, "diskvd: ")
			assert.Contains(t, last, c.says.Error())
			if c.says == syscall.ENOSPC {
				assert.Contains(t, last, "nothing acknowledged is lost: make room on the disk of "+m.Dir+" and start again")
			}

			disk.Clear()
			require.NoError(t, m.Start())
			more := requireThere(t, m, n)
			disk.PowerCut(0)
			require.NoError(t, m.Kill())
			disk.PowerOnWith(powerloss.Variant{Kind: powerloss.Dropped})
			require.NoError(t, m.Start())
			assert.Equal(t, more, requireThere(t, m, n), "what was read once is there for good")
			t.Logf("%d values were acknowledged; then: %s", n, last)
		})
	}
}

// A snapshot that cannot be written is no reason to stop: it is tried again, after 10 s,
// and the log is kept until then.
func TestSnapshotThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faultfs.Fault{
		"no space": {Op: faultfs.OpWrite, Path: "data/snapshot/", Err: syscall.ENOSPC, Short: 100, Count: 2},
		"a sync":   {Op: faultfs.OpSync, Path: "data/snapshot/", Err: syscall.EIO, Count: 1},
		"a name":   {Op: faultfs.OpRename, Path: "data/snapshot/", Err: syscall.EIO, Count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisked(t, 1, "--snapshot-min-bytes", "16384", "--min-free-bytes", "1")
			m, disk := d.Members[0], d.disks[0]
			armed := disk.Fault(fault)
			c, err := m.Dial()
			require.NoError(t, err)
			t.Cleanup(c.Close)
			const keys = 5
			set := func() {
				for n := range keys {
					_, err := c.Do("SET", fmt.Sprint("k", n), value(n))
					require.NoError(t, err, "writes go on")
				}
			}
			for end := time.Now().Add(patience); armed.Hits() == 0; set() {
				require.True(t, time.Now().Before(end), "a snapshot is begun")
			}
			set()
			require.Eventually(t, func() bool { return fieldOf(t, m, "snapshot_slot") > 0 }, patience, 50*time.Millisecond)
			set()
			assert.Contains(t, m.Output(), "snapshot could not be written")
			assert.Contains(t, m.Output(), fault.Err.Error())
			d.cut(t, 8, m)
			assert.False(t, requireThere(t, m, keys))
		})
	}
}

// A write that comes short without an error is finished by the next one.
func TestShortWritesAreFinished(t *testing.T) {
	t.Parallel()
	d := newDisked(t, 1)
	m, disk := d.Members[0], d.disks[0]
	armed := disk.Fault(faultfs.Fault{Op: faultfs.OpWrite, Path: "data/wal/", Short: 61})
	c, err := m.Dial()
	require.NoError(t, err)
	t.Cleanup(c.Close)
	for n := range 50 {
		_, err := c.Do("SET", fmt.Sprint("k", n), value(n))
		require.NoError(t, err)
	}
	assert.Greater(t, armed.Hits(), 50)
	d.cut(t, 8, m)
	assert.False(t, requireThere(t, m, 50))
}

func TestLeaderWhoseDiskHangsIsReplaced(t *testing.T) {
	t.Parallel()
	d := newDisked(t, 3)
	l := startLoad(t, d.Group)
	l.awaitMore(100)
	leader := leaderOf(t, d.Group)
	disk := d.disks[leader.Index]
	begun := time.Now()
	disk.Fault(faultfs.Fault{Op: faultfs.OpSync | faultfs.OpSyncDir, Delay: time.Hour})
	var next *proc.Member
	require.Eventually(t, func() bool {
		next = leaderOf(t, d.Group)
		return next != leader
	}, patience, 5*time.Millisecond)
	t.Logf("member %d leads %v after the disk of member %d hung", next.Index, round(time.Since(begun)), leader.Index)
	l.awaitMore(200)
	disk.Clear()
	l.awaitMore(50)
	l.stop()
	require.NoError(t, d.Converged(patiently(t)))
	l.verify()
	d.requireNoLostDisk(t)
}

func TestSlowDiskOfAFollowerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	d := newDisked(t, 3)
	leader := leaderOf(t, d.Group)
	slow := d.Members[(leader.Index+1)%3]
	const delay = time.Second
	armed := d.disks[slow.Index].Fault(faultfs.Fault{Op: faultfs.OpSync, Delay: delay})
	c, err := leader.Dial()
	require.NoError(t, err)
	t.Cleanup(c.Close)
	begun := time.Now()
	const writes = 100
	for n := range writes {
		_, err := c.Do("SET", fmt.Sprint("k", n), value(n))
		require.NoError(t, err)
	}
	took := time.Since(begun)
	assert.Less(t, took, writes*delay/2, "no write waits for the slow disk")
	assert.NotZero(t, armed.Hits())
	t.Logf("%d writes, one after the other, took %v beside a disk that takes %v for a sync", writes, round(took), delay)
	require.NoError(t, d.Converged(patiently(t)), "the slow one keeps up")
	requireThere(t, leader, writes)
}
