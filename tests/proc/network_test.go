package proc

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/server/transport"
)

// echo answers every command with the array of its arguments, and counts them.
func echo(t *testing.T) (addr string, executed *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	executed = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				in := resp.NewCommandReader(c, resp.Options{})
				for {
					args, err := in.ReadCommand()
					if err != nil {
						return
					}
					executed.Add(1)
					if _, err := c.Write(resp.AppendCommand(nil, args...)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), executed
}

func TestNetworkCarries(t *testing.T) {
	t.Parallel()
	addr, _ := echo(t)
	n := NewNetwork(1, Loss{})
	t.Cleanup(n.Close)
	proxy, err := n.Through(addr)
	require.NoError(t, err)
	require.NotEqual(t, addr, proxy)
	for _, a := range []string{addr, proxy} {
		again, err := n.Through(a)
		require.NoError(t, err)
		require.Equal(t, proxy, again)
	}
	c, err := Dial(proxy)
	require.NoError(t, err)
	defer c.Close()
	const pipelined = 3000 // more than the proxy has pending
	for i := range pipelined {
		require.NoError(t, c.Send("GET", strconv.Itoa(i)))
	}
	for i := range pipelined {
		v, err := c.Receive()
		require.NoError(t, err)
		require.Len(t, v.Elems, 2)
		require.Equal(t, strconv.Itoa(i), string(v.Elems[1].Str))
	}
}

func TestNetworkDiscards(t *testing.T) {
	t.Parallel()
	addr, executed := echo(t)
	n := NewNetwork(1, Unreliable)
	t.Cleanup(n.Close)
	proxy, err := n.Through(addr)
	require.NoError(t, err)
	const requests = 2000
	answered := 0
	var c *Conn
	for i := range requests {
		if c == nil {
			c, err = Dial(proxy)
			require.NoError(t, err)
		}
		v, err := c.Do("GET", strconv.Itoa(i))
		if err != nil {
			c.Close() // it was discarded
			c = nil
			continue
		}
		answered++
		require.Equal(t, strconv.Itoa(i), string(v.Elems[1].Str), "the reply to this request")
	}
	before, after, carried := n.Discarded()
	require.Equal(t, requests-before, int(executed.Load()), "what was discarded before was not executed")
	require.Equal(t, requests-before-after, answered)
	require.Equal(t, answered, carried)
	require.InDelta(t, 0.1, float64(before)/requests, 0.03, fmt.Sprint(before))
	require.InDelta(t, 0.2, float64(after)/float64(requests-before), 0.04, fmt.Sprint(after))
}

func TestNetworkCarriesMembersAsTheyAre(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	n := NewNetwork(1, Loss{Requests: 1, Replies: 1})
	t.Cleanup(n.Close)
	proxy, err := n.Through(l.Addr().String())
	require.NoError(t, err)
	c, err := net.Dial("tcp", proxy)
	require.NoError(t, err)
	sent := transport.Magic + strings.Repeat("not RESP\n", 100_000)
	go func() { _, _ = io.WriteString(c, sent) }()
	got := make([]byte, len(sent))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, sent, string(got))
	require.NoError(t, c.Close())
}

func TestNetworkWithoutServer(t *testing.T) {
	t.Parallel()
	addrs, err := FreePorts(1)
	require.NoError(t, err)
	n := NewNetwork(1, Loss{})
	proxy, err := n.Through(addrs[0])
	require.NoError(t, err)
	c, err := Dial(proxy)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Do("PING")
	require.Error(t, err)
	n.Close()
	_, err = Dial(proxy)
	require.Error(t, err)
}
