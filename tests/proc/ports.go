package proc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports that the system does not hand out by itself, in blocks. Whoever gives out ports
// of a block listens on its first one until the process ends: tests of several packages
// run at the same time, and the port of a member that does not run at the moment must be
// given to nobody else.
const (
	lowestPort  = 12_000
	highestPort = 30_000
	blockPorts  = 100
	// maxBlocks is how many blocks a process has. Then it gives out its ports again, the
	// oldest first.
	maxBlocks = 10
)

// ports are those of this process.
var ports struct {
	sync.Mutex
	blocks []net.Listener // on the first port of each; never closed
	fresh  []int          // never given out
	given  []int          // the oldest first
}

// FreePorts returns addresses on which nobody listens.
func FreePorts(n int) ([]string, error) {
	ports.Lock()
	defer ports.Unlock()
	var found []string
	for range maxBlocks * blockPorts {
		port, ok := nextPort()
		if !ok {
			break
		}
		a := local(port)
		l, err := net.Listen("tcp", a)
		if err != nil {
			continue
		}
		_ = l.Close()
		if found = append(found, a); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, lowestPort, highestPort)
}

// nextPort returns one that was never given out or, if there are no more of these, the one
// that was given out before all others. The caller holds the lock.
func nextPort() (port int, ok bool) {
	if len(ports.fresh) == 0 && len(ports.blocks) < maxBlocks {
		takeBlock()
	}
	from := &ports.fresh
	if len(*from) == 0 {
		from = &ports.given
	}
	if len(*from) == 0 {
		return 0, false
	}
	port = (*from)[0]
	*from = (*from)[1:]
	ports.given = append(ports.given, port)
	return port, true
}

// takeBlock takes a block that no other process has, if there is one.
func takeBlock() {
	for _, i := range rand.Perm((highestPort - lowestPort) / blockPorts) {
		first := lowestPort + i*blockPorts
		l, err := net.Listen("tcp", local(first))
		if err != nil {
			continue
		}
		ports.blocks = append(ports.blocks, l)
		for port := first + 1; port < first+blockPorts; port++ {
			ports.fresh = append(ports.fresh, port)
		}
		return
	}
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
