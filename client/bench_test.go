package client_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"diskv/client"
	"diskv/tests/inproc"
)

// The nodes are in this process and their disk is that of the machine: compare the
// lines with each other.

func BenchmarkPut(b *testing.B) {
	benchmark(b, func(c *client.Client, key string) error { return c.Put(b.Context(), key, make([]byte, 100)) })
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, func(c *client.Client, key string) error {
		_, _, err := c.Get(b.Context(), key)
		return err
	})
}

func benchmark(b *testing.B, op func(c *client.Client, key string) error) {
	b.Helper()
	g := inproc.Start(b, 3)
	for _, connections := range []int{1, 2, 4} {
		for _, callers := range []int{1, 64, 512} {
			b.Run(fmt.Sprintf("connections=%d/callers=%d", connections, callers), func(b *testing.B) {
				c := openWith(b, client.Options{Connections: connections}, g.Addrs...)
				var id atomic.Int64
				b.ReportAllocs()
				b.SetParallelism(callers) // times GOMAXPROCS
				b.RunParallel(func(pb *testing.PB) {
					key := fmt.Sprint("key-", id.Add(1))
					for pb.Next() {
						if err := op(c, key); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
