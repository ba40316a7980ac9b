package crash

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/shard"
	"diskv/shardmaster"
	"diskv/tests/proc"
)

// TestShardmastersAreKilledWhileConfigsChange: a config that was answered once stays
// as it was, whoever is killed, all of them or the disk of one included.
func TestShardmastersAreKilledWhileConfigsChange(t *testing.T) {
	c, err := proc.NewCluster(proc.ClusterOptions{
		Binary: binary, Dir: t.TempDir(), Shardmasters: 3, Args: []string{"--snapshot-min-bytes", "4096"},
	})
	require.NoError(t, err)
	g := c.Shardmasters
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			for _, m := range g.Members {
				t.Logf("shardmaster %d:\n%s", m.Index, m.Output())
			}
		}
	})
	require.NoError(t, c.Start())
	require.NoError(t, g.Ready(patiently(t)))

	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	var mu sync.Mutex
	configs := make(map[int64]string) // by number, as they were answered
	writing.Go(func() { changeConfigs(ctx, t, c, &mu, configs) })
	made := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(configs)
	}
	awaitMore := func(n int) {
		want := made() + n
		require.Eventually(t, func() bool { return made() >= want }, patience, time.Millisecond)
	}

	for range *kills {
		awaitMore(20)
		leader := leaderOf(t, g)
		require.NoError(t, leader.Kill())
		awaitMore(20)
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(patiently(t)))
	}
	awaitMore(10)
	lost := leaderOf(t, g)
	require.NoError(t, lost.LoseDisk())
	awaitMore(10)
	require.NoError(t, lost.Start())
	require.NoError(t, lost.Ready(patiently(t)))
	awaitMore(10)
	for _, m := range g.Members {
		require.NoError(t, m.Kill())
	}
	require.NoError(t, g.Start())
	awaitMore(10)
	stop()
	writing.Wait()
	require.NoError(t, g.Converged(patiently(t)))

	for _, m := range g.Members {
		conn, err := m.Dial()
		require.NoError(t, err)
		for num, want := range configs {
			v, err := conn.Do("DISKV.SHARDS", "QUERY", strconv.FormatInt(num, 10))
			require.NoError(t, err, "shardmaster %d, config %d", m.Index, num)
			require.Equal(t, want, string(v.Str), "shardmaster %d, config %d", m.Index, num)
		}
		conn.Close()
	}
	t.Logf("%d kills, %d configs", *kills, len(configs))
}

// changeConfigs makes one config after the other and notes what each is.
func changeConfigs(ctx context.Context, t *testing.T, c *proc.Cluster, mu *sync.Mutex, configs map[int64]string) {
	t.Helper()
	r := c.Shardmasters.Router()
	defer r.Close()
	for i := 0; ctx.Err() == nil; i++ {
		gid := strconv.Itoa(2 + i%3)
		change := []string{"JOIN", gid, "b:" + gid}
		switch i / 3 % 3 {
		case 1:
			change = []string{"MOVE", fmt.Sprintf("0-%d", i), "1"}
		case 2:
			change = []string{"LEAVE", gid}
		}
		// No group ever says that it has passed a config, so all are kept; near the
		// limit only new addresses are taken.
		if i == 0 || i > shardmaster.MaxKept/2 {
			change = []string{"JOIN", "1", fmt.Sprintf("a:%d", 1+i%1000)}
		}
		made, err := r.Read(ctx, append([]string{"DISKV.SHARDS"}, change...)...)
		num := made.Int
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Errorf("%v: %v", change, err)
			return
		}
		v, err := r.Read(ctx, "DISKV.SHARDS", "QUERY", strconv.FormatInt(num, 10))
		if ctx.Err() != nil {
			return
		}
		if _, undecodable := shard.DecodeConfig(v.Str); err != nil || undecodable != nil {
			t.Errorf("config %d: %v, %v", num, err, undecodable)
			return
		}
		mu.Lock()
		configs[num] = string(v.Str)
		mu.Unlock()
	}
}
