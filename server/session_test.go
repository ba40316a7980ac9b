package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOperationOfASessionIsAppliedOnce(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	leader := g.leader()
	c := g.dial(leader)
	session := strings.Trim(c.do("DISKV.SESSION"), `"`)
	require.Len(t, session, 32)
	first := "DISKV.ONCE n " + session + " 1 INCRBY n 5"
	require.Equal(t, "5", c.do(first))
	require.Equal(t, "5", c.do(first), "a retry gets the same reply")
	require.Equal(t, "5", g.dial(leader).do(first), "on another connection too")
	second := "DISKV.ONCE n " + session + " 2 APPEND n x"
	require.Equal(t, "2", c.do(second))

	// The leader changes, and so does the process behind every answer.
	g.stop(leader)
	c = g.dial(g.leader())
	require.Equal(t, "2", c.do(second))
	require.Equal(t, `"5x"`, c.do("GET n"))
	require.Contains(t, c.do(first), "-STALESEQ")
	g.start(leader)
	g.awaitReady()

	for i := range 3 {
		g.stop(i)
	}
	for i := range 3 {
		g.start(i)
	}
	c = g.dial(g.leader())
	require.Equal(t, "2", c.do(second), "after all were restarted too")
	require.Contains(t, c.do(first), "-STALESEQ")
	require.Equal(t, `"5x"`, c.do("GET n"))

	for line, want := range map[string]string{
		"DISKV.ONCE n " + session + " 0 INCR n":                              "-ERR DISKV.ONCE needs an operation number",
		"DISKV.ONCE other " + session + " 3 INCR n":                          "-CROSSSLOT",
		"DISKV.ONCE n " + session + " 3 DBSIZE":                              "-ERR DISKV.ONCE needs a command with keys",
		"DISKV.ONCE n " + session + " 3 PING":                                "-ERR unknown command 'PING'",
		"DISKV.ONCE n abc 3 INCR n":                                          "-ERR session id has 3 characters instead of 32",
		"DISKV.ONCE n " + session + " 3 DISKV.ONCE n " + session + " 4 INCR": "-ERR",
	} {
		require.Contains(t, c.do(line), want, line)
	}
	require.Equal(t, "nil", c.do("DISKV.ONCE r "+session+" 3 GET r"), "what was refused has taken no number")
}
