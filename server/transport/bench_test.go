package transport

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkSend(b, size) })
	}
}

// benchmarkSend keeps a window of payloads under way on a TCP connection.
func benchmarkSend(b *testing.B, size int) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	window := make(chan struct{}, max(4, min(4096, (8<<20)/size)))
	o := Options{
		Self: 1, Size: 2, Peers: []string{l.Addr().String(), l.Addr().String()},
		Cluster: func() uint64 { return 0 }, Lost: func(uint8) {},
		Receive: func(uint8, []byte) { <-window },
	}
	to, err := New(o)
	require.NoError(b, err)
	o.Self, o.Receive = 0, func(uint8, []byte) {}
	from, err := New(o)
	require.NoError(b, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			to.Accept(conn)
		}
	}()
	from.Start()
	payload := make([]byte, size)
	b.SetBytes(int64(size))
	for b.Loop() {
		window <- struct{}{}
		_ = from.Send(1, LaneBulk, payload)
	}
	from.Close()
	to.Close()
	_ = l.Close()
	<-done
}
