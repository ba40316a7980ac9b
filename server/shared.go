package server

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shared is what a client has whose goroutine is shared with others: most have a command
// now and then and wait in between, and to wake a goroutine for each costs more than
// the command.
//
// The client's code is the same as with a goroutine of its own. It runs as a coroutine,
// and pauses where it has to wait: for bytes of the client, and for its run to be
// executed. A [carrier] has it go on. Before anything else that may block it leaves the
// carrier, for a goroutine that is its own until it waits for bytes again.
//
// Invariants:
//  1. one goroutine at a time is in next, and has all that is the client's
//  2. input is awaited only while the coroutine is paused for it
//  3. running is set only while the coroutine is paused for its run
//  4. own is set while a goroutine carries nobody but this client
type shared struct {
	client *client
	poller *poller
	raw    syscall.RawConn
	fd     int
	next   func() (pause, bool) // has the client's code go on until it pauses; false: it has ended
	yield  func(pause) bool
	own    bool

	input   atomic.Uint32 // noInput, inputAwaited, inputArrived
	running atomic.Bool   // its run is with the loop
	refused bool          // its run was not taken: the loop has ended

	first   []byte // was read when the connection was new
	drained bool   // there is nothing to be read until something arrives
	// doubtful: a read that was shorter than it could be has left something, perhaps.
	doubtful atomic.Bool
	due      time.Time // when half a command must have become more; zero: there is no half
	unpaused int       // reads since it paused last

	// The arguments and results of the two calls of the system, which take no memory so.
	buf           []byte
	n             int
	err           error
	reads, writes func(fd uintptr)
}

// maxUnpaused is how often a client may read without a pause: commands that are refused
// need none, and it may have more of them than it lets others have their turn.
const maxUnpaused = 4

// The states of shared.input.
const (
	noInput uint32 = iota
	inputAwaited
	inputArrived // or something else that the client's code has to look at
)

// pause is why a client's code has paused.
type pause uint8

const (
	forInput pause = iota + 1
	forRun         // which is to be put before the replica
	forOwn         // it needs a goroutine of its own
)

// share makes a client one that shares its goroutine, and returns false if that cannot
// be. first was read from its connection. end is called when its code has ended.
func (p *poller) share(c *client, first []byte, end func()) bool {
	sc, ok := c.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	s := &shared{client: c, poller: p, raw: raw, first: first}
	if _, tcp := c.conn.(*net.TCPConn); !tcp {
		s.doubtful.Store(true)
	}
	s.reads = func(fd uintptr) { s.n, s.err = readNow(fd, s.buf) }
	s.writes = func(fd uintptr) { s.n, s.err = writeNow(fd, s.buf) }
	if p.add(s) != nil {
		return false
	}
	s.next, _ = iter.Pull(func(yield func(pause) bool) {
		s.yield = yield
		defer end()
		defer p.remove(s)
		defer func() {
			if p := recover(); p != nil { // or it would not be seen where that was
				panic(fmt.Sprintf("%v\n%s", p, debug.Stack()))
			}
		}()
		c.serve()
	})
	c.shared = s
	return true
}

// carry has the client go on until it waits. on is nil if the goroutine carries nobody
// else.
func (s *shared) carry(on *carrier) {
	s.own = on == nil
	for {
		why, more := s.next()
		switch {
		case !more:
			return
		case why == forInput:
			s.own = false
			if s.input.CompareAndSwap(noInput, inputAwaited) {
				return
			}
			s.input.Store(noInput) // it has arrived already
			s.own = on == nil
		case why == forRun:
			s.running.Store(true)
			on.puts = append(on.puts, s)
			return
		default:
			go s.carry(nil)
			return
		}
	}
}

// wake has the client go on if it awaits bytes, or else look once more before it does.
func (s *shared) wake(on *carrier) {
	for {
		if s.input.CompareAndSwap(inputAwaited, noInput) {
			if on == nil {
				go s.carry(nil)
			} else {
				s.carry(on)
			}
			return
		}
		if old := s.input.Load(); old != inputAwaited && s.input.CompareAndSwap(old, inputArrived) {
			return
		}
	}
}

// executed has the client go on whose run has been executed, or never will be. on is nil
// for a goroutine of its own.
func (s *shared) executed(on *carrier) {
	if !s.running.CompareAndSwap(true, false) {
		return // the loop has ended, and it went on
	}
	if on == nil {
		go s.carry(nil)
	} else {
		s.carry(on)
	}
}

// notTaken has the client go on whose run the loop did not take.
func (s *shared) notTaken(on *carrier) {
	if s.running.CompareAndSwap(true, false) {
		s.refused = true
		s.carry(on)
	}
}

// leave leaves the goroutine that is shared, before something that may block.
func (s *shared) leave() {
	if s != nil && !s.own {
		s.yield(forOwn)
	}
}

// isShared tells whether the goroutine that the client's code is on is others' too.
func (s *shared) isShared() bool { return s != nil && !s.own }

// read reads what has arrived, or waits for it. inside says that half a command has
// arrived.
func (s *shared) read(b []byte, inside bool) (int, error) {
	c := s.client
	for {
		if c.node.clients.stopping.Load() { // which wakes the client when it is set
			return 0, errStopped
		}
		if len(s.first) > 0 {
			n := copy(b, s.first)
			s.first = s.first[n:]
			return n, nil
		}
		if !s.drained {
			if s.unpaused++; len(b) > flushBytes || s.unpaused > maxUnpaused {
				s.leave() // it may be much
			}
			n, err := s.call(s.reads, b)
			if n > 0 {
				s.drained = n < len(b) && !s.doubtful.Load()
				s.due = time.Time{}
			}
			if !errors.Is(err, unix.EAGAIN) {
				return n, err
			}
		}
		if err := s.await(inside); err != nil {
			return 0, err
		}
		if c.tracker != nil {
			s.leave() // others send on the connection, too
		}
	}
}

// await waits until something has arrived, or half a command has been half for too long.
func (s *shared) await(inside bool) error {
	s.drained, s.unpaused = false, 0
	if !inside {
		s.yield(forInput)
		return nil
	}
	timeout := s.client.node.opts.CommandTimeout
	if s.due.IsZero() {
		s.due = time.Now().Add(timeout)
	} else if timeout = time.Until(s.due); timeout <= 0 {
		return os.ErrDeadlineExceeded
	}
	timer := time.AfterFunc(timeout, func() { s.wake(nil) })
	s.yield(forInput)
	timer.Stop()
	return nil
}

// write sends what can be sent without waiting, and returns how much that was.
func (s *shared) write(b []byte) (int, error) {
	n, err := s.call(s.writes, b)
	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return n, err
}

// call reads or writes.
func (s *shared) call(f func(fd uintptr), b []byte) (int, error) {
	s.buf = b
	err := s.raw.Control(f)
	s.buf = nil
	switch {
	case err != nil:
		return 0, err // it was closed here
	case s.err == nil && s.n == 0:
		return 0, io.EOF
	}
	return s.n, s.err
}

// execute has the run of the client executed. It returns false if the loop has ended
// before it was put before the replica.
func (s *shared) execute() bool {
	s.refused, s.unpaused = false, 0
	s.yield(forRun)
	return !s.refused
}
