package server_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/server"
)

// overTCP has the nodes of a group of one listen where the system tells other things of
// what arrives than on a unix socket.
func overTCP(o *server.Options) { o.Listen = "127.0.0.1:0" }

// bothSockets runs a test of one node on both kinds of sockets.
func bothSockets(t *testing.T, test func(t *testing.T, change func(*server.Options))) {
	t.Helper()
	t.Run("tcp", func(t *testing.T) { test(t, overTCP) })
	t.Run("unix", func(t *testing.T) { test(t, func(*server.Options) {}) })
}

// requireReplies reads exactly what is wanted.
func requireReplies(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	require.NoError(t, err, "after %d of %d bytes", n, len(want))
	require.Equal(t, want, string(got))
}

func TestCommandsInPiecesOfAnySize(t *testing.T) {
	bothSockets(t, func(t *testing.T, change func(*server.Options)) {
		t.Helper()
		g := startGroup(t, 1, change)
		for most, commands := range map[int]int{1: 20, 3: 50, 100: 100, 8 << 10: 300, 4 << 20: 300} {
			c := rawConn(t, g.nodes[0].Addr())
			var all []byte
			want := ""
			for i := range commands {
				value := strings.Repeat("v", i*i/5)
				all = resp.AppendCommand(all, []byte("SET"), []byte("k"), []byte(value))
				all = append(all, "GET k\r\n"...)
				want += fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(value), value)
				if i%10 == 0 {
					all = append(all, "PING\r\nMULTI\r\nEXISTS k\r\nEXEC\r\n"...)
					want += "+PONG\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"
				}
			}
			rnd := rand.New(rand.NewPCG(1, uint64(most)))
			var sending sync.WaitGroup
			sending.Go(func() {
				for len(all) > 0 {
					n := min(1+rnd.IntN(most), len(all))
					if _, err := c.Write(all[:n]); err != nil {
						return
					}
					all = all[n:]
				}
			})
			got := make([]byte, len(want))
			n, err := io.ReadFull(c, got)
			require.NoError(t, err, "after %d of %d bytes, in pieces of %d", n, len(want), most)
			require.True(t, want == string(got), "in pieces of %d", most) //nolint:testifylint // megabytes tell nothing
			sending.Wait()
		}
	})
}

func TestClientThatClosesItsHalfGetsItsReplies(t *testing.T) {
	bothSockets(t, func(t *testing.T, change func(*server.Options)) {
		t.Helper()
		g := startGroup(t, 1, change)
		for i := range 200 {
			c := rawConn(t, g.nodes[0].Addr())
			if i%2 == 0 { // the connection is an old one by then
				_, err := io.WriteString(c, "SET other v\r\n")
				require.NoError(t, err)
				requireReplies(t, c, "+OK\r\n")
			}
			_, err := io.WriteString(c, "SET k v\r\nGET k\r\n")
			require.NoError(t, err)
			require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Equal(t, "+OK\r\n$1\r\nv\r\n", string(got))
			require.NoError(t, c.Close())
		}
	})
}

// A client that wants no replies stays, and gets none.
func TestRepliesAreTurnedOff(t *testing.T) {
	bothSockets(t, func(t *testing.T, change func(*server.Options)) {
		t.Helper()
		g := startGroup(t, 1, change)
		observer := g.dial(0)
		c := rawConn(t, g.nodes[0].Addr())
		_, err := io.WriteString(c, "CLIENT REPLY OFF\r\n")
		require.NoError(t, err)
		for i := range 5 { // each command comes by itself, behind a pause
			_, err := io.WriteString(c, fmt.Sprintf("SET k %d\r\n", i))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return observer.do("GET k") == fmt.Sprintf("%q", fmt.Sprint(i)) }, patience, time.Millisecond)
		}
		_, err = io.WriteString(c, "CLIENT REPLY ON\r\nGET k\r\n")
		require.NoError(t, err)
		requireReplies(t, c, "+OK\r\n$1\r\n4\r\n")
	})
}

