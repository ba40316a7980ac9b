package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/shard"
	"diskv/tests/appending"
	"diskv/tests/inproc"
)

// settled waits until every group holds what the newest config gives it.
func settled(t *testing.T, s *client.Shardmaster, num uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		groups, err := s.Groups(patiently(t))
		if err != nil {
			return false
		}
		for _, g := range groups {
			if g.Settled < num {
				return false
			}
		}
		return true
	}, patience, 10*time.Millisecond, "config %d is settled", num)
}

// TestAppendsWhileShardsMove: groups join and leave, shards move and leaders stop
// while goroutines append. Every append is there once.
func TestAppendsWhileShardsMove(t *testing.T) {
	t.Parallel()
	masters := inproc.StartShardmasters(t, 1)
	var groups []*inproc.Group
	for id := range uint64(3) {
		groups = append(groups, inproc.StartSharded(t, masters, id+1, 3))
	}
	s := openMaster(t, masters.Addrs...)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	num, err := s.Join(ctx, 1, groups[0].Addrs)
	require.NoError(t, err)
	settled(t, s, num)

	c := open(t, masters.Addrs...)
	const writers = 16
	load := appending.Start(ctx, t, c, writers)
	halt := func(g *inproc.Group) {
		leader := g.Leader()
		g.Stop(leader)
		g.Run(leader)
	}
	for i, step := range []func() (uint64, error){
		func() (uint64, error) { return s.Join(ctx, 2, groups[1].Addrs) },
		func() (uint64, error) { return s.Join(ctx, 3, groups[2].Addrs) },
		func() (uint64, error) { return s.Move(ctx, shard.Range{First: 0, Last: 9999}, 3) },
		func() (uint64, error) { return s.Leave(ctx, 1) },
		func() (uint64, error) { return s.Balance(ctx) },
		func() (uint64, error) { return s.Join(ctx, 1, groups[0].Addrs) },
		func() (uint64, error) { return s.Leave(ctx, 3) },
	} {
		num, err := step()
		require.NoError(t, err)
		halt(groups[i%len(groups)])
		settled(t, s, num)
		load.AwaitMore(50)
	}
	appends := load.Stop()
	load.RequireAllThereOnce()
	keys := 0
	for _, err := range c.Scan(ctx, appending.Pattern) {
		require.NoError(t, err)
		keys++
	}
	require.Equal(t, writers, keys, "in all groups")
	t.Logf("%d appends", appends)
}

func TestShardmastersWhoseLeaderStops(t *testing.T) {
	t.Parallel()
	masters := inproc.StartShardmasters(t, 3)
	s := openMaster(t, masters.Addrs[masters.Leader()])
	ctx := patiently(t)
	for i := range 3 {
		num, err := s.Join(ctx, shard.GroupID(i+1), []string{fmt.Sprintf("host-%d:1", i)})
		require.NoError(t, err)
		require.EqualValues(t, i+1, num)
		leader := masters.Leader()
		masters.Stop(leader)
		c, err := openMaster(t, masters.Addrs...).Newest(ctx)
		require.NoError(t, err)
		require.Len(t, c.Groups, i+1)
		masters.Run(leader)
		masters.AwaitReady()
		s = openMaster(t, masters.Addrs...)
	}
}
