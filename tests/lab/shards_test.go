package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

// data is what a store must hold.
type data map[string]string

// someKeys puts n keys, all over the shards.
func someKeys(t *testing.T, c *clerk, n int) data {
	t.Helper()
	d := data{}
	for i := range n {
		k := fmt.Sprint("key-", i)
		d[k] = fmt.Sprint("value-", i)
		require.NoError(t, c.put(k, d[k]))
	}
	return d
}

// verify reads everything, and appends to everything.
func (d data) verify(t *testing.T, c *clerk, p string) {
	t.Helper()
	for k, v := range d {
		c.mustHold(t, k, v)
		c.mustAppend(t, k, p)
		d[k] += p
		c.mustHold(t, k, d[k])
	}
}

func TestJoinAndLeaveKeepData(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	c.join(t, 1)
	k := c.clerk(t)
	d := someKeys(t, k, 50)
	c.join(t, 2) // it need not be settled
	d.verify(t, k, "a")
	c.join(t, 3)
	d.verify(t, k, "b")
	d.verify(t, c.clerk(t), "c")

	// A group that left is not needed once it is drained.
	c.settle(t, c.leave(t, 1))
	c.Group(1).Close()
	d.verify(t, k, "d")
	c.settle(t, c.leave(t, 3))
	c.settle(t, c.join(t, 3))
	c.settle(t, c.leave(t, 3))
	c.Group(3).Close()
	d.verify(t, c.clerk(t), "e")

	// The first one comes back. It has missed some configs, which nobody keeps.
	require.NoError(t, c.Start())
	c.settle(t, c.join(t, 1))
	d.verify(t, k, "f")
	c.settle(t, c.leave(t, 2))
	c.Group(2).Close()
	d.verify(t, k, "g")
}

func TestShardsReallyMove(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, nil)
	c.join(t, 1)
	k := c.clerk(t)
	d := someKeys(t, k, 100)
	c.settle(t, c.join(t, 2))
	d.verify(t, k, "a")

	// One of two groups stops: about half of the keys is there.
	c.Group(1).Close()
	reached := make(chan string, len(d))
	var asking []func() error
	for key, value := range d {
		asking = append(asking, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			got, err := k.getWithin(ctx, key)
			if err != nil {
				return nil //nolint:nilerror // it is not reachable
			}
			if got != value {
				return fmt.Errorf("%s: %q, must be %q", key, got, value)
			}
			reached <- key
			return nil
		})
	}
	together(t, asking...)
	require.InDelta(t, len(d)/2, len(reached), float64(len(d))/5, "reachable of %d keys", len(d))

	require.NoError(t, c.Start())
	d.verify(t, k, "b")
}

func TestReconfigurationWithADeadReplicaInEachGroup(t *testing.T) {
	t.Parallel()
	chance, _ := chance(t)
	c := newCluster(t, 3, nil)
	c.settle(t, c.join(t, 1, 2, 3))
	k := c.clerk(t)
	d := someKeys(t, k, 50)
	kill := func() {
		for _, g := range c.All() {
			require.NoError(t, g.Members[chance.IntN(3)].Kill())
		}
	}
	kill()
	c.settle(t, c.leave(t, 1))
	d.verify(t, k, "a")
	c.settle(t, c.join(t, 1))
	d.verify(t, k, "b")
	c.settle(t, c.moveSome(t, chance, d))
	d.verify(t, k, "c")

	// Others die: what is left has everything.
	require.NoError(t, c.Start())
	for _, g := range c.All() {
		require.NoError(t, g.Converged(patiently(t)))
	}
	kill()
	d.verify(t, k, "d")
	c.settle(t, c.leave(t, 2))
	d.verify(t, c.clerk(t), "e")
}

