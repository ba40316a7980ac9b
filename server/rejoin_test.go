package server_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestGroupComesBackAfterItLeft: it was away while configs passed that nobody needs
// any more.
func TestGroupComesBackAfterItLeft(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	c.change("LEAVE 3")
	masters := c.masters.dial(c.masters.leader())
	require.Eventually(t, func() bool { return !strings.Contains(masters.do("DISKV.SHARDS GROUPS"), "leaving") },
		patience, 5*time.Millisecond, "it is drained")
	away := c.groups[2]
	away.stop(0)
	c.groups = c.groups[:2]
	for _, line := range []string{"MOVE 0 2", "MOVE 1 2", "BALANCE"} {
		c.change(line)
		c.settle()
	}
	require.Eventually(t, func() bool {
		return strings.HasPrefix(masters.do("DISKV.SHARDS QUERY 5"), "-COMPACTED")
	}, patience, 5*time.Millisecond)

	away.start(0)
	away.awaitReady()
	c.groups = append(c.groups, away)
	c.change("JOIN " + strconv.Itoa(3) + " " + strings.Join(c.addrs(away), " "))
	c.settle()
	s, err := away.nodes[0].Status()
	require.NoError(t, err)
	require.InDelta(t, 16384/3, s.Served, 1)
}
