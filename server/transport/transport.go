// Package transport carries opaque payloads between the members of one group,
// in order, over connections that it makes again whenever they break.
//
// Every process dials each of its peers and only sends on that connection; it
// receives on the connections that peers dialled. So there is one ordered
// stream each way for each pair, and a peer is never sent to on a connection
// that it opened itself.
//
// What it guarantees:
//
//   - [Transport.Send] never blocks. What it is given arrives whole, unchanged,
//     once, and in the order of its lane, or [Options.Lost] is called after it
//     was dropped; what arrives after a gap does not wait for that call.
//     A payload that was handed to a connection that then broke may have arrived
//     or not.
//   - [LaneControl] overtakes [LaneBulk] between any two frames: what is in its
//     way is what is being written at that moment, about 512 KiB, and no more
//     than that in the system's buffers where they can be limited (Linux, TCP).
//   - A peer that does not answer is given up after [Options.PeerTimeout]: a
//     pulled cable, a stopped process and a one-way cut are noticed, not only a
//     closed connection.
//   - Whatever arrives on the port, memory is bounded and nothing panics: one
//     log line says what was wrong, and the connection is closed.
//
// What it leaves to others: what payloads mean, retransmission, the listening
// socket (which clients share; [Transport.Accept] is handed a connection whose
// first byte [IsPeer]), and secrecy: whoever can reach the port can speak.
//
//	t, err := transport.New(transport.Options{
//		Group: 1, Self: 0, Size: 3, Peers: []string{"a:7379", "b:7379", "unix:/run/c"},
//		Cluster: cluster, Receive: receive, Heard: heard, Lost: lost,
//	})
//	t.Start()
//	defer t.Close()
//	err = t.Send(1, transport.LaneControl, payload)
//
// A connection begins with [Magic] and a hello, which is answered; then there
// are frames. The bytes are in frame.go and hello.go, and in
// docs/format.md.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Lane is one of the two ordered streams to a peer.
type Lane uint8

// The lanes. Their numbers are not on the wire.
const (
	LaneControl Lane = 1 // small and urgent: heartbeats, votes, acknowledgements
	LaneBulk    Lane = 2 // everything else: values, pages, snapshot chunks
)

// Defaults and limits of [Options].
const (
	DefaultMaxQueueBytes   = 64 << 20
	DefaultMaxControlBytes = 16 << 20
	DefaultMaxPayload      = 64 << 20
	DefaultPeerTimeout     = 5 * time.Second

	// MaxMembers is the largest group that a hello can tell of.
	MaxMembers = 255
	// LargestPayload is the highest MaxPayload that may be set.
	LargestPayload = 1 << 30
)

// Errors of [Transport.Send].
var (
	ErrTooLarge = errors.New("payload above the limit")
	ErrNoPeer   = errors.New("no such peer")
	ErrNoLane   = errors.New("no such lane")
	ErrClosed   = errors.New("transport is closed")
)

// Options say who this process is and whom it serves. Group, Self, Size, Peers,
// Cluster, Receive and Lost are needed; the rest has defaults.
//
// The callbacks are called by goroutines of the Transport, never from within
// Send, and never after Close has returned. They must not wait for anything
// that takes long, and must not call Close or Flush. For one peer, Receive and
// Heard are called by one goroutine at a time.
type Options struct {
	Group uint64   // number of the replica group; a peer of another one is refused
	Self  uint8    // index of this process in Peers
	Size  int      // number of members, as many as Peers has entries
	Peers []string // address of each member by index, "host:port" or "unix:/path"; that of Self is not used

	// Cluster returns the cluster id, 0 while the group is forming. A peer of
	// another cluster is refused, unless one of the two is still 0. It is
	// called by several goroutines at once.
	Cluster func() uint64
	// Receive is given each whole payload, which then belongs to it.
	Receive func(from uint8, payload []byte)
	// Heard is called when bytes of a payload arrived, also in the middle of a
	// long one, at most every 10 ms for each peer. What the transport sends by
	// itself to keep a connection alive does not count: it says nothing of the
	// replica behind it. May be nil.
	Heard func(from uint8)
	// Lost is called after payloads to a peer were, or may have been, dropped:
	// once when a connection breaks or a queue overflows; and if more was
	// dropped while the peer could not be reached, once more when it can.
	Lost func(to uint8)
	// Refused is called when a peer answers that it will not be spoken to, and
	// why. It is tried again every few seconds. May be nil.
	Refused func(to uint8, reason string)

	Logger          *slog.Logger  // default: slog.Default()
	MaxQueueBytes   int           // bytes that may wait on LaneBulk for each peer; a single payload always may
	MaxControlBytes int           // the same for LaneControl
	MaxPayload      int           // longest payload in bytes, sent or received; should be the same everywhere
	PeerTimeout     time.Duration // silence after which a connection is given up; at least 50 ms

	// Dial makes a connection to an address of Peers. Default: [Dial].
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// complete fills in defaults and says what is wrong.
func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Dial == nil {
		o.Dial = Dial
	}
	if o.Heard == nil {
		o.Heard = func(uint8) {}
	}
	if o.Refused == nil {
		o.Refused = func(uint8, string) {}
	}
	setDefault(&o.MaxQueueBytes, DefaultMaxQueueBytes)
	setDefault(&o.MaxControlBytes, DefaultMaxControlBytes)
	setDefault(&o.MaxPayload, DefaultMaxPayload)
	setDefault(&o.PeerTimeout, DefaultPeerTimeout)
	switch {
	case o.Cluster == nil || o.Receive == nil || o.Lost == nil:
		return errors.New("options Cluster, Receive and Lost must be set")
	case o.Size < 1 || o.Size > MaxMembers || len(o.Peers) != o.Size:
		return fmt.Errorf("%d addresses for a group of %d; there must be one for each member, at most %d", len(o.Peers), o.Size, MaxMembers)
	case int(o.Self) >= o.Size:
		return fmt.Errorf("index %d in a group of %d; the first member has index 0", o.Self, o.Size)
	case o.MaxPayload < 1 || o.MaxPayload > LargestPayload:
		return fmt.Errorf("MaxPayload of %d bytes; it must be between 1 and %d", o.MaxPayload, LargestPayload)
	case o.MaxQueueBytes < 1 || o.MaxControlBytes < 1:
		return fmt.Errorf("queues of %d and %d bytes; both must have room", o.MaxQueueBytes, o.MaxControlBytes)
	case o.PeerTimeout < minPeerTimeout:
		return fmt.Errorf("PeerTimeout of %v; it must be at least %v", o.PeerTimeout, minPeerTimeout)
	}
	for i, address := range o.Peers {
		if i == int(o.Self) {
			continue
		}
		if _, _, err := ParseAddress(address); err != nil {
			return fmt.Errorf("peer %d: %w", i, err)
		}
	}
	o.Peers = slices.Clone(o.Peers)
	return nil
}

