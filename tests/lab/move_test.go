package lab

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/shard"
)

// TestRetriesAndLateDuplicatesAfterMoves: wherever the shard is by now, the last
// operation of a session is answered again and not executed again, and an older one
// is refused.
func TestRetriesAndLateDuplicatesAfterMoves(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	c.settle(t, c.join(t, 1, 2, 3))
	r := c.Group(1).Router()
	t.Cleanup(r.Close)
	ctx := patiently(t)
	v, err := r.Read(ctx, "DISKV.SESSION")
	require.NoError(t, err)
	session := string(v.Str)
	send := func(seq, piece string) (int64, error) {
		v, err := r.Read(ctx, "DISKV.ONCE", "k", session, seq, "APPEND", "k", piece)
		return v.Int, err
	}
	move := func(to shard.GroupID) {
		config, err := c.move(ctx, "k", to)
		require.NoError(t, err)
		c.settle(t, config)
	}
	move(1)
	for i, seq := range []string{"1", "2"} {
		n, err := send(seq, "ab")
		require.NoError(t, err)
		require.EqualValues(t, 2*(i+1), n)
	}
	for _, to := range []shard.GroupID{2, 3, 1, 2} {
		move(to)
		n, err := send("2", "ab")
		require.NoError(t, err)
		require.EqualValues(t, 4, n, "what it was")
		var refused resp.ErrorReply
		_, err = send("1", "ab")
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "STALESEQ", refused.Code())
	}
	n, err := send("3", "ab")
	require.NoError(t, err)
	require.EqualValues(t, 6, n)
	move(3)
	_, err = send("2", "ab")
	require.Error(t, err, "one that was answered everywhere is old now")
	c.clerk(t).mustHold(t, "k", "ababab")
}

// TestGroupThatIsDownHoldsUpNoOther: others exchange shards meanwhile, and get the
// shards of that one when it is back.
func TestGroupThatIsDownHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, nil)
	c.settle(t, c.join(t, 1, 2, 3))
	k := c.clerk(t)
	ctx := patiently(t)
	for key, to := range map[string]shard.GroupID{"of-1": 1, "of-2": 2, "of-3": 3} {
		config, err := c.move(ctx, key, to)
		require.NoError(t, err)
		c.settle(t, config)
		require.NoError(t, k.put(key, key))
	}
	c.Group(1).Close()
	for _, to := range []shard.GroupID{3, 2, 3} {
		_, err := c.move(ctx, "of-2", to)
		require.NoError(t, err)
		k.mustAppend(t, "of-2", ".")
		k.mustAppend(t, "of-3", ".")
	}
	k.mustHold(t, "of-2", "of-2...")
	k.mustHold(t, "of-3", "of-3...")

	// A shard that the one that is down has cannot be had, and harms nobody.
	config, err := c.move(ctx, "of-1", 2)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = k.getWithin(short, "of-1")
	require.Error(t, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	k.mustAppend(t, "of-2", ".")
	k.mustAppend(t, "of-3", ".")
	require.NoError(t, c.Group(1).Start())
	c.settle(t, config)
	k.mustHold(t, "of-1", "of-1")
	k.mustHold(t, "of-2", "of-2....")
	k.mustHold(t, "of-3", "of-3....")
}

// TestShardmastersAreNeededForChangesOnly: without any of them everything is served,
// also by groups that are started meanwhile.
func TestShardmastersAreNeededForChangesOnly(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, nil)
	c.settle(t, c.join(t, 1, 2))
	k := c.clerk(t)
	d := someKeys(t, k, 20)
	c.Shardmasters.Close()
	d.verify(t, k, "a")
	for _, g := range c.Groups {
		g.Close()
		require.NoError(t, g.Start())
	}
	d.verify(t, k, "b")
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.masters.Leave(short, 2)
	require.Error(t, err, "nobody is there to make a config")
	d.verify(t, k, "c")

	require.NoError(t, c.Shardmasters.Start())
	c.settle(t, c.leave(t, 2))
	c.Group(2).Close()
	d.verify(t, c.clerk(t), "d")
}
