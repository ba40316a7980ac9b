package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/server"
	"diskv/server/transport"
	"diskv/tests/inproc"
	"diskv/tests/proc"
)

// patience is how long anything may take that is sure to happen.
const patience = time.Minute

// group is the nodes of a test, in this process, on unix sockets.
type group struct {
	*inproc.Group
	t     testing.TB
	opts  []server.Options // these three are those of Group
	nodes []*inproc.Node
	logs  []*inproc.Log
}

// newGroup makes the options of a group. Nothing runs yet.
func newGroup(tb testing.TB, size int, changes ...func(*server.Options)) *group {
	tb.Helper()
	withHTTP := func(o *server.Options) { o.HTTP = "127.0.0.1:0" }
	g := inproc.New(tb, size, append([]func(*server.Options){withHTTP}, changes...)...)
	return groupOf(tb, g)
}

func groupOf(tb testing.TB, g *inproc.Group) *group {
	tb.Helper()
	return &group{Group: g, t: tb, opts: g.Options, nodes: g.Nodes, logs: g.Logs}
}

// startGroup starts a group and waits until it serves.
func startGroup(tb testing.TB, size int, changes ...func(*server.Options)) *group {
	tb.Helper()
	g := newGroup(tb, size, changes...)
	for i := range size {
		g.start(i)
	}
	g.awaitReady()
	return g
}

// steadyGroup is startGroup for tests of what is so while nobody else leads, and that are
// not about how long anything takes.
func steadyGroup(tb testing.TB, size int, changes ...func(*server.Options)) *group {
	tb.Helper()
	unhurried := func(o *server.Options) { o.HTTP, o.Replica.RequestTimeout = "127.0.0.1:0", patience }
	return groupOf(tb, inproc.StartSteady(tb, size, append([]func(*server.Options){unhurried}, changes...)...))
}

func (g *group) start(i int)          { g.t.Helper(); g.Run(i) }
func (g *group) tryStart(i int) error { return g.TryRun(i) } //nolint:unparam // as start
func (g *group) halt(i int) error     { return g.Halt(i) }
func (g *group) stop(i int)           { g.t.Helper(); g.Stop(i) }
func (g *group) awaitReady()          { g.t.Helper(); g.AwaitReady() }
func (g *group) leader() int          { g.t.Helper(); return g.Leader() }

// follower returns a node that follows.
func (g *group) follower() int { return (g.leader() + 1) % len(g.nodes) }

// dial connects to a node.
func (g *group) dial(i int) *conn {
	g.t.Helper()
	return dial(g.t, g.nodes[i].Addr())
}

// conn is a client that asserts.
type conn struct {
	*proc.Conn
	t testing.TB
}

func dial(tb testing.TB, addr string) *conn {
	tb.Helper()
	c, err := proc.Dial(addr)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	c.Timeout = patience
	return &conn{Conn: c, t: tb}
}

// do sends a command, given as words, and returns the reply as redis-cli shows
// it, in one line.
func (c *conn) do(words string) string {
	c.t.Helper()
	return c.args(strings.Fields(words)...)
}

// text sends a command and returns the text of its reply.
func (c *conn) text(words string) string {
	c.t.Helper()
	v, err := c.Do(strings.Fields(words)...)
	require.NoError(c.t, err)
	return string(v.Str)
}

func (c *conn) args(args ...string) string {
	c.t.Helper()
	require.NoError(c.t, c.Send(args...))
	return c.receive()
}

func (c *conn) receive() string {
	c.t.Helper()
	v, err := c.Receive()
	require.NoError(c.t, err)
	return show(v)
}

// pipeline sends commands in one piece and returns their replies.
func (c *conn) pipeline(lines ...string) []string {
	c.t.Helper()
	var raw []byte
	for _, l := range lines {
		var args [][]byte
		for _, w := range strings.Fields(l) {
			args = append(args, []byte(w))
		}
		raw = resp.AppendCommand(raw, args...)
	}
	require.NoError(c.t, c.SendRaw(string(raw), len(lines)))
	var replies []string
	for range lines {
		replies = append(replies, c.receive())
	}
	return replies
}

// requireClosed requires that the server closes the connection.
func (c *conn) requireClosed() {
	c.t.Helper()
	if c.SendRaw("", 1) != nil {
		return // it was closed for both ways
	}
	v, err := c.Receive()
	require.Error(c.t, err, "the connection is closed, but there is %s", show(v))
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded, "the connection is closed")
}

func show(v resp.Value) string {
	switch v.Kind {
	case resp.KindSimple, resp.KindVerbatim:
		return string(v.Str)
	case resp.KindBulk:
		return strconv.Quote(string(v.Str))
	case resp.KindInt:
		return strconv.FormatInt(v.Int, 10)
	case resp.KindNull:
		return "nil"
	case resp.KindError:
		return "-" + string(v.Str)
	case resp.KindArray, resp.KindSet, resp.KindMap:
		var all []string
		for _, e := range v.Elems {
			all = append(all, show(e))
		}
		open := map[resp.Kind]string{resp.KindArray: "[", resp.KindSet: "~[", resp.KindMap: "%["}[v.Kind]
		return open + strings.Join(all, " ") + "]"
	}
	return fmt.Sprintf("%c?", v.Kind)
}

// get asks the HTTP address of a node.
func (g *group) get(i int, path string) (int, string) {
	g.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Get("http://" + g.nodes[i].HTTPAddr() + path)
	require.NoError(g.t, err)
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	require.NoError(g.t, err)
	return r.StatusCode, string(b)
}

// exchange sends lines, reads whatever answers the first of them as a reply, and
// returns exactly n bytes of what answers the last.
func exchange(t *testing.T, addr, line string, n int, before ...string) string {
	t.Helper()
	network, path, err := transport.ParseAddress(addr)
	require.NoError(t, err)
	c, err := net.Dial(network, path)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	for _, b := range before {
		_, err = io.WriteString(c, b)
		require.NoError(t, err)
		_, err = resp.NewReplyReader(c, resp.ReplyOptions{}).ReadReply()
		require.NoError(t, err)
	}
	_, err = io.WriteString(c, line)
	require.NoError(t, err)
	b := make([]byte, n)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	return string(b)
}

// rawListener listens on a unix socket.
func rawListener(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	return l
}
