package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const (
	// maxGreeting is how many connections may be open that have not said who
	// they are; each costs a goroutine and a few hundred bytes.
	maxGreeting = 64
	// heardEvery is how often Heard is called at most.
	heardEvery = 10 * time.Millisecond
	// readBuffer is what is read at once of small frames, in bytes.
	readBuffer = 64 << 10
)

// receiver is the receiving side of the stream from one peer, on one
// connection.
type receiver struct {
	t    *Transport
	p    *peer // whom it is from
	conn net.Conn
	done chan struct{} // closed when nothing more is delivered

	lastHeard time.Time
	lastAlive time.Time // when a sign of life was sent
}

// Accept takes over a connection whose first byte [IsPeer], and returns at
// once. All bytes are still to be read off conn, the first ones too; see
// [Prepend]. It is closed when it breaks, when the peer dials once more, and by
// Close.
func (t *Transport) Accept(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.greeting >= maxGreeting {
		_ = conn.Close() // nobody was promised anything
		if !t.closed {
			t.log.warn("crowd", "too many connections that have not said who they are, closing one", "remote", remote(conn))
		}
		return
	}
	t.accepted[conn] = struct{}{}
	t.greeting++
	t.wg.Go(func() {
		t.receive(conn)
		_ = conn.Close()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.accepted, conn)
	})
}

// receive serves a connection that was accepted until it ends.
func (t *Transport) receive(conn net.Conn) {
	h, err := t.welcome(conn)
	t.mu.Lock()
	t.greeting--
	t.mu.Unlock()
	if err != nil {
		if t.ctx.Err() == nil {
			t.log.warn("greeting", "connection to the peer port refused", "remote", remote(conn), "error", err)
		}
		return
	}

	r := &receiver{t: t, p: t.peers[h.From], conn: conn, done: make(chan struct{})}
	if !r.takeOver() {
		return
	}
	defer r.retire()
	err = r.run()
	if t.ctx.Err() == nil && !isEnd(err) {
		t.log.warn(fmt.Sprint("received ", h.From), "connection from peer closed", "peer", h.From, "remote", remote(conn), "error", err)
	}
}

// isEnd says whether a connection has just ended: the peer is gone, or has a
// newer one. Who sends to it says so.
func isEnd(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &op) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// welcome reads a hello. If it is refused the answer is sent; if not, it is left
// to takeOver, since frames may come as soon as it is sent.
func (t *Transport) welcome(conn net.Conn) (Hello, error) {
	if err := conn.SetDeadline(time.Now().Add(t.o.PeerTimeout)); err != nil {
		return Hello{}, err
	}
	var magic [len(Magic)]byte
	if _, err := io.ReadFull(conn, magic[:]); err != nil {
		return Hello{}, fmt.Errorf("magic: %w", err)
	}
	if string(magic[:]) != Magic {
		return Hello{}, fmt.Errorf("starts with %q, not with %q: neither a peer nor a client", magic, Magic)
	}
	body, err := readGreeting(conn, kindHello, helloSize)
	if err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	h, err := decodeHello(body)
	if err != nil {
		return Hello{}, err
	}
	cluster := t.o.Cluster()
	if reason := t.refusal(h, cluster); reason != "" {
		err := &refusedError{reason}
		if _, werr := conn.Write(encodeReply(HelloReply{Cluster: cluster, Reason: reason})); werr != nil {
			return Hello{}, errors.Join(err, werr)
		}
		return Hello{}, fmt.Errorf("hello of member %d: %w", h.From, err)
	}
	return h, nil
}

// takeOver makes r the one that counts for its peer, once the one before has
// ended, so that nothing is delivered by two. It returns false if there is a
// newer one already.
func (r *receiver) takeOver() bool {
	t, from := r.t, r.p.index
	t.mu.Lock()
	before := t.receivers[from]
	t.receivers[from] = r
	t.mu.Unlock()
	if before != nil {
		_ = before.conn.Close() // the newer one wins
		<-before.done
	}
	t.mu.Lock()
	current := t.receivers[from] == r && !t.closed
	t.mu.Unlock()
	if !current {
		r.retire()
	}
	return current
}

func (r *receiver) retire() {
	r.t.mu.Lock()
	if r.t.receivers[r.p.index] == r {
		r.t.receivers[r.p.index] = nil
	}
	r.t.mu.Unlock()
	close(r.done)
}

func (r *receiver) run() error {
	reply := HelloReply{Accepted: true, Version: Version, Cluster: r.t.o.Cluster()}
	if err := writeAll(r.conn, encodeReply(reply), r.t.o.PeerTimeout); err != nil {
		return err
	}
	poke(r.p.kick) // whoever dials can be dialled
	r.lastAlive = time.Now()
	in := newPayloads(bufio.NewReaderSize(r, readBuffer), r.t.o.MaxPayload, r.heard)
	for {
		payload, err := in.next()
		if err != nil {
			return err
		}
		r.t.o.Receive(r.p.index, payload)
	}
}

// Read reads off the connection. It fails if nothing comes for a PeerTimeout,
// and answers what comes with a sign of life now and then: also in the middle
// of a long frame on a slow line.
func (r *receiver) Read(b []byte) (int, error) {
	timeout := r.t.o.PeerTimeout
	if err := r.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(b)
	if n == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("no sign of life in %v: %w", timeout, err)
		}
		return n, err
	}
	r.p.received.Add(uint64(n))
	if now := time.Now(); now.Sub(r.lastAlive) >= timeout/signsOfLife {
		r.lastAlive = now
		if err := writeAll(r.conn, appendFrame(nil, kindAlive, true, nil), timeout); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (r *receiver) heard() {
	if now := time.Now(); now.Sub(r.lastHeard) >= heardEvery {
		r.lastHeard = now
		r.t.o.Heard(r.p.index)
	}
}

func remote(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil && a.String() != "" {
		return a.String()
	}
	return "local socket"
}
