package snapshot

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// startFlush uses sync_file_range, which neither writes metadata nor waits for
// the file system's journal, so it does not get in the way of other files.
func (f osFile) startFlush(from, to int64) error {
	const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	err := f.control(func(fd int) error {
		if from > 0 {
			before := max(0, from-flushWindow)
			if err := unix.SyncFileRange(fd, before, from-before, wait); err != nil {
				return err
			}
		}
		return unix.SyncFileRange(fd, from, to-from, unix.SYNC_FILE_RANGE_WRITE)
	})
	for _, unsupported := range []error{unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL, unix.ESPIPE} {
		if errors.Is(err, unsupported) {
			return f.Sync()
		}
	}
	if err != nil {
		return fmt.Errorf("flush of %s: %w", f.Name(), err)
	}
	return nil
}

// flushWindow reaches back over the range of the call before.
const flushWindow = 4 * flushEvery

func (f osFile) forget() {
	// It is an advice: where it is not taken, reading is from memory.
	_ = f.control(func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) })
}

func (f osFile) control(call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = call(int(fd)) }); err != nil {
		return err
	}
	return inner
}
