package lab

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

var steps = flag.Int("lab.steps", 20, "changes of the config under crashes and disk losses")

// TestMovesUnderCrashesAndDiskLosses: groups join and leave and shards move
// at random, members of groups and shardmasters crash and lose their disks, one at a
// time, and clients append and read all the while.
func TestMovesUnderCrashesAndDiskLosses(t *testing.T) {
	t.Parallel()
	const clients, keys = 6, 200
	chance, _ := chance(t)
	c := newCluster(t, 4, nil)
	for _, g := range c.All() {
		require.NoError(t, g.Ready(patiently(t)), "formed: until then no disk may be lost")
	}
	c.settle(t, c.join(t, 1, 2))
	h := newHistory()
	var doing []func() error
	moving, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range clients {
		k, own := c.clerk(t), rand.New(rand.NewPCG(chance.Uint64(), 0))
		doing = append(doing, func() error {
			for i := 0; moving.Err() == nil; i++ {
				key := fmt.Sprint("key-", own.IntN(keys))
				do := func() error { return h.append(n, k, key, piece(n, i)) }
				if own.IntN(3) == 0 {
					do = func() error { return h.get(n, k, key) }
				}
				if err := do(); err != nil {
					return fmt.Errorf("client %d: %w", n, err)
				}
			}
			return nil
		})
	}
	end := make(chan struct{})
	walking := rand.New(rand.NewPCG(chance.Uint64(), 0))
	doing = append(doing,
		func() error {
			defer cancel()
			defer close(end)
			return c.walk(t.Context(), walking, *steps)
		},
		func() error { return harm(t.Context(), chance, end, c.All()...) },
	)
	together(t, doing...)
	t.Logf("%d operations, %d of them appends, in %v", len(h.ops), h.appended(), time.Since(h.begun).Round(time.Second))

	h.requireLinearizable(t)
	k := c.clerk(t)
	for key, value := range h.holds() {
		k.mustHold(t, key, value)
	}
	for _, g := range c.All() {
		require.NoError(t, g.Converged(patiently(t)))
	}
}

// walk makes random changes of the config: a group that is a member leaves, or one
// that is not joins, or some shards move.
func (c *cluster) walk(ctx context.Context, chance *rand.Rand, steps int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(steps+1)*patience)
	defer cancel()
	var num uint64
	for i := range steps {
		config, err := c.masters.Newest(ctx)
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		id := c.someGroup(chance)
		_, member := config.Group(id)
		switch {
		case !member:
			num, err = c.joinOne(ctx, id)
		case chance.IntN(3) == 0 && len(config.Groups) > 1:
			num, err = c.masters.Leave(ctx, id)
		default:
			first := shard.ID(chance.IntN(shard.Count))
			last := min(first+shard.ID(chance.IntN(3000)), shard.Count-1)
			num, err = c.masters.Move(ctx, shard.Range{First: first, Last: last}, id)
		}
		if err == nil && chance.IntN(2) == 0 { // at times several configs wait
			err = c.Settled(ctx, c.masters, num)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return c.Settled(ctx, c.masters, num)
}
