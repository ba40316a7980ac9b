package shard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

func TestOfIsTheHashSlotOfRedisCluster(t *testing.T) {
	// The check value of CRC-16/XMODEM is 0x31C3, which is below Count; the
	// other numbers are what CLUSTER KEYSLOT of Redis 7 answers.
	tests := map[string]shard.ID{
		"123456789": 0x31C3,
		"foo":       12182,
		"bar":       5061,
		"hello":     866,
		"":          0,
	}
	for key, want := range tests {
		require.Equal(t, want, shard.Of([]byte(key)), "key %q", key)
	}
}

func TestOfHashesOnlyTheTag(t *testing.T) {
	tests := map[string]struct{ key, same string }{
		"tag in front":           {"{user1000}.following", "user1000"},
		"tag behind":             {"following.{user1000}", "user1000"},
		"first closing brace":    {"foo{{bar}}zap", "{bar"},
		"first tag of two":       {"foo{bar}{zap}", "bar"},
		"brace closed before":    {"}a{b}", "b"},
		"whole key is a tag":     {"{foo}", "foo"},
		"tag with binary inside": {"x{\x00\xff}y", "\x00\xff"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, shard.Of([]byte(tc.same)), shard.Of([]byte(tc.key)))
		})
	}
}

func TestOfHashesTheWholeKeyWithoutATag(t *testing.T) {
	// Numbers of CLUSTER KEYSLOT of Redis 7.
	tests := map[string]shard.ID{
		"foo{}{bar}": 8363,
		"foo{bar":    15278,
		"{}":         15257,
		"foo}bar":    7223,
	}
	for key, want := range tests {
		require.Equal(t, want, shard.Of([]byte(key)), "key %q", key)
	}
}

func TestEveryShardIsUsed(t *testing.T) {
	seen := make(map[shard.ID]bool)
	for i := range 1 << 16 {
		id := shard.Of([]byte{byte(i >> 8), byte(i)})
		require.Less(t, id, shard.ID(shard.Count))
		seen[id] = true
	}
	require.Len(t, seen, shard.Count)
}

func TestString(t *testing.T) {
	require.Equal(t, "16383", shard.ID(shard.Count-1).String())
}

func BenchmarkOf(b *testing.B) {
	key := []byte("key:000000000042")
	for b.Loop() {
		shard.Of(key)
	}
}
