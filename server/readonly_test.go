package server_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

// TestReadOnlyConnectionsReadOfFollowers: only a connection that has said READONLY gets
// what may be old, and it can only read.
func TestReadOnlyConnectionsReadOfFollowers(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	at := g.dial(leader)
	require.Equal(t, "OK", at.do("SET foo bar"))
	follower := g.dial((leader + 1) % 3)
	moved := "-MOVED 12182 " + g.nodes[leader].Addr()
	require.Equal(t, moved, follower.do("GET foo"))
	require.Equal(t, "OK", follower.do("READONLY"))
	require.Eventually(t, func() bool { return follower.do("GET foo") == `"bar"` }, patience, time.Millisecond, "it hears of it soon")
	require.Equal(t, "1", follower.do("DBSIZE"))
	require.Equal(t, moved, follower.do("SET foo baz"))
	require.Equal(t, []string{`"bar"`, moved, `"bar"`, "PONG", `["bar" nil]`},
		follower.pipeline("GET foo", "DEL foo", "GET foo", "PING", "MGET foo {foo}none"), "in the order of the commands")
	require.Equal(t, "r", strings.TrimPrefix(clientField(t, follower.text("CLIENT INFO"), "flags"), "U"))
	require.Equal(t, "OK", follower.do("READWRITE"))
	require.Equal(t, moved, follower.do("GET foo"))
	require.Equal(t, "OK", at.do("READONLY"))
	require.Equal(t, `"bar"`, at.do("GET foo"), "the leader answers as ever")

	single := startGroup(t, 1).dial(0)
	require.Equal(t, "-ERR This instance has cluster support disabled", single.do("READONLY"))
}

// TestReadOnlyReadsGoForward: what one connection reads of a follower, while a writer
// counts two keys up in one command, is a prefix of the log each time, and never goes
// back.
func TestReadOnlyReadsGoForward(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	stop := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(stop)
	w := g.dial(leader)
	writing.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := w.Do("MSET", "{n}a", strconv.Itoa(i), "{n}b", strconv.Itoa(i)); err != nil {
				return
			}
		}
	})
	c := g.dial((leader + 1) % 3)
	require.Equal(t, "OK", c.do("READONLY"))
	last, distinct := 0, 0
	for distinct < 200 {
		for _, reply := range c.pipeline("MGET {n}a {n}b", "MGET {n}b {n}a") {
			if reply == "[nil nil]" {
				require.Zero(t, last)
				continue
			}
			words := strings.Split(strings.Trim(reply, "[]\""), `" "`)
			require.Len(t, words, 2, reply)
			require.Equal(t, words[0], words[1], "as of one slot")
			a, err := strconv.Atoi(words[0])
			require.NoError(t, err, reply)
			require.GreaterOrEqual(t, a, last, "it does not go back")
			if a > last {
				last = a
				distinct++
			}
		}
	}
}

// TestRecoveringMemberAnswersNoReads: it may have applied less than it has shown already.
func TestRecoveringMemberAnswersNoReads(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	leader := g.leader()
	require.Equal(t, "OK", g.dial(leader).do("SET foo bar"))
	follower := (leader + 1) % 3
	g.stop(follower)
	require.NoError(t, os.RemoveAll(g.opts[follower].Dir))
	g.stop((leader + 2) % 3) // so that nobody can let it back
	g.start(follower)
	c := g.dial(follower)
	require.Equal(t, "OK", c.do("READONLY"))
	for range 100 {
		reply := c.do("GET foo")
		require.True(t, strings.HasPrefix(reply, "-CLUSTERDOWN") || strings.HasPrefix(reply, "-MOVED"), reply)
	}
	g.start((leader + 2) % 3)
	g.awaitReady()
	require.Eventually(t, func() bool { return c.do("GET foo") == `"bar"` || follower == g.leader() }, patience, 5*time.Millisecond, "when it is back")
}

// TestRepliesOfWritesTakeBoundedMemory: those that return values are executed few at a
// time, as are reads that another member has to answer.
func TestRepliesOfWritesTakeBoundedMemory(t *testing.T) {
	g := steadyGroup(t, 3, forwarding, func(o *server.Options) { o.MaxValueBytes = 1 << 20 })
	leader := g.leader()
	const size, times = 256 << 10, 1000 // a run is passed on within a time
	require.Equal(t, "OK", g.dial(leader).args("SET", "k", strings.Repeat("v", size)))
	for at, line := range map[int]string{leader: "GETEX k PERSIST\r\n", (leader + 1) % 3: "GET k\r\n"} {
		c := g.dial(at)
		require.NoError(t, c.SendRaw(strings.Repeat(line, times), times))
		most := uint64(0)
		for i := range times {
			v, err := c.Receive()
			require.NoError(t, err)
			require.Len(t, v.Str, size, "%.100q", v.Str)
			if i%16 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
		require.Less(t, most, uint64(times*size), "%s: not even the replies alone", strings.TrimSpace(line))
	}
}

// TestRepliesOfOneRunTakeBoundedMemory: a client that asks for hundreds of megabytes in one piece
// gets it, and the server never holds all of it.
func TestRepliesOfOneRunTakeBoundedMemory(t *testing.T) {
	g := steadyGroup(t, 3)
	leader := g.leader()
	const size, reads = 4 << 20, 100
	value := strings.Repeat("v", size)
	require.Equal(t, "OK", g.dial(leader).args("SET", "k", value))
	for _, at := range []int{leader, (leader + 1) % 3} {
		c := g.dial(at)
		require.Equal(t, "OK", c.do("READONLY"))
		require.Eventually(t, func() bool { return c.do("STRLEN k") == strconv.Itoa(size) }, patience, time.Millisecond)
		require.NoError(t, c.SendRaw(strings.Repeat("GET k\r\nSTRLEN k\r\n", reads), 2*reads))
		most := uint64(0)
		for range reads {
			v, err := c.Receive()
			require.NoError(t, err)
			require.Len(t, v.Str, size)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			require.Equal(t, strconv.Itoa(size), c.receive(), "in the order of the commands")
		}
		require.Less(t, most, uint64(reads*size/2), "bytes of heap")
	}
}
