package server_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

func TestSingleNodeFormatsItselfAndKeepsEverything(t *testing.T) {
	g := newGroup(t, 1, func(o *server.Options) { o.Bootstrap = false })
	g.start(0)
	g.awaitReady()
	c := g.dial(0)
	require.Equal(t, "OK", c.do("SET k v"))
	for i := range 200 {
		require.Equal(t, fmt.Sprint(i+1), c.do("INCR n"))
	}
	g.stop(0)
	c.requireClosed()

	g.start(0)
	g.awaitReady()
	c = g.dial(0)
	require.Equal(t, `"v"`, c.do("GET k"))
	require.Equal(t, `"200"`, c.do("GET n"))
	require.Equal(t, "2", c.do("DBSIZE"))
}

func TestRestartGoesOnFromASnapshot(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.Replica.SnapshotMinBytes = 4096 })
	c := g.dial(0)
	for i := range 100 {
		require.Equal(t, "OK", c.do(fmt.Sprintf("SET k%d %s", i, strings.Repeat("v", 100))))
	}
	require.Eventually(t, func() bool {
		s, err := g.nodes[0].Status()
		return err == nil && s.Snapshot.Slot > 0
	}, patience, time.Millisecond)
	require.Equal(t, "OK", c.do("SET last one"))
	g.stop(0)
	g.start(0)
	g.awaitReady()
	c = g.dial(0)
	require.Equal(t, "101", c.do("DBSIZE"))
	require.Equal(t, `"one"`, c.do("GET last"))
}

func TestGroupFormsOnceAllAreThere(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	g.start(0)
	g.start(1)
	c := g.dial(0)
	require.Eventually(t, func() bool { return strings.Contains(c.do("GET k"), "has not formed") }, patience, time.Millisecond)
	require.Contains(t, c.do("SET k v"), "-CLUSTERDOWN", "two of three do not begin by themselves")
	status, why := g.get(0, "/readyz")
	require.Equal(t, 503, status)
	require.Contains(t, why, "waiting for all 3 members to be started with --bootstrap")
	require.Equal(t, "[]", c.do("CLUSTER SLOTS"))

	g.start(2)
	g.awaitReady()
	require.Equal(t, "OK", g.dial(g.leader()).do("SET k v"))
}

func TestFollowersSendClientsToTheLeader(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	require.Equal(t, "OK", g.dial(leader).do("SET foo bar"))
	for i := range 3 {
		if i == leader {
			continue
		}
		c := g.dial(i)
		moved := "-MOVED 12182 " + g.opts[leader].Listen
		require.Equal(t, moved, c.do("GET foo"))
		require.Equal(t, moved, c.do("SET foo other"))
		require.Equal(t, "-MOVED 0 "+g.opts[leader].Listen, c.do("DISKV.SESSION"))
		require.Equal(t, "-ERR syntax error", c.do("SET foo bar WHAT"), "what is wrong in itself is refused anywhere")
		require.Equal(t, "PONG", c.do("PING"))
	}
}

func TestLeaderStopsAndAnotherTakesOverAtOnce(t *testing.T) {
	t.Parallel()
	const election = 3 * time.Second
	g := startGroup(t, 3, func(o *server.Options) {
		o.Replica.ElectionTimeout = election
		o.ShutdownTimeout = patience
	})
	leader := g.leader()
	c := g.dial(leader)
	// Commands are under way when the leader is told to stop: each is answered
	// with what became of it, in order, before the connection is closed.
	const clients = 8
	var writing sync.WaitGroup
	acked := make([]int, clients)
	for i := range clients {
		c := g.dial(leader)
		writing.Go(func() {
			for {
				v, err := c.Do("INCR", fmt.Sprint("n", i))
				if err != nil {
					return
				}
				acked[i] = int(v.Int)
			}
		})
	}
	for i := range clients {
		require.Eventually(t, func() bool { return c.do(fmt.Sprint("GET n", i)) != "nil" }, patience, time.Millisecond)
	}
	begun := time.Now()
	g.stop(leader)
	writing.Wait()
	next := g.leader()
	took := time.Since(begun)
	require.NotEqual(t, leader, next)
	require.Less(t, took, election, "leadership is handed over, not won after a timeout")
	t.Logf("handed over in %v", took)

	c = g.dial(next)
	for i, n := range acked {
		require.Contains(t, []string{fmt.Sprintf("%q", fmt.Sprint(n)), fmt.Sprintf("%q", fmt.Sprint(n+1))}, c.do(fmt.Sprint("GET n", i)),
			"what was answered counts, and at most the one that was under way")
	}
	g.start(leader)
	g.awaitReady()
	require.Contains(t, g.logs[leader].String(), "stopped")
}

