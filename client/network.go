package client

import (
	"context"
	"errors"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// network is the connections of a client, by address, and its goroutines.
type network struct {
	opt    Options
	ctx    context.Context // ends with close
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // Add with mu held, unless closed
	nodes   map[string]*node
}

// node is one member as it is connected to. The server answers each connection in
// order, so what takes its time has connections of its own: a read need not wait
// for the sync of a write that another goroutine has sent.
type node struct {
	addr  string
	lanes [lanes]lane
}

// The lanes of a node.
const (
	laneRead = iota
	laneWrite
	// laneMoving is for shards that have just moved: a member makes what comes for
	// them wait until they have arrived, and with it what stands behind.
	laneMoving
	lanes
)

func onLaneRead() int { return laneRead }

// lane is a few connections that are used in turn.
type lane struct {
	next  atomic.Uint32
	slots []slot
}

// slot is the place of one connection.
type slot struct {
	mu      sync.Mutex
	conn    *conn
	dialing *dialing
}

// dialing is a connection that is being made, for all who wait for it.
type dialing struct {
	done chan struct{}
	conn *conn
	err  error
}

func newNetwork(o Options) *network {
	n := &network{opt: o, nodes: make(map[string]*node)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// start runs f on a goroutine for which close waits. After close it does nothing
// and returns false.
func (n *network) start(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.running.Go(f)
	return true
}

// close ends all connections and waits for all goroutines.
func (n *network) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cancel() // every connection and everything that waits ends with it
	n.running.Wait()
}

// node returns the one of an address, or nil after close.
func (n *network) node(addr string) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	nd := n.nodes[addr]
	if nd == nil {
		nd = &node{addr: addr}
		for i := range nd.lanes {
			nd.lanes[i].slots = make([]slot, n.opt.Connections)
		}
		n.nodes[addr] = nd
	}
	return nd
}

// keep closes the connections to nodes that are not wanted any more, unless
// something is under way there.
func (n *network) keep(wanted func(addr string) bool) {
	n.mu.Lock()
	unwanted := maps.Clone(n.nodes)
	maps.DeleteFunc(unwanted, func(addr string, _ *node) bool { return wanted(addr) })
	n.mu.Unlock()
	for addr, nd := range unwanted {
		if !nd.idle() { // not under the lock: who connects takes a slot's first
			continue
		}
		n.mu.Lock()
		if n.nodes[addr] == nd {
			delete(n.nodes, addr)
		}
		n.mu.Unlock()
		nd.close()
	}
}

func (nd *node) each(f func(s *slot)) {
	for i := range nd.lanes {
		for j := range nd.lanes[i].slots {
			s := &nd.lanes[i].slots[j]
			s.mu.Lock()
			f(s)
			s.mu.Unlock()
		}
	}
}

func (nd *node) idle() bool {
	idle := true
	nd.each(func(s *slot) {
		idle = idle && s.dialing == nil && (s.conn == nil || s.conn.idle())
	})
	return idle
}

func (nd *node) close() {
	nd.each(func(s *slot) {
		if s.conn != nil {
			s.conn.fail(errUnwanted)
			s.conn = nil
		}
	})
}

// exchange sends a command to a member, once: see [conn.exchange].
func (n *network) exchange(ctx context.Context, addr string, lane int, encoded []byte, impatient func() bool) (v Value, sent bool, err error) {
	for {
		nd := n.node(addr)
		if nd == nil {
			return Value{}, false, ErrClosed
		}
		l := &nd.lanes[lane]
		c, err := n.connect(ctx, addr, &l.slots[l.next.Add(1)%uint32(len(l.slots))])
		if err != nil {
			return Value{}, false, err
		}
		v, sent, err = c.exchange(ctx, encoded, impatient)
		if err == nil || sent || !errors.Is(err, errUnwanted) {
			return v, sent, err
		}
	}
}

// connect returns the connection in a slot, which it makes if there is none.
func (n *network) connect(ctx context.Context, addr string, s *slot) (*conn, error) {
	s.mu.Lock()
	if s.conn != nil && !s.conn.broken() {
		defer s.mu.Unlock()
		return s.conn, nil
	}
	s.conn = nil
	d := s.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		s.dialing = d
		if !n.start(func() { n.dial(addr, s, d) }) {
			s.dialing = nil
			s.mu.Unlock()
			return nil, ErrClosed
		}
	}
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

func (n *network) dial(addr string, s *slot, d *dialing) {
	ctx, cancel := context.WithTimeout(n.ctx, n.opt.DialTimeout)
	defer cancel()
	nc, err := n.opt.Dial(ctx, addr)
	if err == nil {
		d.conn, err = n.serve(nc)
	}
	if n.ctx.Err() != nil {
		err = ErrClosed
	}
	d.err = err
	s.mu.Lock()
	s.conn, s.dialing = d.conn, nil
	s.mu.Unlock()
	close(d.done)
}

// serve makes a connection of nc, which ends with the network.
func (n *network) serve(nc net.Conn) (*conn, error) {
	c := newConn(nc, &n.opt)
	stop := context.AfterFunc(n.ctx, func() { c.fail(ErrClosed) })
	if !n.start(c.write) || !n.start(func() { defer stop(); c.read() }) {
		c.fail(ErrClosed)
		return nil, ErrClosed
	}
	return c, nil
}

// dialAddress connects to host:port or unix:/path.
func dialAddress(ctx context.Context, addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
