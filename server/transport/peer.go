package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How long to wait before a peer is dialled again.
const (
	firstDelay   = 25 * time.Millisecond
	longestDelay = time.Second
	refusedDelay = 3 * time.Second
	// A connection that lived less long does not count as a success.
	steadyAfter = time.Second
)

// signsOfLife is how many of them are sent in a PeerTimeout, each way.
const signsOfLife = 5

// peer is the sending side of the stream to one peer.
type peer struct {
	t       *Transport
	index   uint8
	address string
	queue   *queue
	kick    chan struct{} // the peer has just dialled us, so it is there; capacity 1

	connected atomic.Bool
	sent      atomic.Uint64
	received  atomic.Uint64 // by this peer's receivers
	lost      atomic.Uint64
	problem   atomic.Pointer[string]
}

// refusedError is what a peer answered to our hello.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return "peer refused the connection: " + e.reason }

func newPeer(t *Transport, index uint8) *peer {
	return &peer{
		t:       t,
		index:   index,
		address: t.o.Peers[index],
		queue:   newQueue(t.o.MaxControlBytes, t.o.MaxQueueBytes),
		kick:    make(chan struct{}, 1),
	}
}

// run keeps a connection to the peer until the transport is closed.
func (p *peer) run() {
	defer p.queue.clear()
	delay := firstDelay
	away := false // Lost was called since the peer was last reached
	for {
		conn, err := p.connect()
		if p.t.ctx.Err() != nil {
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			p.queue.clear()
			p.setProblem(err)
			if !away && p.queue.takeDropped() {
				p.reportLost()
			}
			away = true
			var refused *refusedError
			if errors.As(err, &refused) {
				p.t.log.warn(fmt.Sprint("refused by ", p.index), "peer refused the connection", "peer", p.index, "address", p.address, "reason", refused.reason)
				p.t.o.Refused(p.index, refused.reason)
				p.wait(refusedDelay, nil)
				continue
			}
			p.t.log.warn(fmt.Sprint("unreachable ", p.index), "peer cannot be reached, trying on", "peer", p.index, "address", p.address, "error", err)
			p.wait(delay, p.kick)
			delay = min(2*delay, longestDelay)
			continue
		}

		away = false
		began := time.Now()
		err = p.serve(conn)
		p.queue.clear()
		if p.t.ctx.Err() != nil {
			return
		}
		p.setProblem(err)
		p.t.log.warn(fmt.Sprint("broken ", p.index), "connection to peer is broken", "peer", p.index, "address", p.address, "error", err)
		p.queue.takeDropped()
		p.reportLost()
		away = true
		if time.Since(began) >= steadyAfter {
			delay = firstDelay
		}
		p.wait(delay, p.kick)
		delay = min(2*delay, longestDelay)
	}
}

// wait waits for about d, until early holds something, or until the transport
// is closed.
func (p *peer) wait(d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-p.t.ctx.Done():
	}
}

func (p *peer) reportLost() {
	p.lost.Add(1)
	p.t.o.Lost(p.index)
}

// connect dials the peer and greets it.
func (p *peer) connect() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.t.ctx, p.t.o.PeerTimeout)
	defer cancel()
	conn, err := p.t.o.Dial(ctx, p.address)
	if err != nil {
		return nil, err
	}
	// A greeting that takes too long, or a Close, ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = p.greet(conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil && p.t.ctx.Err() == nil {
			err = fmt.Errorf("no answer to the hello in %v: %w", p.t.o.PeerTimeout, err)
		}
		return nil, err
	}
	return conn, nil
}

func (p *peer) greet(conn net.Conn) error {
	if _, err := conn.Write(appendHello([]byte(Magic), p.t.hello(p.index))); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	body, err := readGreeting(conn, kindReply, maxReplySize)
	if err != nil {
		return fmt.Errorf("reply to hello: %w", err)
	}
	reply, err := decodeReply(body)
	if err != nil {
		return err
	}
	switch cluster := p.t.o.Cluster(); {
	case !reply.Accepted:
		return &refusedError{reply.Reason}
	case reply.Version != Version:
		return fmt.Errorf("peer wants to speak version %d, this is version %d: %w", reply.Version, Version, errProtocol)
	case !sameCluster(reply.Cluster, cluster):
		return &refusedError{fmt.Sprintf("it is a member of cluster %016x, this is one of cluster %016x", reply.Cluster, cluster)}
	}
	return nil
}

