package compat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

// store is what the scenarios want of a client, in its user's words: no retry but
// those that the client makes by itself.
type store interface {
	Set(ctx context.Context, key, value string) error
	Get(ctx context.Context, key string) (string, error)
	Incr(ctx context.Context, key string) (int64, error)
	// IncrAll does it in a pipeline. With an error come the counts that there are, and
	// zeros.
	IncrAll(ctx context.Context, keys []string) ([]int64, error)
}

// countWhileShardsMove increments counters without a pause, one at a time and in
// pipelines, while a quarter of all shards goes from one group to the other and back.
// No call may fail: all that the client is told in the meantime it has to get over by
// itself. And since no connection is lost, no increment is executed twice.
func (c *cluster) countWhileShardsMove(t *testing.T, s store) {
	t.Helper()
	const workers, keys, rounds, moves = 4, 25, 6, 6
	ctx, stop := context.WithCancel(patiently(t))
	defer stop()
	var working sync.WaitGroup
	var done [workers]atomic.Int64 // rounds over all keys
	for w := range workers {
		names := keysOf(fmt.Sprintf("count:%s:%d:", t.Name(), w), keys)
		working.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				// Not with ctx: its end is no failure.
				got, err := increment(t.Context(), s, names, n%2 == 0)
				if err != nil || !slices.Equal(got, slices.Repeat([]int64{n}, keys)) {
					t.Errorf("round %d of worker %d: %v, %v", n, w, got, err)
					stop()
					return
				}
				done[w].Store(n)
			}
		})
	}
	moved := 0
	for enough := false; !enough && ctx.Err() == nil; moved++ {
		config, err := c.masters.Move(patiently(t), shard.Range{First: 2000, Last: 6095}, shard.GroupID(2-moved%2))
		require.NoError(t, err)
		c.settle(t, config)
		enough = moved >= moves
		for w := range workers {
			enough = enough && done[w].Load() >= rounds
		}
	}
	stop()
	working.Wait()
	for w := range workers {
		require.GreaterOrEqual(t, done[w].Load(), int64(rounds), "worker %d", w)
		t.Logf("worker %d: %d increments during %d moves", w, keys*done[w].Load(), moved)
	}
}

// increment increments counters, one after the other or all at once.
func increment(ctx context.Context, s store, keys []string, piped bool) ([]int64, error) {
	if piped {
		return s.IncrAll(ctx, keys)
	}
	var all []int64
	for _, key := range keys {
		n, err := s.Incr(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("INCR %s: %w", key, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// outliveALeader kills the leader of a group. The same client goes on when the group
// has another, and finds everything that it was told OK for. The member is started
// again at once, as a supervisor does, or when the client has got over it.
func (c *cluster) outliveALeader(t *testing.T, s store, supervised bool) {
	t.Helper()
	ctx := patiently(t)
	keys := keysOf("kept:", 40)
	require.Len(t, c.owners(t, keys), 2)
	for _, key := range keys {
		require.NoError(t, s.Set(ctx, key, "before"))
	}
	leader, err := c.Groups[0].Leader(ctx)
	require.NoError(t, err)
	require.NoError(t, leader.Kill())
	if supervised {
		require.NoError(t, leader.Start())
	}
	began, failed := time.Now(), 0
	for _, key := range keys {
		for {
			value, err := s.Get(ctx, key)
			if err == nil {
				require.Contains(t, []string{"before", "after"}, value, key)
				if err = s.Set(ctx, key, "after"); err == nil {
					break
				}
			}
			failed++
			require.NoError(t, ctx.Err(), "%s: %v", key, err)
		}
	}
	t.Logf("all keys can be read and written %v after the kill; %d calls failed", time.Since(began).Round(time.Millisecond), failed)
	if !supervised {
		require.NoError(t, leader.Start())
	}
	require.NoError(t, leader.Ready(ctx))
	for _, key := range keys {
		value, err := s.Get(ctx, key)
		require.NoError(t, err)
		require.Equal(t, "after", value)
	}
}

// useEveryMember reads and writes keys of both groups through each member of a cluster
// that forwards, with clients that know nothing of clusters.
func (c *cluster) useEveryMember(t *testing.T, name string, open func(addr string) store) {
	t.Helper()
	ctx := t.Context()
	keys := keysOf(name+":", 30)
	require.Len(t, c.owners(t, keys), 2, "the keys are in both groups")
	for i, addr := range c.addrs() {
		s := open(addr)
		for _, key := range keys {
			written := fmt.Sprint(key, " through ", addr)
			require.NoError(t, s.Set(ctx, key, written))
			value, err := s.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, written, value)
			n, err := s.Incr(ctx, "n:"+key)
			require.NoError(t, err)
			require.EqualValues(t, i+1, n)
		}
	}
	c.countWhileShardsMove(t, open(c.addrs()[0]))
}
