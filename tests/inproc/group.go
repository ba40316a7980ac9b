// Package inproc runs the nodes of a replica group in the process of a test, on
// unix sockets: what a test of a client needs of a cluster, started in
// milliseconds and under the race detector. Processes that are killed are the
// affair of tests/proc.
//
//	g := inproc.Start(t, 3)
//	c, err := client.Open(ctx, g.Addrs...)
//	leader := g.Leader()
//	g.Stop(leader)
//	g.Run(leader)
package inproc

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/server"
)

// patience is how long anything may take that is sure to happen.
const patience = time.Minute

// election is the election timeout of groups of several. A leader that a busy machine
// gives no time for a moment leads on: what a test sees of leadership is what it did.
const election = time.Second

// Group is the nodes of one replica group.
type Group struct {
	Addrs   []string         // by member
	Options []server.Options // of the next start of each
	Nodes   []*Node          // nil where none runs
	Logs    []*Log

	t testing.TB
}

// Node is one that runs.
type Node struct {
	*server.Node
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run, after done
}

// Log gathers what a node logs.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String returns what was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// New chooses directories and addresses for a group of a size. Nothing runs yet.
func New(tb testing.TB, size int, changes ...func(*server.Options)) *Group {
	tb.Helper()
	sockets, err := os.MkdirTemp("", "diskv") // the path of a socket must be short
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(sockets) })
	g := &Group{t: tb, Nodes: make([]*Node, size)}
	for i := range size {
		g.Addrs = append(g.Addrs, "unix:"+filepath.Join(sockets, strconv.Itoa(i)))
	}
	base := tb.TempDir()
	for i := range size {
		l := &Log{}
		o := server.Options{
			Dir: filepath.Join(base, strconv.Itoa(i)), Listen: g.Addrs[i], Group: 1, Index: i, Bootstrap: true,
			MinFreeBytes: 1, ShutdownTimeout: 200 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(l, nil)),
		}
		if size > 1 {
			o.Peers, o.Replica.ElectionTimeout = slices.Clone(g.Addrs), election
		}
		for _, change := range changes {
			change(&o)
		}
		g.Options, g.Logs = append(g.Options, o), append(g.Logs, l)
	}
	tb.Cleanup(g.end)
	return g
}

// Start starts a group of a size and waits until it serves. It ends with the test.
func Start(tb testing.TB, size int, changes ...func(*server.Options)) *Group {
	tb.Helper()
	g := New(tb, size, changes...)
	for i := range size {
		g.Run(i)
	}
	g.AwaitReady()
	return g
}

// StartSteady is Start for a group whose leader stays, however busy the machine is: for
// tests of what is so while nobody else leads. Without its leader the group serves no more.
func StartSteady(tb testing.TB, size int, changes ...func(*server.Options)) *Group {
	tb.Helper()
	g := New(tb, size, changes...)
	for i := range size {
		g.Options[i].Replica.ElectionTimeout = 2 * patience
	}
	if size == 1 {
		g.Run(0)
		g.AwaitReady()
		return g
	}
	for i := 1; i < size; i++ {
		g.Run(i)
	}
	// Member 0 wins the election, since it alone calls one soon, and hands over.
	steady := g.Options[0]
	g.Options[0].Replica.ElectionTimeout, g.Options[0].ShutdownTimeout = 0, patience
	g.Run(0)
	g.AwaitReady()
	for g.Leader() == 0 {
		g.Stop(0)
		g.Run(0)
		g.AwaitReady()
	}
	g.Stop(0)
	g.Options[0] = steady
	g.Run(0)
	g.AwaitReady()
	return g
}

func (g *Group) end() {
	for _, n := range g.Nodes {
		if n != nil {
			n.stop()
		}
	}
	for i := range g.Nodes {
		_ = g.Halt(i)
	}
	if g.t.Failed() {
		for i, l := range g.Logs {
			g.t.Logf("node %d:\n%s", i, l)
		}
	}
}

// Run starts a node that does not run.
func (g *Group) Run(i int) {
	g.t.Helper()
	require.NoError(g.t, g.TryRun(i))
}

// TryRun is Run for a node that may refuse its options or its directory.
func (g *Group) TryRun(i int) error {
	n, err := server.Open(g.Options[i])
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	run := &Node{Node: n, stop: stop, done: make(chan struct{})}
	g.Nodes[i] = run
	go func() {
		run.err = n.Run(ctx)
		close(run.done)
	}()
	return nil
}

// Stop stops a node, which must end clean.
func (g *Group) Stop(i int) {
	g.t.Helper()
	require.NoError(g.t, g.Halt(i))
}

// Halt stops a node, if it runs, and returns how it ended.
func (g *Group) Halt(i int) error {
	n := g.Nodes[i]
	if n == nil {
		return nil
	}
	n.stop()
	<-n.done
	g.Nodes[i] = nil
	return n.err
}

// AwaitReady waits until every node that runs is ready.
func (g *Group) AwaitReady() {
	g.t.Helper()
	for i, n := range g.Nodes {
		if n == nil {
			continue
		}
		require.Eventually(g.t, func() bool {
			s, err := n.Status()
			return err == nil && s.Ready
		}, patience, 2*time.Millisecond, "node %d is ready", i)
	}
}

// AwaitEven waits until all nodes run and none lacks a slot that another holds: a client
// is answered as soon as a majority has what it wrote.
func (g *Group) AwaitEven() {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		var all paxos.Slot
		for i, n := range g.Nodes {
			if n == nil {
				return false
			}
			s, err := n.Status()
			if err != nil || s.Applied < s.Last || i > 0 && s.Last != all {
				return false
			}
			all = s.Last
		}
		return true
	}, patience, 2*time.Millisecond, "every node holds everything")
}

// Leader waits for a leader and returns its index.
func (g *Group) Leader() int {
	g.t.Helper()
	found := -1
	require.Eventually(g.t, func() bool {
		for i, n := range g.Nodes {
			if n == nil {
				continue
			}
			if s, err := n.Status(); err == nil && s.Role == "leader" {
				found = i
				return true
			}
		}
		return false
	}, patience, 2*time.Millisecond, "a leader")
	return found
}