// serve sends what is queued until the connection breaks or the transport is
// closed.
func (p *peer) serve(conn net.Conn) error {
	p.problem.Store(nil)
	p.connected.Store(true)
	p.t.log.info(fmt.Sprint("connected ", p.index), "connected to peer", "peer", p.index, "address", p.address)
	defer p.connected.Store(false)

	var both sync.WaitGroup
	ended := make(chan error, 2)
	stop := make(chan struct{})
	both.Go(func() { ended <- p.write(conn, stop) })
	both.Go(func() { ended <- p.watch(conn) })

	if p.queue.takeDropped() {
		p.reportLost()
	}
	p.queue.writeAtOnce(p.writesAtOnce(conn))
	defer p.queue.writeAtOnce(nil)
	var err error
	for running := true; running; {
		select {
		case <-p.queue.overflow:
			if p.queue.takeDropped() {
				p.t.log.warn(fmt.Sprint("overflow ", p.index), "queue to peer is full and was dropped", "peer", p.index, "address", p.address)
				p.reportLost()
			}
		case err = <-ended:
			running = false
		case <-p.t.ctx.Done():
			running = false
		}
	}
	close(stop)
	_ = conn.Close() // the error that counts is the one that broke it
	both.Wait()
	return err
}

// write writes frames, all that are waiting at once, and signs of life when
// there are none.
func (p *peer) write(conn net.Conn, stop <-chan struct{}) error {
	quiet := p.t.o.PeerTimeout / signsOfLife
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var pieces []piece
	var buf []byte
	for {
		buf, pieces = p.queue.next(buf[:0], pieces[:0])
		buf = appendFrames(buf, pieces)
		clear(pieces)
		if len(buf) == 0 {
			select {
			case <-p.queue.ready:
				continue
			case <-stop:
				return nil
			case <-timer.C:
				if !p.queue.claim() {
					continue
				}
				buf = appendFrame(buf, kindAlive, true, nil)
			}
		}
		if err := writeAll(conn, buf, p.t.o.PeerTimeout); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		p.sent.Add(uint64(len(buf)))
		p.queue.wrote()
		timer.Reset(quiet)
	}
}

// writesAtOnce returns a function that writes to a connection without waiting, or nil if
// there is no such way. It must not be used beside another write: a frame would be
// divided.
func (p *peer) writesAtOnce(conn net.Conn) func(frame []byte) int {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil // closed already; the writer will hear of it
	}
	return func(frame []byte) int {
		n := 0
		// A failure is left to the writer, who meets it as well.
		_ = raw.Control(func(fd uintptr) { n, _ = syscall.Write(int(fd), frame) })
		n = max(n, 0)
		p.sent.Add(uint64(n))
		return n
	}
}

// writeAll writes b. Only a wait without any progress is too long.
func writeAll(conn net.Conn, b []byte, timeout time.Duration) error {
	for len(b) > 0 {
		if err := conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		n, err := conn.Write(b)
		b = b[n:]
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// watch reads the peer's signs of life, which are all that it sends here.
func (p *peer) watch(conn net.Conn) error {
	var head [frameHeadSize]byte
	for {
		if err := conn.SetReadDeadline(time.Now().Add(p.t.o.PeerTimeout)); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, head[:])
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the peer closed it")
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("no sign of life in %v", p.t.o.PeerTimeout)
		case err != nil:
			return err
		}
		h, err := decodeFrameHead(head[:])
		if err == nil {
			err = checkAlive(head[:], h)
		}
		if err != nil {
			return err
		}
	}
}

func (p *peer) setProblem(err error) {
	text := err.Error()
	p.problem.Store(&text)
}

func (p *peer) status() PeerStatus {
	s := PeerStatus{
		Peer:          p.index,
		Address:       p.address,
		Connected:     p.connected.Load(),
		QueuedBytes:   p.queue.bytes(),
		SentBytes:     p.sent.Load(),
		ReceivedBytes: p.received.Load(),
		Lost:          p.lost.Load(),
	}
	if text := p.problem.Load(); text != nil {
		s.Problem = *text
	}
	return s
}
