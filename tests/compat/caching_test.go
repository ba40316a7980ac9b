package compat

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"

	"diskv/shard"
)

// staleFor is how long after a write was acknowledged anybody may still be given what
// was there before. It takes a round trip; the rest is for machines that are busy.
const staleFor = 2 * time.Second

// version is what a key was set to, and when that was known.
type version struct {
	n     int64
	since time.Time
}

// versions are those of a key that were acknowledged, ascending.
type versions struct {
	mu  sync.Mutex
	all []version
}

func (v *versions) add(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, version{n, time.Now()})
}

// least returns the oldest version that may be read by who begins now.
func (v *versions) least(now time.Time) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	least := int64(0)
	for _, one := range v.all {
		if now.Sub(one.since) > staleFor {
			least = one.n
		}
	}
	return least
}

// TestNobodyIsGivenWhatWasInvalidatedLongAgo has clients read through their caches
// while another one writes, leaders are killed and shards move.
func TestNobodyIsGivenWhatWasInvalidatedLongAgo(t *testing.T) {
	c := startCluster(t)
	ctx, stop := context.WithTimeout(t.Context(), 5*patience)
	defer stop()
	keys := keysOf("cached:", 16)
	require.Len(t, c.owners(t, keys), 2)
	known := make([]versions, len(keys))
	var working sync.WaitGroup
	var reads, hits, writes atomic.Int64

	writer := valkeyGo{newValkey(t, c.addrs()...)}
	working.Go(func() {
		for n := int64(1); ctx.Err() == nil; n++ {
			i := int(n*7) % len(keys)
			for ctx.Err() == nil {
				// The value is higher than any before, so it does no harm to repeat it.
				if writer.Set(ctx, keys[i], fmt.Sprint(n)) == nil {
					known[i].add(n)
					writes.Add(1)
					break
				}
			}
			time.Sleep(time.Millisecond)
		}
	})
	for range 3 {
		db := newValkey(t, c.addrs()...)
		working.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				i := n % len(keys)
				least := known[i].least(time.Now())
				v := db.DoCache(ctx, db.B().Get().Key(keys[i]).Cache(), time.Minute)
				got, err := v.AsInt64()
				if err != nil && !valkey.IsValkeyNil(err) {
					continue // an election is under way
				}
				if reads.Add(1)%100 == 0 {
					time.Sleep(time.Millisecond) // leave something to the others
				}
				if v.IsCacheHit() {
					hits.Add(1)
				}
				if got < least {
					t.Errorf("%s is %d, %v after it was set to %d; from the cache: %v", keys[i], got, staleFor, least, v.IsCacheHit())
					stop()
				}
			}
		})
	}
	for round := range 3 {
		leader, err := c.Groups[round%2].Leader(patiently(t))
		require.NoError(t, err)
		before := writes.Load()
		require.NoError(t, leader.Kill())
		require.Eventually(t, func() bool { return writes.Load() > before+100 }, patience, 10*time.Millisecond, "the others go on")
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(patiently(t)))
		moved, err := c.masters.Move(patiently(t), shard.Range{First: 0, Last: 8000}, shard.GroupID(2-round%2))
		require.NoError(t, err)
		c.settle(t, moved)
		last := writes.Load()
		require.Eventually(t, func() bool { // all of what there was before may be read no more
			for i := range known {
				if known[i].least(time.Now()) <= last {
					return false
				}
			}
			return true
		}, patience, 50*time.Millisecond)
	}
	require.Eventually(t, func() bool { return hits.Load() > 1000 }, patience, 10*time.Millisecond)
	require.NoError(t, ctx.Err())
	stop()
	working.Wait()
	t.Logf("%d writes, %d reads, %d of them from the cache", writes.Load(), reads.Load(), hits.Load())
}