// moveSome gives the shards of some keys to other groups.
func (c *cluster) moveSome(t *testing.T, chance *rand.Rand, d data) uint64 {
	t.Helper()
	var config uint64
	for k := range d {
		if chance.IntN(4) == 0 || config == 0 {
			var err error
			config, err = c.move(patiently(t), k, c.someGroup(chance))
			require.NoError(t, err)
		}
	}
	return config
}

func TestConcurrentPutsGetsAppendsAndMoves(t *testing.T) {
	t.Parallel()
	chance, _ := chance(t)
	concurrentMoves(t, newCluster(t, 3, nil), chance, 30)
}

func TestConcurrentPutsGetsAppendsAndMovesUnreliable(t *testing.T) {
	t.Parallel()
	chance, netSeed := chance(t)
	concurrentMoves(t, newCluster(t, 3, unreliable(t, netSeed)), chance, 30)
}

// concurrentMoves has clients work on keys of their own and on one of all, while
// the shards of these very keys, and groups, move.
func concurrentMoves(t *testing.T, c *cluster, chance *rand.Rand, changes int) {
	t.Helper()
	for i := range c.Groups {
		c.join(t, shard.GroupID(i+1))
	}
	var workers []*worker
	var doing []func() error
	moving, cancel := context.WithCancel(t.Context())
	for n := range 6 {
		w := &worker{number: n, k: c.clerk(t)}
		workers = append(workers, w)
		doing = append(doing, func() error { return w.work(moving) })
	}
	doing = append(doing, func() error {
		defer cancel()
		return c.change(t.Context(), chance, changes, len(workers))
	})
	together(t, doing...)

	k := c.clerk(t)
	value, err := k.get(ofAll)
	require.NoError(t, err)
	var rounds []int
	for _, w := range workers {
		require.NotZero(t, w.rounds, "worker %d was served", w.number)
		rounds = append(rounds, w.rounds)
		k.mustHold(t, w.key(), w.value)
	}
	requirePieces(t, value, rounds)
	t.Log("rounds of each worker:", rounds)
}

// ofAll is the key to which every worker appends.
const ofAll = "of-all"

// worker is a client with a key of its own, which therefore knows what it holds.
type worker struct {
	number int
	k      *clerk
	rounds int // done
	value  string
}

func (w *worker) key() string { return ownKey(w.number) }

func ownKey(number int) string { return fmt.Sprint("of-", number) }

func (w *worker) work(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.k.append(ofAll, piece(w.number, w.rounds)); err != nil {
			return fmt.Errorf("worker %d: %w", w.number, err)
		}
		w.rounds++
		change, p := w.k.append, fmt.Sprint(w.rounds, " ")
		if w.rounds%8 == 0 {
			change, w.value = w.k.put, ""
		}
		w.value += p
		if err := change(w.key(), p); err != nil {
			return fmt.Errorf("worker %d: %w", w.number, err)
		}
		got, err := w.k.get(w.key())
		if err == nil && got != w.value {
			err = fmt.Errorf("%q, must be %q", got, w.value)
		}
		if err != nil {
			return fmt.Errorf("worker %d: %w", w.number, err)
		}
	}
	return nil
}

// change makes changes of the config, which move the keys of some workers and the
// one of all, and now and then has a group leave and come back.
func (c *cluster) change(ctx context.Context, chance *rand.Rand, changes, workers int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	var config uint64
	var left shard.GroupID // the group that is not in the config
	for i := range changes {
		var err error
		to := c.someGroup(chance)
		switch {
		case left == to, left != 0 && i%10 == 9:
			config, err = c.joinOne(ctx, left)
			left = 0
		case left == 0 && i%10 == 4:
			config, err = c.masters.Leave(ctx, to)
			left = to
		case i%2 == 0:
			config, err = c.move(ctx, ofAll, to)
		default:
			config, err = c.move(ctx, ownKey(chance.IntN(workers)), to)
		}
		if err == nil && i%3 == 0 { // at times several configs wait
			err = c.Settled(ctx, c.masters, config)
		}
		if err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
	}
	return c.Settled(ctx, c.masters, config)
}
