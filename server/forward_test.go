package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

func forwarding(o *server.Options) { o.Forward = true }

// TestFollowerPassesCommandsOn: a client that knows nothing of clusters can use any
// member.
func TestFollowerPassesCommandsOn(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, forwarding)
	c := g.dial(g.follower())
	require.Equal(t, "OK", c.do("SET k v"))
	require.Equal(t, `"v"`, c.do("GET k"))
	require.Equal(t, "-ERR value is not an integer or out of range", c.do("INCR k"))
	require.Contains(t, c.do("SET k"), "-ERR wrong number of arguments")

	var lines, want []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf("SET n%d %d", i%7, i), fmt.Sprintf("GET n%d", i%7))
		want = append(want, "OK", fmt.Sprintf("%q", fmt.Sprint(i)))
		if i%100 == 0 {
			lines, want = append(lines, "PING"), append(want, "PONG")
		}
	}
	require.Equal(t, want, c.pipeline(lines...), "in the order of the commands")

	session := strings.Trim(c.do("DISKV.SESSION"), `"`)
	require.Len(t, session, 32)
	once := "DISKV.ONCE log " + session + " 1 APPEND log x"
	require.Equal(t, "1", c.do(once))
	require.Equal(t, "1", c.do(once), "executed once")

	c.do("HELLO 3")
	require.Equal(t, "nil", c.do("GET none"))
	require.Equal(t, `["v" nil]`, c.do("MGET k {k}none"))
	require.Equal(t, `"v"`, c.do("GET k"))
}

// TestForwardingFollowsTheLeader: the connection outlives the leader.
func TestForwardingFollowsTheLeader(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3, forwarding)
	leader := g.leader()
	c := g.dial((leader + 1) % 3)
	require.Equal(t, "OK", c.do("SET k v"))
	g.stop(leader)
	require.Eventually(t, func() bool {
		reply := c.do("GET k")
		if reply != `"v"` {
			require.Contains(t, reply, "-CLUSTERDOWN")
			return false
		}
		return true
	}, patience, 5*time.Millisecond)
	require.Equal(t, "OK", c.do("SET k w"))
}

// TestWhatWasForwardedIsNotForwardedAgain: members that point at each other must not
// send a command round in circles.
func TestWhatWasForwardedIsNotForwardedAgain(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, forwarding)
	c := g.dial(g.follower())
	require.Equal(t, "OK", c.do("DISKV.FORWARDED"))
	require.Contains(t, c.do("SET k v"), "-MOVED ")
}
