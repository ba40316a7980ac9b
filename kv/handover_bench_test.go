package kv_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

// filledGroup returns a store of group 1 that serves every shard and has n keys of 16
// bytes with values of 100, and the configs: with the second, half of the shards
// leave for group 2, every other one.
func filledGroup(tb testing.TB, n int) (*kv.Store, []*shard.Config) {
	tb.Helper()
	c := configs(give(1, 0, shard.Count-1), func(c *shard.Config) {
		for id := range shard.Count / 2 {
			give(2, shard.ID(2*id), shard.ID(2*id))(c)
		}
	})
	s := kv.NewSharded(1)
	s.Begin(1, epoch)
	require.Equal(tb, "+OK\r\n", string(s.Apply(nil, kv.AppendTakeConfig(nil, c[1], c[0]))))
	value := make([]byte, 100)
	for i := range n {
		set := kv.Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i), value}}
		s.Apply(nil, set.Append(nil))
	}
	return s, c
}

// BenchmarkTakeConfig: what a group's log stands still for while 8192 shards leave
// it, or while the other one awaits them.
func BenchmarkTakeConfig(b *testing.B) {
	s, c := filledGroup(b, 1_000_000)
	all := records(b, s.Image())
	leave := kv.AppendTakeConfig(nil, c[2], nil)
	b.Run("leaving", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			s, err := restore(all)
			require.NoError(b, err)
			b.StartTimer()
			require.Equal(b, "+OK\r\n", string(s.Apply(nil, leave)))
		}
	})
	await := kv.AppendTakeConfig(nil, c[2], c[1])
	b.Run("awaited", func(b *testing.B) {
		for b.Loop() {
			s := kv.NewSharded(2)
			require.Equal(b, "+OK\r\n", string(s.Apply(nil, await)))
		}
	})
}

// BenchmarkFreeze: what a group's log stands still for while it freezes a batch, the first
// of 8192 shards that leave, or all of them at once.
func BenchmarkFreeze(b *testing.B) {
	s, c := filledGroup(b, 1_000_000)
	require.Equal(b, "+OK\r\n", string(s.Apply(nil, kv.AppendTakeConfig(nil, c[2], nil))))
	all := records(b, s.Image())
	for _, bytes := range []int64{1 << 20, everything} {
		freeze := kv.AppendFreeze(nil, 2, 2, 0, bytes)
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s, err := restore(all)
				require.NoError(b, err)
				b.StartTimer()
				require.Equal(b, "+OK\r\n", string(s.Apply(nil, freeze)))
			}
		})
	}
}

// BenchmarkHandover: half a million keys go from one group to another, in chunks.
func BenchmarkHandover(b *testing.B) {
	s, c := filledGroup(b, 1_000_000)
	require.Equal(b, "+OK\r\n", string(s.Apply(nil, kv.AppendTakeConfig(nil, c[2], nil))))
	require.Equal(b, "+OK\r\n", string(s.Apply(nil, kv.AppendFreeze(nil, 2, 2, 0, everything))))
	o, _ := s.Outgoing(2, 2, 0)
	const limit = 256 << 10
	chunks := func() (all [][]byte) {
		var cursor []byte
		for {
			chunk, err := o.Chunk(cursor, limit)
			require.NoError(b, err)
			h, err := kv.ReadChunkHead(chunk)
			require.NoError(b, err)
			all = append(all, chunk)
			if cursor = h.Next; h.Last {
				return all
			}
		}
	}
	all := chunks()
	b.Run("chunk", func(b *testing.B) {
		b.SetBytes(limit)
		for i := 0; b.Loop(); i++ {
			h, _ := kv.ReadChunkHead(all[i%len(all)])
			_, err := o.Chunk(h.Start, limit)
			require.NoError(b, err)
		}
	})
	b.Run("install", func(b *testing.B) {
		b.SetBytes(limit)
		for i := 0; b.Loop(); i++ {
			if i%len(all) == 0 {
				b.StopTimer()
				s = kv.NewSharded(2)
				s.Apply(nil, kv.AppendTakeConfig(nil, c[2], c[1]))
				b.StartTimer()
			}
			require.Equal(b, "+OK\r\n", string(s.Apply(nil, kv.AppendInstall(nil, 2, 1, all[i%len(all)]))))
		}
	})
}
