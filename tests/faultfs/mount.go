package faultfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"diskv/tests/powerloss"
)

// Options are those of a mount.
type Options struct {
	// Record keeps every operation, for [FS.Recorded].
	Record bool
}

// FS is a mounted file system. Its methods are for any goroutine.
type FS struct {
	dir    string
	server *fuse.Server

	mu       sync.Mutex
	disk     *powerloss.Disk
	attrs    map[powerloss.Inode]*attr
	handles  map[uint64]*handle
	nextFh   uint64
	life     int  // counts cuts: what was opened in an earlier one is dead
	down     bool // between PowerCut and PowerOn
	seed     uint64
	faults   []*Armed
	changed  chan struct{} // closed when faults or power change; wakes who is delayed
	used     int64         // bytes of all files that have a name
	capacity int64         // negative: no limit
	removed  int           // since the last look for what can be forgotten
	record   *Recording
}

// handle is an open file or directory.
type handle struct {
	inode  powerloss.Inode
	life   int
	append bool
	names  []fuse.DirEntry // of a directory, when it was read from the start
}

// Recording is what was done since a point in time. Start and Ops are the caller's.
type Recording struct {
	Start *powerloss.Disk
	Ops   []powerloss.Op
}

// ErrUnavailable says that FUSE is not to be had here.
var ErrUnavailable = errors.New("no file system can be mounted by FUSE here: it takes /dev/fuse and the right to mount")

// Mount mounts an empty file system on a directory that is there.
func Mount(dir string, o Options) (*FS, error) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	f := &FS{
		dir: dir, disk: powerloss.NewDisk(), attrs: map[powerloss.Inode]*attr{}, handles: map[uint64]*handle{},
		changed: make(chan struct{}), capacity: -1,
	}
	f.attrs[powerloss.Root] = newAttr(syscall.S_IFDIR|0o755, fuse.Owner{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())})
	if o.Record {
		f.record = &Recording{Start: f.disk.Clone()}
	}
	server, err := fuse.NewServer(kernel{fuse.NewDefaultRawFileSystem(), f}, dir, &fuse.MountOptions{
		DirectMount: true, FsName: "faultfs", Name: "faultfs", MaxWrite: 512 << 10, DisableXAttrs: true, DisableReadDirPlus: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	f.server = server
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	return f, nil
}

// New mounts for a test, and unmounts when it ends. Where that cannot be, the test
// fails in CI and is skipped elsewhere, with the reason.
func New(tb testing.TB, o Options) *FS {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o750); err != nil {
		tb.Fatal(err)
	}
	f, err := Mount(dir, o)
	switch {
	case errors.Is(err, ErrUnavailable) && os.Getenv("CI") != "true":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Unmount(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// Dir returns where the file system is mounted.
func (f *FS) Dir() string { return f.dir }

// Unmount ends the file system. If a process still has a file open, or is waiting
// for one, it gets an error; the mount is gone in any case.
func (f *FS) Unmount() error {
	f.Clear()
	f.PowerCut(0)
	err := unix.Unmount(f.dir, 0)
	for try := 0; errors.Is(err, unix.EBUSY) && try < 50; try++ {
		// A process that was killed is about to close its files; those that this one has
		// dropped, as one may after a failed sync, are closed when they are collected.
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		err = unix.Unmount(f.dir, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		if err := unix.Unmount(f.dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", f.dir, err)
		}
		return fmt.Errorf("%s was unmounted while a process still used it", f.dir)
	}
	if err != nil {
		if err := f.server.Unmount(); err != nil {
			return fmt.Errorf("unmount %s: %w", f.dir, err)
		}
	}
	f.server.Wait()
	return nil
}

// kernel is the file system as the FUSE library calls it. What is not there is left
// to the library: it answers that it is not.
type kernel struct {
	fuse.RawFileSystem
	*FS
}

// String names the file system, for debugging of the FUSE library.
func (kernel) String() string { return "faultfs" }

// wake wakes those who are delayed, to look again.
func (f *FS) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// PowerCut cuts the power: from now on every operation fails with EIO, until
// PowerOn. What is left then is chosen by the seed among all that may be left; in
// about a quarter of all cases each it is nothing of what was not synced, or all.
func (f *FS) PowerCut(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return
	}
	f.down, f.seed = true, seed
	f.life++
	f.wake()
}

// PowerOn is to follow PowerCut when the processes that used the file system have
// ended. A recording goes on: the cut is an operation of it.
func (f *FS) PowerOn() {
	f.mu.Lock()
	v := powerloss.Variant{Kind: powerloss.Mixed, Seed: f.seed}
	switch f.seed % 8 {
	case 0, 1:
		v.Kind = powerloss.Dropped
	case 2:
		v.Kind = powerloss.Kept
	case 3:
		v.Kind = powerloss.Torn
	case 4:
		if n := f.disk.Pending(); n > 0 {
			v.Kind, v.N = powerloss.First, int(f.seed/8%uint64(n))
		}
	}
	f.mu.Unlock()
	f.PowerOnWith(v)
}

// PowerOnWith is PowerOn with the variant that is left.
func (f *FS) PowerOnWith(v powerloss.Variant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.down {
		return
	}
	f.do(powerloss.Op{Kind: powerloss.PowerCut, Variant: v})
	f.down = false
	f.rebuild()
}

// DropCaches has processes see what the medium holds or will still be written to it,
// and no longer what a failed sync has lost.
func (f *FS) DropCaches() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk.DropCaches()
	f.rebuild()
}

// Free makes so many bytes free: statfs says so, and what is written beyond them
// fails with ENOSPC, after as much as there is room for. What is removed is free
// again. A negative number takes the limit away.
func (f *FS) Free(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = -1
	if bytes >= 0 {
		f.capacity = f.used + bytes
	}
}

// free returns how many bytes are free.
func (f *FS) free() int64 {
	if f.capacity < 0 {
		return 1 << 40
	}
	return max(0, f.capacity-f.used)
}

// Record begins a recording.
func (f *FS) Record() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record = &Recording{Start: f.disk.Clone()}
}

// Position returns how many operations the recording has. What a process has been
// told by now was done by operations below it.
func (f *FS) Position() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.record == nil {
		return 0
	}
	return len(f.record.Ops)
}

// Recorded returns the recording so far.
func (f *FS) Recorded() Recording {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.record == nil {
		return Recording{Start: powerloss.NewDisk()}
	}
	return Recording{Start: f.record.Start.Clone(), Ops: append([]powerloss.Op(nil), f.record.Ops...)}
}

// State returns what processes see now.
func (f *FS) State() powerloss.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disk.Clone().Seen()
}
