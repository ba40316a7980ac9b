package kv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

// TestGroupThatWasAwayMissesConfigs: a group that left, and was no longer needed,
// comes back when the configs since then are no longer kept.
func TestGroupThatWasAwayMissesConfigs(t *testing.T) {
	c := configs(
		give(1, 0, shard.Count-1), give(2, 0, shard.Count-1), // 1 has left with 2
		give(2, 0, 0), give(2, 1, 1), // 3 and 4: while it was away
		give(1, 8000, 12500), // 5: it is back
	)
	a, b := newGroup(t, 1), newGroup(t, 2)
	require.Equal(t, "+OK\r\n", a.take(c[1], c[0]))
	require.Equal(t, "+OK\r\n", a.do("SET foo 1"))
	require.Contains(t, a.take(c[5], c[4]), "STALECONFIG this group owns shards in config 1", "which may have moved in between")
	require.Equal(t, "+OK\r\n", a.take(c[2], nil))
	require.Equal(t, "+OK\r\n", b.take(c[2], c[1]))
	b.pull(a, 1<<20)
	require.Equal(t, "+OK\r\n", b.do("SET foo 2"))
	for _, config := range c[3:] {
		require.Equal(t, "+OK\r\n", b.take(config, nil))
	}

	require.Contains(t, a.take(c[5], nil), "STALECONFIG", "it has to know who had its shards")
	require.Contains(t, a.take(c[5], c[3]), "STALECONFIG", "just before")
	require.Equal(t, "+OK\r\n", a.take(c[5], c[4]))
	require.Equal(t, uint64(4), a.store.Handover().Settled)
	a.pull(b, 1<<20)
	require.Equal(t, uint64(5), a.store.Handover().Settled)
	require.Equal(t, "$1\r\n2\r\n", a.do("GET foo"))
	require.Contains(t, a.take(c[2], c[1]), "STALECONFIG", "never back")
}
