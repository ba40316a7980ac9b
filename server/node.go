package server

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/server/transport"
	"diskv/shard"
	"diskv/wal"
)

// Node is one replica in this process, with its directory, its peers and its
// clients.
type Node struct {
	opts    Options
	service service
	logger  *slog.Logger
	started time.Time

	dir       *dataDir
	log       *wal.Log // nil until the group has formed; the loop's
	replica   *replica.Replica
	transport *transport.Transport
	listener  net.Listener
	http      *httpServer
	metrics   *metrics
	history   *history
	slowlog   *slowlog
	clients   *clients

	inbox *inbox
	disk  *diskWorker
	saver *diskWorker // writes and removes snapshots

	// The loop's.
	syncs  []pendingSync   // in order
	outbox []heldBack      // in order
	seen   []chan struct{} // who waits for the next output to be carried out

	receiving receiving // the disk worker's

	tracking  *tracking   // the loop's
	mover     *shardMover // of a sharded group, else nil
	directory *directory  // of a cluster's other groups; nil for a group by itself

	forwardLinks *outbound // nil unless commands are forwarded

	cluster  atomic.Uint64              // cluster id, for the transport
	route    atomic.Pointer[route]      // who leads
	shards   atomic.Pointer[shardTable] // nil for a group by itself
	lowDisk  atomic.Bool
	freeDisk atomic.Int64 // bytes
	failure  atomic.Pointer[error]
	failed   chan struct{} // closed at the first failure
	ended    chan struct{} // closed when the loop has ended
	failing  sync.Once
}

// pendingSync is a batch of records on its way to the disk.
type pendingSync struct {
	index uint64 // of its last record in the log
	sync  uint64 // the replica's number for it
}

// heldBack is what must not leave before a sync has ended.
type heldBack struct {
	sync     uint64
	messages []paxos.Envelope
}

// route says who leads the group.
type route struct {
	leading bool
	known   bool
	leader  paxos.ReplicaID
	why     string // the member is not ready
}

// Open locks and checks the directory, loads what it holds and opens the
// listening sockets. Every error says what is wrong with which option or file.
func Open(o Options) (*Node, error) { return open(o, "") }

// open is Open. A directory that is known to be a lost disk, for a reason, is
// put aside first.
func open(o Options, lost string) (*Node, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &Node{
		opts: o, service: newService(o.Service, o.Group), started: time.Now(),
		inbox: newInbox(), tracking: newTracking(), failed: make(chan struct{}), ended: make(chan struct{}),
	}
	n.route.Store(&route{why: "the member is starting"})
	n.logger = o.Logger.With("group", o.Group, "member", o.Index)
	n.metrics, n.history, n.slowlog = newMetrics(n), newHistory(n), newSlowlog()
	switch o.Service {
	case paxos.ServicePlain:
	case paxos.ServiceSharded:
		n.mover, n.directory = newShardMover(n), newDirectory(shard.GroupID(o.Group), n.placed)
	case paxos.ServiceShardmaster:
		n.directory = newDirectory(0, n.newestConfig)
	}
	if o.Forward {
		n.forwardLinks = newForwardLinks()
	}
	dir, err := openDir(&o, randomUint64)
	if err != nil {
		return nil, withRemedy(err, o.Dir)
	}
	n.dir = dir
	if lost != "" {
		if err := n.lose(lost); err != nil {
			n.release()
			return nil, withRemedy(err, o.Dir)
		}
	}
	for _, step := range []func() error{n.loadOrLose, n.connect, n.listen} {
		if err := step(); err != nil {
			n.release()
			return nil, withRemedy(err, o.Dir)
		}
	}
	return n, nil
}

// loadOrLose loads what the directory holds. If that is damaged, a member of a
// group has lost its disk, and gets everything back from the others.
func (n *Node) loadOrLose() error {
	if n.dir.lost != "" {
		n.warnLost(n.dir.lost)
	}
	err := n.load()
	var d damage
	if !errors.As(err, &d) || n.opts.single() {
		return err
	}
	if n.log != nil {
		_ = n.log.Close()
		n.log = nil
	}
	if err := n.lose(err.Error()); err != nil {
		return err
	}
	return n.load()
}

// lose makes the directory that of a replica that has lost its disk.
func (n *Node) lose(reason string) error {
	n.warnLost(reason)
	return n.dir.recovering(&n.opts, randomUint64, reason)
}

