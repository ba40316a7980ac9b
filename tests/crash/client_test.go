package crash

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
)

// TestClientAppendsExactlyOnceWhileLeadersAreKilled: goroutines that share one
// client append numbers, and none is missing or there twice.
func TestClientAppendsExactlyOnceWhileLeadersAreKilled(t *testing.T) {
	g := newGroup(t)
	ctx := patiently(t)
	var addrs []string
	for _, m := range g.Members {
		addrs = append(addrs, m.Addr)
	}
	c, err := client.Open(ctx, addrs...)
	require.NoError(t, err)
	t.Cleanup(c.Close)

	const callers = 32
	end := make(chan struct{})
	counts := make([]int, callers)
	var done atomic.Int64
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if _, err := c.Append(ctx, fmt.Sprint("caller-", i), fmt.Appendf(nil, "%d ", counts[i]+1)); err != nil {
					t.Errorf("caller %d: %v", i, err)
					return
				}
				counts[i]++
				done.Add(1)
			}
		})
	}
	for range *kills {
		before := done.Load()
		require.Eventually(t, func() bool { return done.Load() > before+500 }, patience, time.Millisecond, "appends go on")
		leader := leaderOf(t, g)
		require.NoError(t, leader.Kill())
		require.NoError(t, c.Put(ctx, "probe", nil), "another leader serves")
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(patiently(t)))
	}
	close(end)
	running.Wait()
	sum := 0
	for i, n := range counts {
		var want strings.Builder
		for number := range n {
			fmt.Fprintf(&want, "%d ", number+1)
		}
		value, _, err := c.Get(ctx, fmt.Sprint("caller-", i))
		require.NoError(t, err)
		require.Equal(t, want.String(), string(value), "caller %d", i)
		sum += n
	}
	t.Logf("%d kills, %d appends, each there once", *kills, sum)
}
