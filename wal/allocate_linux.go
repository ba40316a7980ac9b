package wal

import (
	"errors"
	"os"
	"syscall"
)

// allocate makes a file size bytes long without writing to it, and reports whether it
// has. Where that is not possible, or there is no room, it is no error.
func allocate(f *os.File, size int64) (bool, error) {
	err := control(f, func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if noRoom(err) || errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return false, nil
	}
	return err == nil, err
}

// syncData makes what was written to a file durable, and its length, but not when it was
// written to.
func syncData(f *os.File) error { return control(f, syscall.Fdatasync) }

// control calls a system call, again if a signal has interrupted it.
func control(f *os.File, call func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	failed := c.Control(func(fd uintptr) {
		for {
			if err = call(int(fd)); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(failed, err)
}
