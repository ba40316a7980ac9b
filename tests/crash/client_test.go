package crash

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/tests/appending"
)

// TestClientAppendsExactlyOnceWhileLeadersAreKilled: goroutines that share one
// client append numbers, and none is missing or there twice.
func TestClientAppendsExactlyOnceWhileLeadersAreKilled(t *testing.T) {
	g := newGroup(t)
	ctx := patiently(t)
	c, err := client.Open(ctx, g.Public...)
	require.NoError(t, err)
	t.Cleanup(c.Close)

	load := appending.Start(ctx, t, c, 32)
	for range *kills {
		load.AwaitMore(500)
		leader := leaderOf(t, g)
		require.NoError(t, leader.Kill())
		require.NoError(t, c.Put(ctx, "probe", nil), "another leader serves")
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(patiently(t)))
	}
	sum := load.Stop()
	load.RequireAllThereOnce()
	t.Logf("%d kills, %d appends, each there once", *kills, sum)
}
