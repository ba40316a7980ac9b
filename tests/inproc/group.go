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
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

// patience is how long anything may take that is sure to happen.
const patience = 20 * time.Second

// Group is the nodes of one replica group.
type Group struct {
	Addrs []string // by member

	t       testing.TB
	options []server.Options
	nodes   []*node // nil where none runs
	log     log
}

type node struct {
	*server.Node
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run, after done
}

// log gathers what all nodes log.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// Start runs a group of a size and waits until it serves. It ends with the test.
func Start(tb testing.TB, size int, changes ...func(*server.Options)) *Group {
	tb.Helper()
	sockets, err := os.MkdirTemp("", "diskv") // the path of a socket must be short
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(sockets) })
	g := &Group{t: tb, nodes: make([]*node, size)}
	for i := range size {
		g.Addrs = append(g.Addrs, "unix:"+filepath.Join(sockets, strconv.Itoa(i)))
	}
	base := tb.TempDir()
	for i := range size {
		o := server.Options{
			Dir: filepath.Join(base, strconv.Itoa(i)), Listen: g.Addrs[i], Group: 1, Index: i, Bootstrap: true,
			MinFreeBytes: 1, ShutdownTimeout: 200 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&g.log, nil)),
		}
		if size > 1 {
			o.Peers = g.Addrs
		}
		for _, change := range changes {
			change(&o)
		}
		g.options = append(g.options, o)
	}
	tb.Cleanup(g.end)
	for i := range size {
		g.Run(i)
	}
	g.AwaitReady()
	return g
}

func (g *Group) end() {
	for _, n := range g.nodes {
		if n != nil {
			n.stop()
		}
	}
	for i := range g.nodes {
		_ = g.halt(i)
	}
	if g.t.Failed() {
		g.log.mu.Lock()
		defer g.log.mu.Unlock()
		g.t.Logf("nodes:\n%s", g.log.b.String())
	}
}

// Run starts a node that does not run.
func (g *Group) Run(i int) {
	g.t.Helper()
	n, err := server.Open(g.options[i])
	require.NoError(g.t, err)
	ctx, stop := context.WithCancel(context.Background())
	run := &node{Node: n, stop: stop, done: make(chan struct{})}
	g.nodes[i] = run
	go func() {
		run.err = n.Run(ctx)
		close(run.done)
	}()
}

// Stop stops a node, which must end clean.
func (g *Group) Stop(i int) {
	g.t.Helper()
	require.NoError(g.t, g.halt(i))
}

func (g *Group) halt(i int) error {
	n := g.nodes[i]
	if n == nil {
		return nil
	}
	n.stop()
	<-n.done
	g.nodes[i] = nil
	return n.err
}

// AwaitReady waits until every node that runs is ready.
func (g *Group) AwaitReady() {
	g.t.Helper()
	for i, n := range g.nodes {
		if n == nil {
			continue
		}
		require.Eventually(g.t, func() bool {
			s, err := n.Status()
			return err == nil && s.Ready
		}, patience, 2*time.Millisecond, "node %d is ready", i)
	}
}

// Leader waits for a leader and returns its index.
func (g *Group) Leader() int {
	g.t.Helper()
	found := -1
	require.Eventually(g.t, func() bool {
		for i, n := range g.nodes {
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