const minPeerTimeout = 50 * time.Millisecond

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Transport is one process's end of all the streams of its group. Its methods
// may be called by any goroutine.
type Transport struct {
	o     Options
	peers []*peer // by index; nil at Self
	log   *logLimiter

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	started   bool
	closed    bool
	accepted  map[net.Conn]struct{} // every connection that Accept was given and that is open
	greeting  int                   // how many of them have not said who they are
	receivers []*receiver           // by index: the one that counts
}

// New checks the options. Nothing happens before [Transport.Start], but that
// Send queues.
func New(o Options) (*Transport, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	t := &Transport{
		o:         o,
		peers:     make([]*peer, o.Size),
		log:       newLogLimiter(o.Logger),
		accepted:  map[net.Conn]struct{}{},
		receivers: make([]*receiver, o.Size),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	for i := range t.peers {
		if i != int(o.Self) {
			t.peers[i] = newPeer(t, uint8(i))
		}
	}
	return t, nil
}

// Start begins to dial the peers. A second call does nothing.
func (t *Transport) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closed {
		return
	}
	t.started = true
	for _, p := range t.peers {
		if p != nil {
			t.wg.Go(p.run)
		}
	}
}

// Send queues a payload for a peer and returns at once. Nobody may change
// payload afterwards; it may be given to several peers. An error means that it
// can never be sent like this, or that the Transport is closed; that a peer is
// away is none.
func (t *Transport) Send(to uint8, lane Lane, payload []byte) error {
	if err := t.Queue(to, lane, payload); err != nil {
		return err
	}
	t.peers[to].queue.dispatch()
	return nil
}

// Queue is Send for several payloads that go together: they leave with the next
// [Transport.Dispatch].
func (t *Transport) Queue(to uint8, lane Lane, payload []byte) error {
	if int(to) >= len(t.peers) || t.peers[to] == nil {
		return fmt.Errorf("send to peer %d: %w", to, ErrNoPeer)
	}
	if lane != LaneControl && lane != LaneBulk {
		return fmt.Errorf("send to peer %d: lane %d: %w", to, lane, ErrNoLane)
	}
	if len(payload) > t.o.MaxPayload {
		return fmt.Errorf("send to peer %d: %d bytes, at most %d: %w", to, len(payload), t.o.MaxPayload, ErrTooLarge)
	}
	if t.ctx.Err() != nil {
		return fmt.Errorf("send to peer %d: %w", to, ErrClosed)
	}
	t.peers[to].queue.add(lane, payload)
	return nil
}

// Dispatch sends everything that was queued.
func (t *Transport) Dispatch() {
	for _, p := range t.peers {
		if p != nil {
			p.queue.dispatch()
		}
	}
}

// Flush waits until what was queued for the peers that are connected has been
// written to their connections, or was dropped, or ctx ends. It is for a clean
// stop, before [Transport.Close].
func (t *Transport) Flush(ctx context.Context) error {
	for _, p := range t.peers {
		if p == nil || !p.connected.Load() {
			continue
		}
		select {
		case <-p.queue.idle():
		case <-t.ctx.Done():
			return fmt.Errorf("flush: %w", ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("flush: peer %d takes too long: %w", p.index, ctx.Err())
		}
	}
	return nil
}

// Close closes every connection, drops what is queued, and returns when all
// goroutines have ended. A second call waits as well.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	t.cancel()
	for conn := range t.accepted {
		_ = conn.Close() // nothing is sent on it that anyone waits for
	}
	t.mu.Unlock()
	t.wg.Wait()
}

// PeerStatus tells how the streams to and from a peer are doing.
type PeerStatus struct {
	Peer          uint8
	Address       string
	Connected     bool   // this process has a connection on which it sends
	Receiving     bool   // the peer has a connection on which it sends
	QueuedBytes   int    // waiting to be sent, with 64 for each payload
	SentBytes     uint64 // frames written since the start, in bytes
	ReceivedBytes uint64 // frames read since the start, in bytes
	Lost          uint64 // calls of Options.Lost
	Problem       string // why there is no connection to send on; empty if there is, or was no attempt yet
}

// Status returns one entry for each peer, by index, without this process.
func (t *Transport) Status() []PeerStatus {
	var all []PeerStatus
	for i, p := range t.peers {
		if p == nil {
			continue
		}
		s := p.status()
		t.mu.Lock()
		s.Receiving = t.receivers[i] != nil
		t.mu.Unlock()
		all = append(all, s)
	}
	return all
}

// sameCluster says whether two members can be of one cluster, as far as they
// know theirs.
func sameCluster(a, b uint64) bool { return a == 0 || b == 0 || a == b }