func (n *Node) warnLost(reason string) {
	n.logger.Warn("this member has lost its disk: it does not vote until the others have given it everything back",
		"because", reason, "put aside in", n.dir.quarantinePath())
}

// connect makes the transport to the peers; nothing is dialled before Run.
func (n *Node) connect() error {
	var err error
	n.transport, err = transport.New(transport.Options{
		Group: n.opts.Group, Self: uint8(n.opts.Index), Size: len(n.opts.Peers), Peers: n.opts.Peers,
		Cluster:    n.cluster.Load,
		Receive:    n.receive,
		Heard:      func(from uint8) { n.inbox.put(func(r *replica.Replica) { r.Heard(paxos.ReplicaID(from)) }) },
		Lost:       func(to uint8) { n.inbox.put(func(r *replica.Replica) { r.Lost(paxos.ReplicaID(to)) }) },
		Logger:     n.logger,
		MaxPayload: maxMaxValue + peerOverhead, // the members' own limits may differ
	})
	return err
}

// Close lets go of a node that was opened and is not to be run.
func (n *Node) Close() { n.release() }

// release undoes Open.
func (n *Node) release() {
	if n.listener != nil {
		_ = n.listener.Close()
	}
	if n.http != nil {
		n.http.close()
	}
	if n.mover != nil {
		n.mover.close()
	}
	if n.log != nil {
		_ = n.log.Close()
	}
	_ = n.dir.close()
}

// randomUint64 draws a number that is not zero.
func randomUint64() uint64 {
	var b [8]byte
	for {
		if _, err := crand.Read(b[:]); err != nil {
			panic("server: no randomness: " + err.Error())
		}
		if v := binary.LittleEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}

// listen opens the sockets, so that a port in use is reported before anything
// else happens.
func (n *Node) listen() error {
	network, address, err := transport.ParseAddress(n.opts.Listen)
	if err != nil {
		return err
	}
	if network == "unix" {
		if err := removeStaleSocket(address); err != nil {
			return err
		}
	}
	if n.listener, err = net.Listen(network, address); err != nil {
		return listenError("--listen", err)
	}
	if n.opts.HTTP == "" {
		return nil
	}
	n.http, err = newHTTPServer(n)
	return err
}

// listenError is the error of an address that cannot be listened on, with what to do.
func listenError(flag string, err error) error {
	var lookup *net.DNSError
	remedy := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = ": another process has it: stop that one, or give another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &lookup):
		remedy = ": give an address of this machine, or :PORT for all that it has"
	case errors.Is(err, syscall.EACCES):
		remedy = ": give a port from 1024 on, or a path that the user of diskvd may write to"
	case errors.Is(err, fs.ErrNotExist):
		remedy = ": make the directory of the socket"
	}
	return fmt.Errorf("%s: %w%s", flag, err, remedy)
}

