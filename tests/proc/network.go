package proc

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"

	"diskv/internal/resp"
	"diskv/server/transport"
)

// Loss is what becomes of requests and replies on a [Network], as shares of 1.
type Loss struct {
	Requests float64 // discarded before the server gets them
	Replies  float64 // discarded after the server has executed the request
}

// Unreliable is the network of the labs.
var Unreliable = Loss{Requests: 0.1, Replies: 0.2}

// Network is proxies between RESP clients and servers. It knows where a request
// and a reply begin and end, and discards some. With what it discards it closes
// the connection, which is how a client notices. Connections between the members
// of a group it carries as they are. Its methods are for any goroutine.
//
//	n := proc.NewNetwork(seed, proc.Unreliable)
//	defer n.Close()
//	addr, err := n.Through(member.Addr)   // use it in place of member.Addr
type Network struct {
	seed uint64

	mu        sync.Mutex
	loss      Loss
	discarded [2]int            // requests, replies
	carried   int               // replies
	through   map[string]string // server -> proxy
	proxies   Proxies
}

// NewNetwork returns a network without proxies. What is discarded follows from
// the seed and the order of the connections.
func NewNetwork(seed uint64, loss Loss) *Network {
	return &Network{seed: seed, loss: loss, through: make(map[string]string)}
}

// SetLoss changes what is discarded from now on.
func (n *Network) SetLoss(l Loss) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = l
}

// Discarded returns how many requests and replies were discarded, and how many
// replies were not.
func (n *Network) Discarded() (requests, replies, carried int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.discarded[0], n.discarded[1], n.carried
}

// Through returns the address of the proxy in front of a server, which is made
// when it is asked for first. The server need not be there yet. The address of a
// proxy is its own.
func (n *Network) Through(addr string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if proxy, ok := n.through[addr]; ok {
		return proxy, nil
	}
	for _, proxy := range n.through {
		if proxy == addr {
			return addr, nil
		}
	}
	proxy, err := n.proxies.Listen(func(client net.Conn) { n.carry(client, addr) })
	if err != nil {
		return "", fmt.Errorf("proxy for %s: %w", addr, err)
	}
	n.through[addr] = proxy
	return proxy, nil
}

// ThroughAll is Through for several servers.
func (n *Network) ThroughAll(addrs []string) ([]string, error) {
	var proxies []string
	for _, a := range addrs {
		p, err := n.Through(a)
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, p)
	}
	return proxies, nil
}

// Close ends all connections and proxies and waits for that.
func (n *Network) Close() {
	n.proxies.End()
	n.proxies.Wait()
}

// maxPipeline is how many requests of a connection may be without a reply.
const maxPipeline = 1024

// carry carries what a client and a server say to each other, until one of them
// ends it or something is discarded.
func (n *Network) carry(client net.Conn, addr string) {
	defer n.proxies.Drop(client)
	number, err := n.proxies.Hold(client)
	if err != nil {
		return
	}
	server, err := dial(addr)
	if err != nil {
		return
	}
	defer n.proxies.Drop(server)
	if _, err := n.proxies.Hold(server); err != nil {
		return
	}
	var carrying sync.WaitGroup
	defer carrying.Wait()
	from := bufio.NewReader(client)
	if first, err := from.Peek(1); err != nil || transport.IsPeer(first[0]) {
		carrying.Go(func() { pass(client, server) })
		_, _ = from.WriteTo(server)
		_ = client.Close()
		_ = server.Close()
		return
	}
	// One token for each request that the server was given. When no more
	// will be, the replies to those still go to the client.
	given := make(chan struct{}, maxPipeline)
	gone := make(chan struct{})
	carrying.Go(func() {
		defer func() {
			close(gone)
			_ = client.Close()
			_ = server.Close()
		}()
		n.replies(client, server, given, rand.New(rand.NewPCG(n.seed, number)))
	})
	n.requests(from, server, given, gone, rand.New(rand.NewPCG(n.seed, ^number)))
	close(given)
}

// pass carries bytes until one side ends.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func (n *Network) requests(client io.Reader, server net.Conn, given chan<- struct{}, gone <-chan struct{}, chance *rand.Rand) {
	in := resp.NewCommandReader(client, resp.Options{})
	var out []byte
	for {
		args, err := in.ReadCommand()
		if err != nil || n.discards(0, chance) {
			return
		}
		select {
		case given <- struct{}{}:
		case <-gone:
			return
		}
		out = resp.AppendCommand(out[:0], args...)
		if _, err := server.Write(out); err != nil {
			return
		}
	}
}

func (n *Network) replies(client, server net.Conn, given <-chan struct{}, chance *rand.Rand) {
	seen := &recorder{src: server}
	in := resp.NewReplyReader(seen, resp.ReplyOptions{})
	for range given {
		for {
			v, err := in.ReadReply()
			if err != nil {
				return
			}
			answer := v.Kind != resp.KindPush
			if answer && n.discards(1, chance) {
				return
			}
			if _, err := client.Write(seen.take(in.Buffered())); err != nil {
				return
			}
			if answer {
				break
			}
		}
	}
}

// discards decides on a request (0) or a reply (1).
func (n *Network) discards(which int, chance *rand.Rand) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	share := n.loss.Requests
	if which == 1 {
		share = n.loss.Replies
	}
	if chance.Float64() >= share {
		if which == 1 {
			n.carried++
		}
		return false
	}
	n.discarded[which]++
	return true
}

// recorder keeps what was read through it.
type recorder struct {
	src  net.Conn
	read []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	k, err := r.src.Read(b)
	r.read = append(r.read, b[:k]...)
	return k, err
}

// take returns what was read but for the last bytes of it, and forgets that. The
// result is valid until the next Read.
func (r *recorder) take(but int) []byte {
	k := len(r.read) - but
	taken := r.read[:k:k]
	r.read = append([]byte(nil), r.read[k:]...)
	return taken
}
