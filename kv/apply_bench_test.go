package kv_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"diskv/kv"
)

// BenchmarkApplyBatch: what a member does with a batch of 100 SETs of 100 bytes, anywhere
// among keys, per command. After an image every shard is cloned when it first changes.
func BenchmarkApplyBatch(b *testing.B) {
	const size = 100
	for _, keys := range []int{10_000, 100_000, 1_000_000} {
		for _, every := range []int{0, 50_000} {
			b.Run(fmt.Sprintf("keys=%d/image=%d", keys, every), func(b *testing.B) {
				s := kv.New()
				rnd := rand.New(rand.NewPCG(1, 2))
				value := make([]byte, 100)
				slot := uint64(0)
				apply := func(commands [][]byte) {
					slot++
					s.Begin(slot, int64(slot))
					for i, c := range commands {
						if i%50 == 0 {
							s.Anticipate(commands[i:min(i+50, len(commands))])
						}
						s.Apply(nil, c)
					}
				}
				set := func(i int) []byte {
					c := kv.Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i), value}}
					return c.Append(nil)
				}
				for i := range keys {
					apply([][]byte{set(i)})
				}
				batches := make([][][]byte, 2_000)
				for i := range batches {
					for range size {
						batches[i] = append(batches[i], set(rnd.IntN(keys)))
					}
				}
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if n%size == 0 {
						apply(batches[n/size%len(batches)])
					}
					if n++; every > 0 && n%every == 0 {
						s.Image()
					}
				}
			})
		}
	}
}
