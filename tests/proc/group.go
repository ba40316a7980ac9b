package proc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are those of a [Group].
type Options struct {
	Binary string // path of diskvd
	Dir    string // holds the members' directories and outputs
	Size   int    // members
	// Command is the command of diskvd that starts a member; empty for a replica
	// of the key/value store.
	Command string
	Args    []string // further flags of every member
	Wrap    []string // a command that runs the one given behind it, such as with a limit
	// BootstrapOnce gives --bootstrap to the first start of a member alone. The
	// flag may as well be left in place, which is the default here.
	BootstrapOnce bool
	// Network is what the members' addresses lead over, those included under
	// which they know each other; nil: directly.
	Network *Network
	// Through is another way to give all members addresses that lead over something,
	// in place of Network: it returns those, by index.
	Through func(addrs []string) ([]string, error)
	// Place says where a member lives, by its index; nil: all where [Place] says.
	Place func(index int) Place
}

// Place is where a member lives. Zero values stand for the defaults.
type Place struct {
	Host string   // its addresses' host; default 127.0.0.1
	Dir  string   // its data directory; default one in Options.Dir
	Wrap []string // in place of Options.Wrap
}

// Group is the members of one replica group.
type Group struct {
	Members []*Member
	// Public are the addresses by index under which others reach the members:
	// their own, or those of the proxies in front of them.
	Public []string
}

// NewGroup chooses addresses and makes o.Dir. Nothing is started.
func NewGroup(o Options) (*Group, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := FreePorts(2 * o.Size)
	if err != nil {
		return nil, err
	}
	places := make([]Place, o.Size)
	for i := range places {
		p := &places[i]
		if o.Place != nil {
			*p = o.Place(i)
		}
		if p.Dir == "" {
			p.Dir = filepath.Join(o.Dir, "member-"+strconv.Itoa(i))
		}
		if p.Wrap == nil {
			p.Wrap = o.Wrap
		}
		if p.Host != "" {
			for _, a := range []*string{&ports[i], &ports[o.Size+i]} {
				_, port, _ := net.SplitHostPort(*a)
				*a = net.JoinHostPort(p.Host, port)
			}
		}
	}
	peers := slices.Clone(ports[:o.Size])
	through := o.Through
	if o.Network != nil {
		through = o.Network.ThroughAll
	}
	if through != nil {
		if peers, err = through(peers); err != nil {
			return nil, err
		}
	}
	g := &Group{Public: peers}
	for i := range o.Size {
		m := &Member{
			Index: i, Addr: ports[i], HTTP: ports[o.Size+i],
			Dir:    places[i].Dir,
			output: filepath.Join(o.Dir, "member-"+strconv.Itoa(i)+".log"),
			binary: o.Binary, wrap: places[i].Wrap, bootstrapOnce: o.BootstrapOnce,
		}
		if o.Command != "" {
			m.args = append(m.args, o.Command)
		}
		m.args = append(m.args,
			"--dir", m.Dir, "--listen", m.Addr, "--http", m.HTTP, "--index", strconv.Itoa(i),
			"--peers", strings.Join(peers, ","),
		)
		m.args = append(m.args, o.Args...)
		g.Members = append(g.Members, m)
	}
	return g, nil
}

// Readdress gives a member new addresses. It, and those that are to reach it there,
// have to be started again.
func (g *Group) Readdress(m *Member) error {
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	m.Addr, m.HTTP = ports[0], ports[1]
	g.Public = slices.Clone(g.Public)
	g.Public[m.Index] = m.Addr
	for _, o := range g.Members {
		o.args = slices.Clone(o.args)
		o.args[slices.Index(o.args, "--peers")+1] = strings.Join(g.Public, ",")
	}
	m.args[slices.Index(m.args, "--listen")+1] = m.Addr
	m.args[slices.Index(m.args, "--http")+1] = m.HTTP
	return nil
}

// Start starts the members that do not run. It does not wait for them.
func (g *Group) Start() error {
	for _, m := range g.Members {
		if m.Running() {
			continue
		}
		if err := m.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Close kills every member that runs.
func (g *Group) Close() {
	for _, m := range g.Members {
		_ = m.Kill()
	}
}

// poll is how often a condition is looked at.
const poll = 5 * time.Millisecond

// wait calls f until it returns nil, or ctx ends.
func wait(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%w)", what, err, ctx.Err())
		case <-time.After(poll):
		}
	}
}

var errNoLeader = errors.New("no member says that it leads")

// Leader waits for a member that says that it leads, and returns it. A leader
// that was paused may say so too for a moment when it goes on.
func (g *Group) Leader(ctx context.Context) (*Member, error) {
	var leader *Member
	err := wait(ctx, "leader", func() error {
		for _, m := range g.Members {
			if !m.Running() || m.paused {
				continue
			}
			info, err := m.Info()
			if err == nil && info["consensus_role"] == "leader" {
				leader = m
				return nil
			}
		}
		return errNoLeader
	})
	return leader, err
}

// Ready waits until every member that runs is ready.
func (g *Group) Ready(ctx context.Context) error {
	for _, m := range g.Members {
		if !m.Running() || m.paused {
			continue
		}
		if err := m.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Converged waits until all members run, are ready and have applied the same
// slots, with nothing undecided.
func (g *Group) Converged(ctx context.Context) error {
	return wait(ctx, "converge", func() error {
		var first map[string]string
		for _, m := range g.Members {
			info, err := m.Info()
			switch {
			case err != nil:
				return fmt.Errorf("member %d: %w", m.Index, err)
			case info["ready"] != "1":
				return fmt.Errorf("member %d is not ready: %s", m.Index, info["not_ready_because"])
			case info["slot_applied"] != info["slot_last"]:
				return fmt.Errorf("member %d has applied %s of %s", m.Index, info["slot_applied"], info["slot_last"])
			case first == nil:
				first = info
			case info["slot_applied"] != first["slot_applied"]:
				return fmt.Errorf("member %d has applied %s, member 0 %s", m.Index, info["slot_applied"], first["slot_applied"])
			}
		}
		return nil
	})
}

// FileBytes returns the sum of the sizes of all files in the members'
// directories.
func (g *Group) FileBytes() (int64, error) {
	var sum int64
	for _, m := range g.Members {
		err := filepath.WalkDir(m.Dir, func(_ string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
				sum += fi.Size()
			}
			return nil
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
	}
	return sum, nil
}
