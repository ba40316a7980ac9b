package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"diskv/internal/resp"
)

const (
	// queueLength is how many requests of a connection may wait to be written.
	queueLength = 256
	// batchBytes are written together; a request that is larger is written alone.
	batchBytes = 64 << 10
)

// conn is one connection that many goroutines share. One goroutine writes what
// has gathered, in one piece; another reads the replies, which come in order.
//
// The first error, of either, ends it. What was written and not answered then may
// have been executed.
type conn struct {
	nc    net.Conn
	in    *resp.ReplyReader
	stall time.Duration
	queue chan *request
	done  chan struct{} // closed at the first error
	once  sync.Once
	err   error // read after done

	mu      sync.Mutex
	pending []*request // written, or being written; in order
	head    int        // of pending: the first without a reply
	armed   time.Time  // when the read deadline was set last
}

// request is a command on its way.
type request struct {
	encoded []byte
	state   atomic.Int32
	reply   chan answer // has room for one
}

// answer is a reply, or why there is none although one came.
type answer struct {
	value Value
	err   error
}

// States of a request. The writer and the caller that gives up race for the
// first step, so that it is known whether the command can have left.
const (
	stateWaiting   = iota // in the queue
	stateSent             // written, at least in part
	stateWithdrawn        // never will be
)

// newConn returns a connection over nc. Its write and read are each to be run by
// a goroutine.
func newConn(nc net.Conn, opt *Options) *conn {
	c := &conn{nc: nc, stall: opt.StallTimeout, queue: make(chan *request, queueLength), done: make(chan struct{})}
	c.in = resp.NewReplyReader(source{c}, resp.ReplyOptions{MaxReply: opt.MaxReplyBytes})
	return c
}

// fail ends the connection.
func (c *conn) fail(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.done)
		_ = c.nc.Close()
	})
}

func (c *conn) broken() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// idle reports whether nothing is under way.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head == len(c.pending) && len(c.queue) == 0
}

// exchange sends an encoded command, which is not changed any more, and returns
// its reply. impatient is called every now and then while there is none; true
// ends the wait. If there is an error, sent tells whether the command may have
// reached the other side.
func (c *conn) exchange(ctx context.Context, encoded []byte, impatient func() bool) (v Value, sent bool, err error) {
	req := &request{encoded: encoded, reply: make(chan answer, 1)}
	select {
	case c.queue <- req:
	case <-c.done:
		return Value{}, false, c.err
	case <-ctx.Done():
		return Value{}, false, ended(ctx)
	}
	t := time.NewTimer(slowAfter)
	defer t.Stop()
	for {
		select {
		case a := <-req.reply:
			return a.value, true, a.err
		case <-c.done:
			select {
			case a := <-req.reply:
				return a.value, true, a.err
			default:
			}
			return Value{}, !req.withdraw(), c.err
		case <-ctx.Done():
			return Value{}, !req.withdraw(), ended(ctx)
		case <-t.C:
			if impatient != nil && impatient() {
				return Value{}, !req.withdraw(), errSlow
			}
			t.Reset(slowAfter)
		}
	}
}

// withdraw takes a request back. It fails once the request is being written.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(stateWaiting, stateWithdrawn) }

// write is the goroutine that writes.
func (c *conn) write() {
	var buf []byte
	var batch []*request
	for {
		var req *request
		select {
		case req = <-c.queue:
		case <-c.done:
			return
		}
		buf, batch = buf[:0], batch[:0]
		for req != nil {
			if req.state.CompareAndSwap(stateWaiting, stateSent) {
				batch = append(batch, req)
				if len(buf) == 0 && len(req.encoded) > batchBytes {
					break // written alone, without a copy
				}
				buf = append(buf, req.encoded...)
			}
			req = nil
			if len(buf) < batchBytes {
				select {
				case req = <-c.queue:
				default:
				}
			}
		}
		if len(batch) == 0 {
			continue
		}
		out := buf
		if len(buf) == 0 {
			out = batch[0].encoded
		}
		c.expect(batch)
		clear(batch)
		if err := c.writeOut(out); err != nil {
			c.fail(fmt.Errorf("write: %w", err))
			return
		}
		if cap(buf) > 4*batchBytes {
			buf = nil
		}
	}
}

func (c *conn) writeOut(b []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// expect notes requests that are about to be written.
func (c *conn) expect(batch []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head == len(c.pending) {
		c.arm()
	}
	c.pending = append(c.pending, batch...)
}

// arm lets the wait for the next bytes end in time. c.mu is held.
func (c *conn) arm() {
	c.armed = time.Now()
	_ = c.nc.SetReadDeadline(c.armed.Add(c.stall)) // an error shows when it is read
}

// read is the goroutine that reads.
func (c *conn) read() {
	for {
		v, err := c.in.ReadReply()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("%w for %v", errStalled, c.stall)
		}
		if err != nil {
			if errors.As(err, new(*resp.LimitError)) { // of this reply alone
				if req := c.answered(); req != nil {
					req.reply <- answer{err: err}
				}
			}
			c.fail(err)
			return
		}
		req := c.answered()
		if req == nil {
			err = errUnasked
			if said := v.Err(); said != nil {
				err = said // such as that there are too many clients
			}
			c.fail(err)
			return
		}
		req.reply <- answer{value: v}
	}
}

// answered returns the request whose reply came, or nil.
func (c *conn) answered() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head == len(c.pending) {
		return nil
	}
	req := c.pending[c.head]
	c.pending[c.head] = nil
	c.head++
	if c.head == len(c.pending) {
		c.pending, c.head = c.pending[:0], 0
		_ = c.nc.SetReadDeadline(time.Time{}) // it may be silent again
	} else if c.head > 1024 && c.head > len(c.pending)/2 {
		n := copy(c.pending, c.pending[c.head:])
		clear(c.pending[n:])
		c.pending, c.head = c.pending[:n], 0
	}
	return req
}

// source is the reading side of a connection. Every byte shows that the other
// side is there.
type source struct{ c *conn }

func (s source) Read(b []byte) (int, error) {
	n, err := s.c.nc.Read(b)
	if n > 0 {
		s.c.mu.Lock()
		if s.c.head < len(s.c.pending) && time.Since(s.c.armed) > s.c.stall/8 {
			s.c.arm()
		}
		s.c.mu.Unlock()
	}
	return n, err
}
