package server_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/server"
	"diskv/server/transport"
)

// rawConn connects without speaking RESP.
func rawConn(t *testing.T, addr string) net.Conn {
	t.Helper()
	network, path, err := transport.ParseAddress(addr)
	require.NoError(t, err)
	c, err := net.Dial(network, path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// hangUp sends bytes and returns everything that comes until the server closes
// the connection.
func hangUp(t *testing.T, addr, send string) string {
	t.Helper()
	c := rawConn(t, addr)
	_, _ = io.WriteString(c, send) // the server may close it before it has read all
	b, _ := io.ReadAll(c)          // or reset it
	return string(b)
}

func TestValuesUpToTheLimit(t *testing.T) {
	const limit = 4096
	g := startGroup(t, 1, func(o *server.Options) { o.MaxValueBytes = limit })
	c := g.dial(0)
	value := strings.Repeat("v", limit)
	require.Equal(t, "OK", c.args("SET", "k", value))
	require.Equal(t, fmt.Sprintf("%q", value), c.do("GET k"))
	tooLarge := "-ERR argument of 4097 bytes exceeds the limit of 4096 bytes (--max-value-bytes)"
	require.Equal(t, tooLarge, c.args("SET", "k", value+"v"))
	require.Equal(t, "-ERR string exceeds maximum allowed size (max-value-bytes)", c.args("APPEND", "k", "v"))
	require.Equal(t, fmt.Sprintf("%q", value), c.do("GET k"), "the connection goes on, and nothing has changed")
	require.NoError(t, c.SendRaw("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4097\r\n"+value+"v\r\n*1\r\n$4\r\nPING\r\n", 2))
	require.Equal(t, tooLarge, c.receive())
	require.Equal(t, "PONG", c.receive(), "what is pipelined behind it is answered")
}

func TestLargeValueGoesThroughAGroup(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	c := g.dial(g.leader())
	value := strings.Repeat("0123456789abcdef", 8<<20/16)
	require.Equal(t, "OK", c.args("SET", "k", value))
	require.Equal(t, sha256.Sum256([]byte(value)), sha256.Sum256([]byte(c.text("GET k"))))
}

func TestMalformedInputIsToldAndHungUp(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.CommandTimeout = 50 * time.Millisecond })
	addr := g.nodes[0].Addr()
	for send, want := range map[string]string{
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$999999999999\r\n": "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$-5\r\n":              "-ERR Protocol error: invalid bulk length\r\n",
		"*99999999\r\n":              "-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\n+OK\r\n":              "-ERR Protocol error: expected '$', got '+'\r\n",
		"*1\r\n$4\r\nPINGxx":         "-ERR Protocol error: expected CRLF behind a bulk string\r\n",
		"SET k \"unbalanced\r\n":     "-ERR Protocol error: unbalanced quotes in request\r\n",
		strings.Repeat("x", 100_000): "-ERR Protocol error: too big inline request\r\n",
		"PING\r\n*1\r\n$4\r\nGET":    "+PONG\r\n-ERR Protocol error: half a command and then nothing for 50ms\r\n",
		"*2\r\n$3\r\nGET\r\n$1\r\n":  "-ERR Protocol error: half a command and then nothing for 50ms\r\n",
		"GET":                        "-ERR Protocol error: half a command and then nothing for 50ms\r\n",
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\nabc":            "-ERR Protocol error: half a command and then nothing for 50ms\r\n",
		"\x00garbage that no peer sends":                           "",
		transport.Magic + strings.Repeat("and then nonsense ", 10): "",
	} {
		require.Equal(t, want, hangUp(t, addr, send), "%.60q", send)
	}
	const noHTTP = "-ERR this port speaks the Redis protocol and not HTTP: the status page and /metrics are at the address of --http\r\n"
	binary := hangUp(t, addr, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n\xff\xfe\x80\nQUIT\r\n")
	require.Contains(t, binary, "-ERR unknown command")
	http := hangUp(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\nQUIT\r\n")
	require.Equal(t, "-ERR wrong number of arguments for 'get' command\r\n"+noHTTP, http)
	require.Equal(t, noHTTP, hangUp(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\nSET k stolen\r\n"))
	require.Equal(t, "nil", g.dial(0).do("GET k"), "what is in the body is not executed")
	require.Equal(t, "PONG", g.dial(0).do("PING"), "others are not disturbed")
}

func TestInlineCommands(t *testing.T) {
	g := startGroup(t, 1)
	got := exchange(t, g.nodes[0].Addr(), "\r\n  SET k \"a \\x41 b\"  \r\nGET k\nPING\r\nEXISTS k\r\n", len("+OK\r\n$5\r\na A b\r\n+PONG\r\n:1\r\n"))
	require.Equal(t, "+OK\r\n$5\r\na A b\r\n+PONG\r\n:1\r\n", got)
}

func TestSilenceBetweenCommandsIsAllowed(t *testing.T) {
	const limit = 30 * time.Millisecond
	g := startGroup(t, 1, func(o *server.Options) { o.CommandTimeout = limit })
	idle, slow := g.dial(0), g.dial(0)
	require.Equal(t, "PONG", idle.do("PING"))
	// A command and a half in one piece: the half is owed as well.
	require.NoError(t, slow.SendRaw("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI", 2))
	require.Equal(t, "PONG", slow.receive())
	require.Contains(t, slow.receive(), "half a command and then nothing")
	slow.requireClosed()
	// Longer than the limit has passed for the idle one as well.
	require.Equal(t, "PONG", idle.do("PING"))
}

func TestMaxClients(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.MaxClients = 3 })
	addr := g.nodes[0].Addr()
	var conns []*conn
	for range 3 {
		c := g.dial(0)
		require.Equal(t, "PONG", c.do("PING"))
		conns = append(conns, c)
	}
	const refusal = "-ERR max number of clients reached\r\n"
	require.Equal(t, refusal, hangUp(t, addr, "PING\r\n"))
	require.Equal(t, refusal, hangUp(t, addr, ""), "one that says nothing is not kept waiting for ever")
	conns[0].Close()
	require.Eventually(t, func() bool {
		c := rawConn(t, addr)
		defer func() { _ = c.Close() }()
		_, err := io.WriteString(c, "PING\r\n")
		require.NoError(t, err)
		v, err := resp.NewReplyReader(c, resp.ReplyOptions{}).ReadReply()
		return err == nil && string(v.Str) == "PONG"
	}, patience, 5*time.Millisecond, "there is room again")
}

func TestPeersGetInHoweverManyClientsThereAre(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, func(o *server.Options) { o.MaxClients = 2 })
	leader, away := g.leader(), g.follower()
	g.stop(away)
	for range 10 {
		_ = rawConn(t, g.nodes[leader].Addr())
	}
	g.start(away)
	require.Eventually(t, func() bool {
		n := g.nodes[leader]
		s, err := n.Status()
		if err != nil {
			return false
		}
		for _, p := range s.Peers {
			if !p.Connected || !p.Receiving {
				return false
			}
		}
		return true
	}, patience, 5*time.Millisecond)
}

func TestClientsWithinTheFilesOfTheProcess(t *testing.T) {
	require.EqualValues(t, 10_000, server.ClientsWithin(1<<20, 10_000))
	require.EqualValues(t, 1024-256-64, server.ClientsWithin(1024, 10_000))
	require.EqualValues(t, 64, server.ClientsWithin(256, 10_000), "some, whatever happens")
}

func TestManyIdleConnectionsDoNotDisturb(t *testing.T) {
	g := steadyGroup(t, 3)
	leader := g.leader()
	before, _ := g.nodes[leader].Status()
	for i := range 2000 {
		c := rawConn(t, g.nodes[leader].Addr())
		if i%2 == 0 {
			_, err := io.WriteString(c, "PING\r\n")
			require.NoError(t, err)
		}
	}
	c := g.dial(leader)
	for i := range 100 {
		require.Equal(t, fmt.Sprint(i+1), c.do("INCR n"))
	}
	after, err := g.nodes[leader].Status()
	require.NoError(t, err)
	require.Equal(t, before.Ballot, after.Ballot, "nobody ran for leader")
}

func TestSlowReaderHoldsUpNobodyAndIsHungUp(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.ReplyTimeout = 100 * time.Millisecond })
	c := g.dial(0)
	require.Equal(t, "OK", c.args("SET", "k", strings.Repeat("v", 1<<20)))
	slow := rawConn(t, g.nodes[0].Addr())
	_, err := io.WriteString(slow, strings.Repeat("GET k\r\n", 16))
	require.NoError(t, err)
	require.Equal(t, "OK", c.do("SET other v"))
	require.Eventually(t, func() bool { return strings.Contains(c.text("INFO clients"), "connected_clients:1\r\n") },
		patience, 5*time.Millisecond, "the slow one was given up")
}

func TestAnnouncedLengthsCostNoMemory(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.MaxValueBytes = 128 << 20 })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 200 {
		c := rawConn(t, g.nodes[0].Addr())
		_, err := io.WriteString(c, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$134217728\r\nabc")
		require.NoError(t, err)
	}
	require.Equal(t, "PONG", g.dial(0).do("PING"))
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20), "200 times 128 MiB were announced")
}
