package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"diskv/internal/resp"
	"diskv/server/transport"
)

// clients keeps the connections of RESP clients, and those of which it is not
// known yet whose they are.
type clients struct {
	node     *Node
	most     atomic.Int64 // connections
	nextID   atomic.Uint64
	count    atomic.Int64
	traffic  traffic
	pollers  []*poller    // none: every client has a goroutine of its own
	blocked  atomic.Int64 // connections that wait in WAIT
	stopping atomic.Bool  // set before the deadlines of all connections are

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	served map[uint64]*client // those of which it is known that they are clients
	wg     sync.WaitGroup
}

const (
	// crowd is how many connections above the limit are heard: a peer must get
	// in however many clients there are.
	crowd = 64
	// crowdTimeout is how long they may take to say who they are. A peer does so
	// at once.
	crowdTimeout = time.Second
	// stopTimeout is how long a client may take to read its last replies when
	// the node stops.
	stopTimeout = time.Second
	// ownFiles is how many files a node may open besides its clients'
	// connections.
	ownFiles = 256
)

func newClients(n *Node) *clients {
	c := &clients{node: n, conns: make(map[net.Conn]struct{}), served: make(map[uint64]*client)}
	most := int64(n.opts.MaxClients)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		most = clientsWithin(files.Cur, most)
	}
	c.most.Store(most)
	if most < int64(n.opts.MaxClients) {
		n.logger.Warn("fewer clients than --max-clients can be served: the process may open too few files",
			"files", files.Cur, "clients", most, "max clients", n.opts.MaxClients)
	}
	if n.holdsKeys() { // else there are few, and much of what they ask for waits
		for range max(runtime.GOMAXPROCS(0)/2, 1) {
			p, err := newPoller(n)
			if err != nil {
				n.logger.Warn("clients cannot share goroutines: each gets one of its own, which costs more", "error", err)
				break
			}
			c.pollers = append(c.pollers, p)
		}
	}
	return c
}

// clientsWithin returns how many of the clients wanted can be served by a
// process that may open so many files. The log must never lack one.
func clientsWithin(files uint64, want int64) int64 {
	if files >= uint64(want)+ownFiles+crowd {
		return want
	}
	return max(int64(files)-ownFiles-crowd, int64(files/4))
}

// keep notes an open connection, or closes it if there are too many or the node
// is stopping.
func (c *clients) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.Load() || c.count.Load() >= c.most.Load()+crowd {
		_ = conn.Close()
		return false
	}
	c.count.Add(1)
	c.conns[conn] = struct{}{}
	c.wg.Add(1)
	return true
}

// forget lets go of a connection, whoever closes it.
func (c *clients) forget(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	c.count.Add(-1)
	c.wg.Done()
}

// all returns the clients that are served, the oldest first.
func (c *clients) all() []*client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.served), func(a, b *client) int { return cmp.Compare(a.id, b.id) })
}

// serve serves a client until it is gone; it may return before. first was read from its
// connection. end is called when it is gone.
func (c *clients) serve(conn net.Conn, first []byte, end func()) {
	served := newClient(c.node, conn)
	c.traffic.connections.Add(1)
	gone := func() {
		c.mu.Lock()
		delete(c.served, served.id)
		c.mu.Unlock()
		end()
	}
	shares := len(c.pollers) > 0 && c.pollers[served.id%uint64(len(c.pollers))].share(served, first, gone)
	if !shares {
		served.conn = transport.Prepend(conn, first)
	}
	c.mu.Lock()
	c.served[served.id] = served
	c.mu.Unlock()
	if shares {
		served.shared.carry(nil)
		return
	}
	defer gone()
	served.serve()
}

// handOver hands the clients on whose runs the loop has gathered outcomes for.
func (c *clients) handOver() {
	for _, p := range c.pollers {
		p.handOver()
	}
}

// drain takes no more commands and waits, until the deadline, for those under
// way to be answered.
func (c *clients) drain(deadline context.Context) {
	c.stop()
	idle := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-deadline.Done():
	case <-c.node.failed:
	}
}

// stop ends the reading of commands.
func (c *clients) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping.Store(true)
	for conn := range c.conns {
		_ = conn.SetReadDeadline(time.Now())
		_ = conn.SetWriteDeadline(time.Now().Add(stopTimeout))
	}
	for _, served := range c.served {
		if served.shared != nil {
			served.shared.wake(nil)
		}
	}
}

// close ends every connection and waits for their goroutines. Replies that are
// ready leave first. The loop must have ended.
func (c *clients) close() {
	c.stop()
	for _, served := range c.all() {
		if served.shared != nil {
			served.shared.executed(nil) // which it never will be
		}
	}
	c.wg.Wait()
	for _, p := range c.pollers {
		p.close()
	}
}

// acceptLoop takes connections until the listener is closed. Clients and peers
// share the address; the first byte tells them apart.
func (n *Node) acceptLoop() {
	failing := false
	for {
		conn, err := n.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if !failing {
				n.logger.Warn("connections cannot be accepted, trying on", "error", err)
			}
			failing = true
			select {
			case <-time.After(50 * time.Millisecond): // out of file descriptors, perhaps
			case <-n.ended:
				return
			}
			continue
		}
		failing = false
		if n.clients.keep(conn) {
			go n.greet(conn)
		}
	}
}

// greet reads the first byte of a connection and gives it to whom it is for.
func (n *Node) greet(conn net.Conn) {
	crowded := n.clients.count.Load() > n.clients.most.Load()
	if crowded {
		_ = conn.SetReadDeadline(time.Now().Add(crowdTimeout))
	}
	var first [1]byte
	_, err := io.ReadFull(conn, first[:])
	if err == nil && transport.IsPeer(first[0]) {
		defer n.clients.forget(conn)
		_ = conn.SetReadDeadline(time.Time{})
		n.transport.Accept(transport.Prepend(conn, first[:]))
		return
	}
	end := func() {
		_ = conn.Close()
		n.clients.forget(conn)
	}
	switch {
	case crowded && !errors.Is(err, io.EOF):
		n.clients.traffic.rejected.Add(1)
		_ = conn.SetWriteDeadline(time.Now().Add(crowdTimeout))
		_, _ = conn.Write(resp.AppendError(nil, "ERR max number of clients reached"))
	case err == nil:
		n.clients.serve(conn, first[:], end)
		return
	}
	end()
}
