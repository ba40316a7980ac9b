package server_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

// startOnPort starts a node that listens on a port, so that its clients have addresses.
func startOnPort(t *testing.T) *group {
	t.Helper()
	return startGroup(t, 1, func(o *server.Options) { o.Listen = "127.0.0.1:0" })
}

// clientField returns a field of a line of CLIENT LIST.
func clientField(t *testing.T, line, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?:^| )` + name + `=(\S*)`).FindStringSubmatch(line)
	require.NotNil(t, m, "%s in %s", name, line)
	return m[1]
}

func TestClientListShowsWhatConnectionsAre(t *testing.T) {
	t.Parallel()
	g := startOnPort(t)
	a, b := g.dial(0), g.dial(0)
	a.do("HELLO 3 SETNAME ada")
	a.do("CLIENT SETINFO LIB-NAME go")
	a.do("CLIENT SETINFO LIB-VER 1.2")
	a.do("CLIENT NO-EVICT ON")
	a.do("CLIENT NO-TOUCH ON")
	a.do("GET k")
	info := a.text("CLIENT INFO")
	for name, want := range map[string]string{
		"id": a.do("CLIENT ID"), "laddr": g.nodes[0].Addr(), "name": "ada", "flags": "eT", "resp": "3", "cmd": "client|info",
		"lib-name": "go", "lib-ver": "1.2", "user": "default", "db": "0", "multi": "-1", "redir": "-1", "age": "0", "idle": "0",
	} {
		require.Equal(t, want, clientField(t, info, name), name)
	}
	a.do("GET k")
	lines := strings.Split(strings.TrimSpace(b.text("CLIENT LIST")), "\n")
	require.Len(t, lines, 2)
	require.Equal(t, "get", clientField(t, lines[0], "cmd"))
	require.Equal(t, "ada", clientField(t, lines[0], "name"), "others see it")
	require.Equal(t, "N", clientField(t, lines[1], "flags"))
	require.Equal(t, lines[1], strings.TrimSpace(b.text("CLIENT LIST ID "+b.do("CLIENT ID")+" 999")))
	require.Empty(t, b.text("CLIENT LIST TYPE pubsub"))
	require.Len(t, strings.Split(strings.TrimSpace(b.text("CLIENT LIST TYPE normal")), "\n"), 2)

	require.Equal(t, "RESET", a.do("RESET"))
	require.Equal(t, "nil", a.do("CLIENT GETNAME"))
	require.Equal(t, "2", clientField(t, a.text("CLIENT INFO"), "resp"))
}

func TestClientKillClosesTheConnectionsThatItNames(t *testing.T) {
	t.Parallel()
	g := startOnPort(t)
	by := g.dial(0)
	for _, how := range []struct{ filter, reply string }{
		{"CLIENT KILL %addr", "OK"},
		{"CLIENT KILL ADDR %addr", "1"},
		{"CLIENT KILL ID %id", "1"},
		{"CLIENT KILL TYPE normal LADDR %laddr USER default", "1"},
		{"CLIENT KILL TYPE normal SKIPME yes MAXAGE 1", "1"},
	} {
		victim := g.dial(0)
		info := victim.text("CLIENT INFO")
		if strings.Contains(how.filter, "MAXAGE") {
			require.Eventually(t, func() bool { return clientField(t, victim.text("CLIENT INFO"), "age") == "1" }, patience, 10*time.Millisecond)
		}
		line := how.filter
		for _, name := range []string{"laddr", "addr", "id"} {
			line = strings.ReplaceAll(line, "%"+name, clientField(t, info, name))
		}
		require.Equal(t, how.reply, by.do(line), line)
		victim.requireClosed()
		require.Eventually(t, func() bool { return strings.Count(by.text("CLIENT LIST"), "\n") == 1 }, patience, time.Millisecond)
	}
	require.Equal(t, "0", by.do("CLIENT KILL TYPE replica"))
	require.Equal(t, "0", by.do("CLIENT KILL TYPE normal"), "itself is left out")
	require.Equal(t, "-ERR No such client", by.do("CLIENT KILL 1.2.3.4:5"))
	require.Equal(t, "1", by.do("CLIENT KILL TYPE normal SKIPME no"), "it gets the reply")
	by.requireClosed()
}

func TestClientReplyTurnsRepliesOff(t *testing.T) {
	t.Parallel()
	c := startOnPort(t).dial(0)
	require.NoError(t, c.SendRaw("CLIENT REPLY OFF\r\nSET k 1\r\nGET k\r\nPING\r\nNOSUCH\r\nCLIENT REPLY ON\r\nINCR k\r\n", 2))
	require.Equal(t, "OK", c.receive(), "of REPLY ON")
	require.Equal(t, "2", c.receive())
	require.NoError(t, c.SendRaw("GET k\r\nCLIENT REPLY SKIP\r\nINCR k\r\nGET k\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n", 3))
	require.Equal(t, `"2"`, c.receive())
	require.Equal(t, `"3"`, c.receive(), "the reply of INCR was left out")
	require.Equal(t, `"x"`, c.receive())
	require.NoError(t, c.SendRaw("CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO a\r\n"+
		"CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nCLIENT NOSUCH\r\nECHO b\r\n", 3))
	require.Equal(t, `"a"`, c.receive())
	require.Equal(t, "OK", c.receive(), "of REPLY ON")
	require.Equal(t, `"b"`, c.receive())

	large := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n" + strings.Repeat("x", 9_000_000) + "\r\n"
	require.NoError(t, c.SendRaw("CLIENT REPLY SKIP\r\n"+large+"ECHO c\r\n", 1))
	require.Equal(t, `"c"`, c.receive(), "nor is an error a reply that is expected")
	require.NoError(t, c.SendRaw("CLIENT REPLY OFF\r\n"+large+"CLIENT REPLY ON\r\n", 1))
	require.Equal(t, "OK", c.receive())
}

// TestNamesOfClientsAreBounded: CLIENT LIST shows those of all at once.
func TestNamesOfClientsAreBounded(t *testing.T) {
	t.Parallel()
	c := startOnPort(t).dial(0)
	long := strings.Repeat("x", 1025)
	require.Equal(t, "-ERR Client names cannot be longer than 1024 bytes", c.do("CLIENT SETNAME "+long))
	require.Equal(t, "-ERR Client names cannot be longer than 1024 bytes", c.do("HELLO 3 SETNAME "+long))
	require.Equal(t, "-ERR lib-ver cannot be longer than 1024 bytes", c.do("CLIENT SETINFO LIB-VER "+long))
	require.Equal(t, "OK", c.do("CLIENT SETNAME "+long[1:]))
	require.Equal(t, fmt.Sprintf("%q", long[1:]), c.do("CLIENT GETNAME"))
}
