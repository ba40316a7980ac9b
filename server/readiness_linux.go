package server

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readiness tells which of many connections have something to be read. It is an epoll
// set, edge-triggered, that lies in the runtime's own: who waits for it takes no thread.
//
// A socket is reported once when it is added, if there is something, and then whenever
// more has come.
type readiness struct {
	file   *os.File
	raw    syscall.RawConn
	events []unix.EpollEvent
	closed atomic.Bool
}

// arrival is one socket that has something to be read.
type arrival struct {
	fd int
	// odd: not only bytes that are in line. The other side has closed its half, or the
	// connection has broken, or there are urgent bytes: a read that is shorter than it
	// could be does not say that there is nothing more.
	odd bool
}

// maxArrivals is how many are reported at once.
const maxArrivals = 64

func openReadiness() (*readiness, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for os.NewFile, which looks
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &readiness{file: os.NewFile(uintptr(fd), "epoll"), events: make([]unix.EpollEvent, maxArrivals)}
	r.raw, err = r.file.SyscallConn()
	if err != nil {
		_ = r.file.Close()
		return nil, err
	}
	return r, nil
}

// add has a socket reported until it is closed.
func (r *readiness) add(fd int) error {
	var failed error
	err := r.raw.Control(func(set uintptr) {
		failed = unix.EpollCtl(int(set), unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
			Fd: int32(fd), Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET,
		})
	})
	return errors.Join(err, failed)
}

// wait appends to an emptied slice what has arrived, at least one. It fails when the set
// is closed. It is for one goroutine.
func (r *readiness) wait(dst []arrival) ([]arrival, error) {
	err := r.raw.Read(func(set uintptr) bool {
		n, err := waitNow(set, r.events)
		if err != nil { // of arguments that are wrong; nobody would be heard any more
			panic(fmt.Sprintf("epoll: %v", err))
		}
		for _, e := range r.events[:n] {
			dst = append(dst, arrival{fd: int(e.Fd), odd: e.Events&^unix.EPOLLIN != 0})
		}
		return n > 0
	})
	if err != nil && !r.closed.Load() {
		panic(fmt.Sprintf("epoll: %v", err)) // as above
	}
	return dst, err
}

func (r *readiness) close() {
	r.closed.Store(true)
	_ = r.file.Close()
}

// What follows calls the system for what does not block. The runtime is not told: it would
// give the thread's place to another one whenever a call takes some microseconds, and wake
// up all the time to see whether one does.

// waitNow returns how many events there are.
func waitNow(set uintptr, events []unix.EpollEvent) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, set, uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
		return n, errno
	})
}

// readNow reads from a socket that does not block, and writeNow writes to it.
func readNow(fd uintptr, b []byte) (int, error)  { return callNow(unix.SYS_READ, fd, b) }
func writeNow(fd uintptr, b []byte) (int, error) { return callNow(unix.SYS_WRITE, fd, b) }

func callNow(trap, fd uintptr, b []byte) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		return n, errno
	})
}

// again calls f until no signal has come in between.
func again(f func() (uintptr, syscall.Errno)) (int, error) {
	for {
		switch n, errno := f(); errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
