package server_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// BenchmarkCommands measures commands as 50 clients send them to a leader, one
// by one and 16 at a time, with everything between the client's socket and the
// members' disks.
func BenchmarkCommands(b *testing.B) {
	for _, size := range []int{1, 3} {
		for _, depth := range []int{1, 16} {
			for name, line := range map[string]string{"set": "SET key " + strings.Repeat("v", 100), "get": "GET key"} {
				b.Run(fmt.Sprintf("members=%d/depth=%d/%s", size, depth, name), func(b *testing.B) {
					g := startGroup(b, size)
					benchmark(b, g.nodes[g.leader()].Addr(), line, depth)
				})
			}
		}
	}
}

func benchmark(b *testing.B, addr, line string, depth int) {
	b.Helper()
	const clients = 50
	var raw []byte
	for range depth {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		raw = resp.AppendCommand(raw, args...)
	}
	var conns []*proc.Conn
	for range clients {
		c, err := proc.Dial(addr)
		require.NoError(b, err)
		defer c.Close()
		conns = append(conns, c)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for _, c := range conns {
		running.Go(func() {
			for range b.N/clients/depth + 1 {
				if err := c.SendRaw(string(raw), depth); err != nil {
					b.Error(err)
					return
				}
				for range depth {
					if v, err := c.Receive(); err != nil || v.Err() != nil {
						b.Error(err, v.Err())
						return
					}
				}
			}
		})
	}
	running.Wait()
}