// removeStaleSocket removes a unix socket that nobody listens on any more.
func removeStaleSocket(path string) error {
	if fi, err := os.Stat(path); err != nil || fi.Mode()&os.ModeSocket == 0 {
		return nil
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("--listen: another process listens on unix:%s", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("--listen: the socket that is there cannot be tried: %w", err)
	}
	return os.Remove(path)
}

// Addr returns the address on which the node listens, in the form of Listen.
func (n *Node) Addr() string {
	if n.listener.Addr().Network() == "unix" {
		return "unix:" + n.listener.Addr().String()
	}
	return n.listener.Addr().String()
}

// HTTPAddr returns the address of the health checks and metrics, or nothing.
func (n *Node) HTTPAddr() string {
	if n.http == nil {
		return ""
	}
	return n.http.listener.Addr().String()
}

// Run serves until ctx ends or the disk fails. When ctx ends it hands the
// leadership over, closes the log and returns nil.
func (n *Node) Run(ctx context.Context) error {
	n.disk, n.saver = newDiskWorker(n.holdsDirectory), newDiskWorker(n.holdsDirectory)
	n.clients = newClients(n)
	id := n.dir.id // from now on the loop's
	n.logger.Info("serving", "listen", n.Addr(), "dir", n.dir.path, "boot", id.Boot, "phase", id.Phase.String())
	n.transport.Start()
	stop := make(chan struct{})
	go n.loop(stop)
	var accepting sync.WaitGroup
	accepting.Go(n.acceptLoop)
	accepting.Go(n.watchDisk)
	accepting.Go(n.history.record)
	directory, stopDirectory := context.WithCancel(context.Background())
	defer stopDirectory()
	if n.directory != nil {
		accepting.Go(func() { n.directory.run(directory) })
	}
	if n.http != nil {
		accepting.Go(n.http.serve)
	}

	select {
	case <-ctx.Done():
		n.logger.Info("stopping", "cause", context.Cause(ctx))
		deadline, cancel := context.WithTimeout(context.Background(), n.opts.ShutdownTimeout)
		n.handOver(deadline)
		_ = n.listener.Close()
		n.clients.drain(deadline)
		cancel()
	case <-n.failed:
	}

	close(stop)
	<-n.ended
	_ = n.listener.Close()
	if n.http != nil {
		n.http.close()
	}
	if n.forwardLinks != nil {
		n.forwardLinks.close() // no client may wait for another member any more
	}
	n.clients.close()
	n.transport.Close()
	stopDirectory()
	if n.mover != nil {
		n.mover.close()
	}
	accepting.Wait()
	n.disk.close()
	n.saver.close()
	n.receiving.close()
	var err error
	if n.log != nil {
		err = n.log.Close()
	}
	_ = n.dir.close()
	if f := n.failure.Load(); f != nil {
		var lost lostDisk
		if !errors.As(*f, &lost) {
			return *f
		}
		next, err := open(n.opts, lost.reason)
		if err != nil {
			return err
		}
		return next.Run(ctx)
	}
	if err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	n.logger.Info("stopped")
	return nil
}

// peerOverhead is what may come with the largest value in one message of a
// peer: the rest of its batch, or a page of entries.
const peerOverhead = 8 << 20

// fail ends the node at the first failure of its disk: what memory says may no
// longer be what the disk holds, so nothing more may be answered.
func (n *Node) fail(err error) {
	n.failing.Do(func() {
		err = withRemedy(err, n.dir.path)
		n.failure.Store(&err)
		if !errors.As(err, new(lostDisk)) {
			n.logger.Error("stopping at once: nothing can be made durable any more", "error", err)
		}
		close(n.failed)
	})
}

// withRemedy adds to the error of a full disk what can be done.
func withRemedy(err error, dir string) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w; nothing acknowledged is lost: make room on the disk of %s and start again", err, dir)
	}
	return err
}

// handOver has another member lead, if this one does, and waits for it.
func (n *Node) handOver(deadline context.Context) {
	if !n.route.Load().leading || n.opts.single() {
		return
	}
	begun := false
	if n.do(func(r *replica.Replica) { begun = r.HandOver() }) != nil || !begun {
		return
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for busy := true; busy; {
		select {
		case <-deadline.Done():
			n.logger.Warn("no other member has taken over in time", "waited", n.opts.ShutdownTimeout)
			return
		case <-poll.C:
		}
		if n.do(func(r *replica.Replica) {
			_, _, leading := r.Leader()
			busy = leading || r.Status().Undecided > 0
		}) != nil {
			return
		}
	}
}

// receive decodes a message of a peer and carries it to the loop.
func (n *Node) receive(from uint8, payload []byte) {
	e, err := paxos.DecodeEnvelope(payload)
	if err == nil && uint8(e.From) != from {
		err = fmt.Errorf("it says that it is of member %d", e.From)
	}
	if err != nil {
		n.logger.Warn("message of a peer dropped", "from", from, "error", err)
		return
	}
	n.inbox.put(func(r *replica.Replica) { r.Receive(e) })
}

// do runs f on the loop and waits until what the replica wanted done by then is
// carried out: what f has seen is what clients are answered by from then on.
func (n *Node) do(f func(r *replica.Replica)) error {
	done := make(chan struct{})
	if !n.inbox.put(func(r *replica.Replica) { f(r); n.seen = append(n.seen, done) }) {
		return errStopped
	}
	select {
	case <-done:
		return nil
	case <-n.ended:
		return errStopped
	}
}

var errStopped = errors.New("the server is stopping")

// newRand returns a source of chance for the replica.
func newRand() *rand.Rand { return rand.New(rand.NewPCG(randomUint64(), randomUint64())) }