// One client that sends what is refused without end, and takes no time to read replies,
// keeps no others from their turn.
func TestFloodOfRefusedCommands(t *testing.T) {
	bothSockets(t, func(t *testing.T, change func(*server.Options)) {
		t.Helper()
		g := startGroup(t, 1, change)
		flooding := rawConn(t, g.nodes[0].Addr())
		require.NoError(t, flooding.SetDeadline(time.Time{})) // it does not end before the others give up
		_, err := io.WriteString(flooding, "CLIENT REPLY OFF\r\n")
		require.NoError(t, err)
		var others []*conn // not new any more
		for range 20 {
			others = append(others, g.dial(0))
			require.Equal(t, "OK", others[len(others)-1].do("SET k v"))
		}
		var sending sync.WaitGroup
		sending.Go(func() {
			for flood := []byte(strings.Repeat("X\r\n", 100000)); err == nil; {
				_, err = flooding.Write(flood)
			}
		})
		for range 3 {
			for _, c := range others {
				require.Equal(t, "OK", c.do("SET k v"))
			}
		}
		require.NoError(t, flooding.Close())
		sending.Wait()
	})
}

func TestUrgentBytesHoldNothingUp(t *testing.T) {
	g := startGroup(t, 1, overTCP)
	c := rawConn(t, g.nodes[0].Addr())
	_, err := io.WriteString(c, "SET k v\r\n")
	require.NoError(t, err)
	requireReplies(t, c, "+OK\r\n")
	for range 20 {
		raw, err := c.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		var failed error
		require.NoError(t, raw.Control(func(fd uintptr) {
			// The byte that is urgent is not in line; what is before and behind it is.
			failed = syscall.Sendto(int(fd), []byte("GET k\r\n!"), syscall.MSG_OOB, nil)
			if failed == nil {
				_, failed = syscall.Write(int(fd), []byte("GET k\r\n"))
			}
		}))
		require.NoError(t, failed)
		requireReplies(t, c, "$1\r\nv\r\n$1\r\nv\r\n")
	}
}

func TestHalfACommandAndSilence(t *testing.T) {
	const limit = 500 * time.Millisecond // more than a busy machine takes to send the next byte
	g := startGroup(t, 1, overTCP, func(o *server.Options) { o.CommandTimeout = limit })
	idle := rawConn(t, g.nodes[0].Addr())
	_, err := io.WriteString(idle, "SET k v\r\n")
	require.NoError(t, err)
	requireReplies(t, idle, "+OK\r\n")
	begun := time.Now()
	got := hangUp(t, g.nodes[0].Addr(), "GET k\r\n*2\r\n$3\r\nGET\r\n$1")
	require.Equal(t, "$1\r\nv\r\n-ERR Protocol error: half a command and then nothing for 500ms\r\n", got)
	require.GreaterOrEqual(t, time.Since(begun), limit)
	_, err = io.WriteString(idle, "GET k\r\n")
	require.NoError(t, err)
	requireReplies(t, idle, "$1\r\nv\r\n")

	slow := rawConn(t, g.nodes[0].Addr())
	for _, b := range []byte("GET k\r\n") { // in all it may take longer
		_, err := slow.Write([]byte{b})
		require.NoError(t, err)
		time.Sleep(limit / 5)
	}
	requireReplies(t, slow, "$1\r\nv\r\n")
}

func TestKilledWhileItsRepliesAreNotTaken(t *testing.T) {
	bothSockets(t, func(t *testing.T, change func(*server.Options)) {
		t.Helper()
		g := startGroup(t, 1, change, func(o *server.Options) { o.ReplyTimeout = time.Hour })
		c := g.dial(0)
		require.Equal(t, "OK", c.args("SET", "k", strings.Repeat("v", 1<<20)))
		stuck := rawConn(t, g.nodes[0].Addr())
		_, err := io.WriteString(stuck, "CLIENT SETNAME stuck\r\n"+strings.Repeat("GET k\r\n", 64))
		require.NoError(t, err)
		idle := g.dial(0)
		require.Equal(t, "OK", idle.do("CLIENT SETNAME idle"))
		for _, name := range []string{"stuck", "idle"} {
			id := ""
			require.Eventually(t, func() bool {
				for line := range strings.Lines(c.text("CLIENT LIST")) {
					if strings.Contains(line, " name="+name+" ") {
						id = strings.TrimPrefix(strings.Fields(line)[0], "id=")
					}
				}
				return id != ""
			}, patience, time.Millisecond)
			require.Equal(t, "1", c.do("CLIENT KILL ID "+id))
			require.Eventually(t, func() bool { return !strings.Contains(c.text("CLIENT LIST"), " name="+name+" ") },
				patience, time.Millisecond, name)
		}
		idle.requireClosed()
		require.Equal(t, "OK", c.do("SET k v"))
	})
}

