package crashreplay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// namespaces is a network of the kernel: every member in a namespace of its own, joined by a
// bridge at which the clients are. Routes say what reaches whom: a blackhole has packets
// vanish, as a pulled cable does. It takes root, and does not last longer than the run.
type namespaces struct {
	name   string // of the bridge, and the beginning of all other names
	subnet string // its first three numbers

	mu     sync.Mutex
	routes map[[2]int]string // from, to: the kind of route that keeps packets
}

// ErrNoNamespaces says that the system or its user may have none.
var ErrNoNamespaces = errors.New("no network namespaces can be made here: it takes root and the program ip")

// bridges counts those of this process, for names and addresses of their own.
var bridges atomic.Int32

func newNamespaces(members int) (*namespaces, error) {
	pid, number := os.Getpid(), int(bridges.Add(1))
	n := &namespaces{
		name: fmt.Sprintf("cr%d.%d", pid, number), subnet: fmt.Sprintf("10.%d.%d", 64+pid/256%128, (pid+number)%256),
		routes: make(map[[2]int]string),
	}
	err := errors.Join(
		ip("link add "+n.name+" type bridge"),
		ip("addr add "+n.subnet+".1/24 dev "+n.name),
		ip("link set "+n.name+" up"),
	)
	for i := range members {
		if err != nil {
			break
		}
		ns, here := n.namespace(i), fmt.Sprintf("%sv%d", n.name, i)
		err = errors.Join(
			ip("netns add "+ns),
			ip("link add "+here+" type veth peer name eth0 netns "+ns),
			ip("link set "+here+" master "+n.name+" up"),
			ip("-n "+ns+" addr add "+n.host(i)+"/24 dev eth0"),
			ip("-n "+ns+" link set eth0 up"),
			ip("-n "+ns+" link set lo up"),
		)
	}
	if err != nil {
		n.close(members)
		return nil, fmt.Errorf("%w: %w", ErrNoNamespaces, err)
	}
	return n, nil
}

// ip runs the program ip.
func ip(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (n *namespaces) namespace(member int) string { return fmt.Sprintf("%sn%d", n.name, member) }
func (n *namespaces) host(member int) string      { return fmt.Sprintf("%s.%d", n.subnet, member+10) }

// wrap is the command that runs a member's process in its namespace.
func (n *namespaces) wrap(member int) []string {
	return []string{"ip", "netns", "exec", n.namespace(member)}
}

// around has packets between the members of a set and all others vanish, or refused, in both
// directions or one; or pass again.
func (n *namespaces) around(set []int, members int, out, in bool, c Condition) error {
	kind := ""
	switch {
	case c.Late > 0 || c.Lost > 0 || c.Doubled > 0:
		return errors.New("the kernel's routes cannot slow or lose single messages")
	case c.Refused:
		kind = "unreachable"
	case c.Cut:
		kind = "blackhole"
	}
	var err error
	for _, m := range set {
		for o := range members {
			if slices.Contains(set, o) {
				continue
			}
			if out {
				err = errors.Join(err, n.route(m, o, kind))
			}
			if in {
				err = errors.Join(err, n.route(o, m, kind))
			}
		}
	}
	return err
}

// route changes what becomes of packets from one member to another.
func (n *namespaces) route(from, to int, kind string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	way := [2]int{from, to}
	if n.routes[way] == kind {
		return nil
	}
	at := "-n " + n.namespace(from) + " route "
	if was := n.routes[way]; was != "" {
		if err := ip(at + "del " + was + " " + n.host(to)); err != nil {
			return err
		}
	}
	n.routes[way] = kind
	if kind == "" {
		return nil
	}
	return ip(at + "add " + kind + " " + n.host(to))
}

// close removes everything. No process runs in it any more.
func (n *namespaces) close(members int) {
	for i := range members {
		_ = ip("netns del " + n.namespace(i)) // and with it both ends of its link
	}
	_ = ip("link del " + n.name)
}
