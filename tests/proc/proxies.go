package proc

import (
	"errors"
	"net"
	"sync"
)

// Proxies are listeners on the loopback interface, and all that is carried for the
// connections that they accept. Close ends everything. Its methods are for any goroutine;
// the zero Proxies is ready.
type Proxies struct {
	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	conns     map[net.Conn]bool
	made      uint64 // connections
	running   sync.WaitGroup
}

// ErrProxiesClosed says that Close was called.
var ErrProxiesClosed = errors.New("the network is closed")

// Listen opens a port and has carry serve every connection to it, each in a goroutine of
// its own. It returns the address.
func (p *Proxies) Listen(carry func(net.Conn)) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", ErrProxiesClosed
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.listeners = append(p.listeners, l)
	p.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			p.running.Go(func() { carry(c) })
		}
	})
	return l.Addr().String(), nil
}

// Hold keeps a connection for Close to end, and returns its number.
func (p *Proxies) Hold(c net.Conn) (number uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, ErrProxiesClosed
	}
	if p.conns == nil {
		p.conns = make(map[net.Conn]bool)
	}
	p.conns[c] = true
	p.made++
	return p.made, nil
}

// Drop closes a connection and keeps it no longer.
func (p *Proxies) Drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// End ends all listeners and connections, and Wait waits for what was carried for them.
func (p *Proxies) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.listeners {
		_ = l.Close()
	}
	for c := range p.conns {
		_ = c.Close()
	}
}

// Wait returns when everything has ended.
func (p *Proxies) Wait() { p.running.Wait() }
