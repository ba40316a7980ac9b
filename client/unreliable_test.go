package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/tests/inproc"
)

var errCut = errors.New("the network has cut the connection")

// cutting is a connection that breaks: before a request has left, in the middle of
// it, or when its reply has arrived.
type cutting struct {
	net.Conn
	on  *atomic.Bool
	mu  sync.Mutex
	rng *rand.Rand
}

// chance tells whether something happens that happens once in n times.
func (c *cutting) chance(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.on.Load() && c.rng.IntN(n) == 0
}

func (c *cutting) cut() error {
	_ = c.Close()
	return errCut
}

func (c *cutting) Write(b []byte) (int, error) {
	switch {
	case c.chance(20):
		return 0, c.cut()
	case c.chance(20):
		n, _ := c.Conn.Write(b[:len(b)/2])
		return n, c.cut()
	}
	return c.Conn.Write(b)
}

func (c *cutting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.chance(10) {
		return 0, c.cut()
	}
	return n, err
}

func TestAppendsOverAnUnreliableNetwork(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 3)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var dials atomic.Uint64
	var cuts atomic.Bool // not while the client is opened
	c := openWith(t, client.Options{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "unix", strings.TrimPrefix(addr, "unix:"))
		if err != nil {
			return nil, err
		}
		return &cutting{Conn: nc, on: &cuts, rng: rand.New(rand.NewPCG(seed, dials.Add(1)))}, nil
	}}, g.Addrs...)
	cuts.Store(true)
	ctx := patiently(t)
	const writers, appends = 8, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range appends {
				if _, err := c.Append(ctx, fmt.Sprint("log-", w), fmt.Appendf(nil, "%d ", i)); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var want strings.Builder
	for i := range appends {
		fmt.Fprintf(&want, "%d ", i)
	}
	for w := range writers {
		value, _, err := c.Get(ctx, fmt.Sprint("log-", w))
		require.NoError(t, err)
		require.Equal(t, want.String(), string(value))
	}
	require.Greater(t, dials.Load(), uint64(20), "connections were cut")
}
