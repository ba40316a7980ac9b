package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

func TestWaitCountsTheFollowersThatHoldWhatWasWritten(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	c := g.dial(leader)
	require.Equal(t, "OK", c.do("SET k v"))
	require.Equal(t, "2", c.do("WAIT 2 0"))
	require.Equal(t, "[1 2]", c.do("WAITAOF 1 2 0"))
	g.stop((leader + 1) % 3)
	require.Equal(t, "OK", c.do("SET k w"))
	require.Equal(t, "1", c.do("WAIT 1 0"), "OK says so")
	begun := time.Now()
	require.Equal(t, "1", c.do("WAIT 2 100"), "the other one is down")
	require.GreaterOrEqual(t, time.Since(begun), 100*time.Millisecond)
	gone, err := proc.Dial(g.nodes[leader].Addr())
	require.NoError(t, err)
	require.NoError(t, gone.SendRaw("SET k w\r\nWAIT 2 0\r\n", 2))
	waits := func() bool { return strings.Contains(c.text("CLIENT LIST"), "cmd=wait") }
	require.Eventually(t, waits, patience, time.Millisecond)
	require.NoError(t, gone.SendRaw("PING\r\n", 1)) // which is not read
	gone.Close()
	require.Eventually(t, func() bool { return !waits() }, patience, time.Millisecond, "nobody waits for it")
	waiting := g.dial(leader)
	require.NoError(t, waiting.SendRaw("SET k x\r\nWAIT 2 0\r\n", 2))
	require.Equal(t, "OK", waiting.receive(), "it does not wait for WAIT")
	g.start((leader + 1) % 3)
	require.Equal(t, "2", waiting.receive(), "it has caught up")
	require.Contains(t, g.dial((leader+2)%3).do("WAIT 1 0"), "-ERR WAIT cannot be used with replica instances.")
	for line, want := range map[string]string{
		"WAIT x 0":      "-ERR value is not an integer or out of range",
		"WAIT 0 x":      "-ERR timeout is not an integer or out of range",
		"WAIT 0 -1":     "-ERR timeout is negative",
		"WAITAOF 2 0 0": "-ERR value is out of range, must be between 0 and 1",
	} {
		require.Equal(t, want, c.do(line), line)
	}
}
