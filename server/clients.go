package server

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"diskv/internal/resp"
	"diskv/server/transport"
)

// clients keeps the connections of RESP clients.
type clients struct {
	node   *Node
	nextID atomic.Uint64
	count  atomic.Int64

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

func newClients(n *Node) *clients {
	return &clients{node: n, conns: make(map[net.Conn]struct{})}
}

// keep notes an open connection, or closes it if the node is stopping.
func (c *clients) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return false
	}
	c.conns[conn] = struct{}{}
	c.wg.Add(1)
	return true
}

// forget lets go of a connection, whoever closes it.
func (c *clients) forget(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	c.wg.Done()
}

// close ends every connection and waits for their goroutines. Replies that are
// ready leave first.
func (c *clients) close() {
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		_ = conn.SetReadDeadline(time.Now())
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// acceptLoop takes connections until the listener is closed. Clients and peers
// share the address; the first byte tells them apart.
func (n *Node) acceptLoop() {
	for {
		conn, err := n.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			n.logger.Warn("connection could not be accepted", "error", err)
			select {
			case <-time.After(50 * time.Millisecond): // out of file descriptors, perhaps
			case <-n.ended:
				return
			}
			continue
		}
		if n.clients.keep(conn) {
			go n.greet(conn)
		}
	}
}

// greet reads the first byte of a connection and gives it to whom it is for.
func (n *Node) greet(conn net.Conn) {
	defer n.clients.forget(conn)
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		_ = conn.Close()
		return
	}
	whole := transport.Prepend(conn, first[:])
	if transport.IsPeer(first[0]) {
		n.transport.Accept(whole)
		return
	}
	defer func() { _ = conn.Close() }()
	if n.clients.count.Add(1) > int64(n.opts.MaxClients) {
		n.clients.count.Add(-1)
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(resp.AppendError(nil, "ERR max number of clients reached"))
		return
	}
	defer n.clients.count.Add(-1)
	newClient(n, whole).serve()
}