func TestWithoutAMajorityNothingIsAnswered(t *testing.T) {
	t.Parallel()
	const limit = 4 * time.Second // the leader steps down before
	g := startGroup(t, 3, func(o *server.Options) { o.Replica.RequestTimeout = limit })
	leader := g.leader()
	writer, reader := g.dial(leader), g.dial(leader)
	require.Equal(t, "OK", writer.do("SET k old"))
	for i := range 3 {
		if i != leader {
			g.stop(i)
		}
	}
	begun := time.Now()
	require.NoError(t, writer.Send("SET", "k", "new"))
	require.NoError(t, reader.Send("GET", "k"))
	require.Contains(t, reader.receive(), "-CLUSTERDOWN", "a read gets an error and not the old value")
	require.Contains(t, writer.receive(), "-UNKNOWNRESULT")
	require.Less(t, time.Since(begun), patience, "nobody waits for the others")
	require.Equal(t, "PONG", writer.do("PING"), "the connection is open")
	require.Contains(t, writer.do("SET k newer"), "-CLUSTERDOWN")
	require.Contains(t, reader.do("GET k"), "-CLUSTERDOWN no leader: fewer than 2 of 3")
	require.Equal(t, "[]", reader.do("CLUSTER SLOTS"))
	status, why := g.get(leader, "/readyz")
	require.Equal(t, 503, status)
	require.Contains(t, why, "no leader")
	require.Contains(t, why, g.opts[(leader+1)%3].Listen, "it says who cannot be reached")

	// The others come back: what happened to the write is decided, once.
	for i := range 3 {
		if i != leader {
			g.start(i)
		}
	}
	g.awaitReady()
	c := g.dial(g.leader())
	value := c.do("GET k")
	require.Contains(t, []string{`"old"`, `"new"`}, value)
	require.Equal(t, value, c.do("GET k"))
}

func TestLeaseReadsAreAnswered(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3, func(o *server.Options) { o.Lease = true })
	c := g.dial(g.leader())
	require.Equal(t, "OK", c.do("SET k v"))
	for range 100 {
		require.Equal(t, `"v"`, c.do("GET k"))
	}
}

func TestFollowerThatLostItsSnapshotsPlaceGetsOne(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, func(o *server.Options) {
		o.Replica.SnapshotMinBytes, o.Replica.WindowBytes = 4096, 4096
	})
	away := g.follower()
	g.stop(away)
	c := g.dial(g.leader())
	for i := range 200 {
		require.Equal(t, "OK", c.do(fmt.Sprintf("SET k%d %s", i%10, strings.Repeat("v", 200))))
	}
	g.start(away)
	want, err := g.nodes[g.leader()].Status()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := g.nodes[away].Status()
		return err == nil && s.Applied >= want.Applied && s.Keys == want.Keys
	}, patience, time.Millisecond)
	require.Contains(t, g.logs[away].String(), "snapshot installed")
	g.stop(away)
	g.start(away)
	g.awaitReady()
	s, err := g.nodes[away].Status()
	require.NoError(t, err)
	require.Equal(t, 10, s.Keys, "the snapshot that was received is what a restart begins with")
}