func TestNodeStopsWhileClientsWait(t *testing.T) {
	g := startGroup(t, 3, func(o *server.Options) {
		o.ShutdownTimeout = 100 * time.Millisecond
		o.Replica.RequestTimeout = time.Hour
		o.Replica.ElectionTimeout = 3 * time.Second // so long it leads on when the others are gone
	})
	leader := g.leader()
	idle := g.dial(leader)
	require.Equal(t, "PONG", idle.do("PING"))
	require.Equal(t, "OK", idle.do("SET k v"))
	for i := range 3 {
		if i != leader {
			g.stop(i)
		}
	}
	var waiting []*conn
	for range 20 {
		c := g.dial(leader)
		require.NoError(t, c.Send("INCR", "n"))
		waiting = append(waiting, c)
	}
	observer := g.dial(leader)
	require.Eventually(t, func() bool { return strings.Count(observer.text("CLIENT LIST"), " cmd=incr ") == len(waiting) }, patience, time.Millisecond)
	g.stop(leader)
	for _, c := range waiting {
		require.Contains(t, c.receive(), "-UNKNOWNRESULT ")
		c.requireClosed()
	}
	idle.requireClosed()
}

// TestManyClientsAtOnce has clients of all kinds come, work and go.
func TestManyClientsAtOnce(t *testing.T) {
	bothSockets(t, func(t *testing.T, change func(*server.Options)) {
		t.Helper()
		g := startGroup(t, 1, change)
		const each = 40
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		// Some come and go in the middle of a command, some hear of what others change.
		var disturbing, working sync.WaitGroup
		done := make(chan struct{})
		for i := range 4 {
			disturbing.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					select {
					case <-done:
						return
					default:
					}
					c := rawConn(t, g.nodes[0].Addr())
					tracked := "HELLO 3\r\nCLIENT TRACKING ON\r\nGET n0\r\nGET n1\r\n"
					_, _ = io.WriteString(c, []string{"SET x y\r\n", "GET x\r\n*2\r\n$3\r\nGE", tracked, "PING\r\nMULTI\r\nGET x\r\n"}[(n+i)%4])
					if n%3 > 0 {
						_, _ = c.Read(make([]byte, 5))
					}
					_ = c.Close()
				}
			})
		}
		const workers = 32
		for i := range workers {
			c := g.dial(0)
			working.Go(func() {
				n := 0
				for k := range each {
					switch k % 4 {
					case 0:
						n++
						c.requireSays(t, fmt.Sprint(n), "INCR", fmt.Sprint("n", i))
					case 1:
						c.requireSays(t, fmt.Sprintf("%q", fmt.Sprint(n)), "GET", fmt.Sprint("n", i))
					case 2:
						c.requireSays(t, "PONG", "PING")
					default:
						c.requireSays(t, "-ERR wrong number of arguments for 'get' command", "GET")
					}
				}
			})
		}
		working.Wait()
		close(done)
		disturbing.Wait()
		require.NoError(t, ctx.Err())
		c := g.dial(0)
		for i := range workers {
			require.Equal(t, fmt.Sprintf("%q", fmt.Sprint(each/4)), c.do(fmt.Sprint("GET n", i)))
		}
		left := fmt.Sprintf("connected_clients:%d\r\n", workers+1)
		require.Eventually(t, func() bool { return strings.Contains(c.text("INFO clients"), left) }, patience, time.Millisecond, "who is gone is forgotten")
	})
}

// requireSays is for other goroutines than that of the test.
func (c *conn) requireSays(t *testing.T, want string, args ...string) {
	t.Helper()
	if err := c.Send(args...); err != nil {
		t.Errorf("%v: %v", args, err)
		return
	}
	if v, err := c.Receive(); err != nil || show(v) != want {
		t.Errorf("%v: %s instead of %s, error %v", args, show(v), want, err)
	}
}
