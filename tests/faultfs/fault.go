package faultfs

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"diskv/tests/powerloss"
)

// Op is a set of operations.
type Op uint16

// The operations that can fail.
const (
	OpRead Op = 1 << iota
	OpWrite
	OpTruncate // also by opening
	OpSync     // of a file
	OpSyncDir
	OpOpen // of what is there
	OpCreate
	OpMkdir
	OpRename
	OpRemove // also of a directory
)

// OpAny is all of them.
const OpAny = OpRemove<<1 - 1

// Fault is something that goes wrong with some operations.
type Fault struct {
	Op Op
	// Path says of which files, by their path below the mount: "" all; "data/wal/",
	// with a slash at the end, what is below a directory and the directory itself;
	// else a pattern of [path.Match], of the whole path if there is a slash in it, and
	// of the last element if there is none. Of a rename it is the new name's path.
	Path string
	// Err is returned, 0 for none.
	Err syscall.Errno
	// Short, of OpWrite, is how many bytes are written at most. With Err, the write
	// that is cut short succeeds, as from the kernel, and those after it fail; it is cut
	// at the end of a sector then, as a disk that fails or is full does it, and fails
	// if that leaves nothing of it.
	Short int
	// Delay is how long the operation waits before it is done. It ends with Clear and
	// PowerCut, and when the process is killed.
	Delay time.Duration
	// After is how many operations pass first; Count how many are hit then, 0 for all.
	After, Count int
}

// Armed is a fault that was set.
type Armed struct {
	Fault
	seen  int // operations that match; under the lock of the file system
	short bool
	hits  atomic.Int64
}

// Hits returns how many operations it has hit.
func (a *Armed) Hits() int { return int(a.hits.Load()) }

// Fault sets a fault, beside those that are set. It panics if a fault could do
// nothing.
func (f *FS) Fault(fault Fault) *Armed {
	if _, err := path.Match(fault.Path, ""); err != nil || fault.Op == 0 || (fault.Err == 0 && fault.Short == 0 && fault.Delay == 0) {
		panic(fmt.Sprintf("faultfs: a fault that does nothing: %+v", fault))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &Armed{Fault: fault}
	f.faults = append(f.faults, a)
	return a
}

// Clear takes all faults away, but not the limit of [FS.Free].
func (f *FS) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	f.wake()
}

func (a *Armed) matches(op Op, p string) bool {
	if a.Op&op == 0 {
		return false
	}
	below, isDir := strings.CutSuffix(a.Path, "/")
	switch {
	case a.Path == "":
		return true
	case isDir:
		return p == below || strings.HasPrefix(p, a.Path)
	case !strings.Contains(a.Path, "/"):
		p = path.Base(p)
	}
	ok, _ := path.Match(a.Path, p)
	return ok
}

// limit says how much of a write is done.
type limit struct {
	bytes int
	err   syscall.Errno // why not all of it; 0: for no reason
}

// of returns how many bytes of those at an offset are written.
func (l limit) of(off int64, n int) int {
	if n <= l.bytes || l.err == 0 {
		return min(n, l.bytes)
	}
	const sector = powerloss.SectorSize
	return max(0, int((off+int64(l.bytes))/sector*sector-off))
}

// before is called, locked, ahead of every operation. It waits if it must, without
// the lock, and returns the error to return, and how much may be written.
func (f *FS) before(op Op, p string, pid uint32) (syscall.Errno, limit) {
	if f.down {
		return syscall.EIO, limit{}
	}
	var err syscall.Errno
	var delay time.Duration
	short := limit{bytes: 1 << 30}
	for _, a := range f.faults {
		if !a.matches(op, p) {
			continue
		}
		a.seen++
		if a.seen <= a.After || (a.Count > 0 && a.seen > a.After+a.Count) {
			continue
		}
		a.hits.Add(1)
		delay += a.Delay
		switch {
		case a.Short > 0 && (a.Err == 0 || !a.short):
			a.short = true
			if a.Short < short.bytes {
				short = limit{a.Short, a.Err}
			}
		case err == 0:
			err = a.Err
		}
	}
	if delay > 0 && !f.wait(delay, pid) {
		return syscall.EINTR, limit{}
	}
	if f.down {
		return syscall.EIO, limit{}
	}
	return err, short
}

// wait waits, without the lock, until the time has passed, the faults have changed,
// or the process is being killed. It reports whether the operation may be done.
func (f *FS) wait(d time.Duration, pid uint32) bool {
	changed := f.changed
	f.mu.Unlock()
	defer f.mu.Lock()
	end := time.NewTimer(d)
	defer end.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-end.C:
			return true
		case <-changed:
			return true
		case <-poll.C:
			if killed(pid) {
				return false
			}
		}
	}
}

// killed reports whether a thread has a SIGKILL waiting. Other signals do not count:
// the Go runtime sends itself many.
func killed(tid uint32) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(tid)) + "/status")
	if err != nil {
		return tid != 0 // it is gone
	}
	for line := range bytes.Lines(b) {
		name, value, _ := strings.Cut(string(line), ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err == nil && mask&(1<<(syscall.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}
