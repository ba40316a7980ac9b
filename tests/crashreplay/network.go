package crashreplay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"diskv/server/transport"
	"diskv/tests/proc"
)

// Network is a proxy in front of every member of a group, over which the others and the
// clients reach it. It knows who speaks: what a client and a member say to each other
// it carries as it is, and each direction between two members can be cut, slowed
// and made to lose, double and reorder messages. Its methods are for any
// goroutine.
type Network struct {
	members []string // their own addresses; set by Through, for once
	ways    [][]*way // from, to
	proxies proc.Proxies
	seed    uint64
}

// Condition is how one direction between two members is.
type Condition struct {
	Cut     bool // nothing passes, and waits
	Refused bool // connections end at once
	// Late is by how much messages are late, at most; each by another time.
	Late time.Duration
	// Disorder: those that are late may overtake each other.
	Disorder bool
	Lost     float64 // share of the messages that get lost
	Doubled  float64 // share of the messages that arrive twice
}

// way is a direction between two members.
type way struct {
	mu      sync.Mutex
	is      Condition
	changed chan struct{}
}

func (w *way) condition() (Condition, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.is, w.changed
}

func (w *way) set(c Condition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.is = c
	close(w.changed)
	w.changed = make(chan struct{})
}

// NewNetwork returns a network without members. What it loses follows from the seed and
// the order of the connections.
func NewNetwork(seed uint64) *Network {
	return &Network{seed: seed}
}

// Through puts a proxy in front of each member and returns their addresses by index. It
// is for once.
func (n *Network) Through(members []string) ([]string, error) {
	n.members = members
	for range members {
		ways := make([]*way, len(members))
		for i := range ways {
			ways[i] = &way{changed: make(chan struct{})}
		}
		n.ways = append(n.ways, ways)
	}
	var public []string
	for i := range members {
		proxy, err := n.proxies.Listen(func(c net.Conn) { n.carry(c, i) })
		if err != nil {
			return nil, fmt.Errorf("proxy of member %d: %w", i, err)
		}
		public = append(public, proxy)
	}
	return public, nil
}

// Set changes the direction from one member to another.
func (n *Network) Set(from, to int, c Condition) { n.ways[from][to].set(c) }

// Around changes both directions, or one, between the members of a set and all others.
// What is between two of the set stays as it is.
func (n *Network) Around(set []int, out, in bool, c Condition) {
	for _, m := range set {
		for o := range n.members {
			if slices.Contains(set, o) {
				continue
			}
			if out {
				n.Set(m, o, c)
			}
			if in {
				n.Set(o, m, c)
			}
		}
	}
}

// Close ends all connections and waits for that.
func (n *Network) Close() {
	n.proxies.End()
	for _, ways := range n.ways {
		for _, w := range ways {
			w.set(Condition{Refused: true})
		}
	}
	n.proxies.Wait()
}

const dialTimeout = 2 * time.Second

// carry carries a connection to a member until it ends.
func (n *Network) carry(c net.Conn, to int) {
	defer n.proxies.Drop(c)
	number, err := n.proxies.Hold(c)
	if err != nil {
		return
	}
	from := bufio.NewReader(c)
	first, err := from.Peek(1)
	if err != nil {
		return
	}
	member, err := net.DialTimeout("tcp", n.members[to], dialTimeout)
	if err != nil {
		return
	}
	defer n.proxies.Drop(member)
	if _, err := n.proxies.Hold(member); err != nil {
		return
	}
	both := func() {
		_ = c.Close()
		_ = member.Close()
	}
	var back sync.WaitGroup
	defer back.Wait()
	defer both()
	if !transport.IsPeer(first[0]) {
		back.Go(func() {
			_, _ = io.Copy(c, member)
			both()
		})
		_, _ = from.WriteTo(member)
		return
	}
	hello, read, err := transport.ReadHello(from)
	if err != nil || int(hello.From) >= len(n.members) || int(hello.From) == to {
		return
	}
	there, here := n.ways[hello.From][to], n.ways[to][hello.From]
	if !there.opens() || !here.opens() {
		return
	}
	if _, err := member.Write(read); err != nil {
		return
	}
	back.Go(func() {
		here.pass(c, bufio.NewReader(member), both, newChance(n.seed+2*number))
	})
	there.pass(member, from, both, newChance(n.seed+2*number+1))
}

// opens waits until a connection can be made, and reports whether it is not refused.
func (w *way) opens() bool {
	for {
		c, changed := w.condition()
		if c.Refused || !c.Cut {
			return !c.Refused
		}
		<-changed
	}
}
