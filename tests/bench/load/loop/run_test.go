package loop

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/embed"

	"diskv/client"
	"diskv/internal/resp"
	"diskv/tests/inproc"
)

// small returns options of a load that takes a moment.
func small(addrs ...string) Options {
	return Options{
		Addrs: addrs, Clients: 8, Pipeline: 4, ValueBytes: 20, Keys: 500,
		Requests: 2000, Warmup: 20 * time.Millisecond, Timeout: 30 * time.Second,
	}
}

// requireOrder requires what is true of every distribution.
func requireOrder(t *testing.T, l Latency) {
	t.Helper()
	require.Positive(t, l.P50)
	require.LessOrEqual(t, l.P50, l.P99)
	require.LessOrEqual(t, l.P99, l.P999)
	require.LessOrEqual(t, l.P999, l.Max)
}

func TestGroupIsFilledAndLoaded(t *testing.T) {
	g := inproc.Start(t, 3)
	leader := g.Leader()
	// A follower is asked first: it says who leads.
	o := small(g.Addrs[(leader+1)%3], g.Addrs[(leader+2)%3], g.Addrs[leader])

	fill := o
	fill.Fill = true
	r, err := Run(t.Context(), fill)
	require.NoError(t, err)
	require.EqualValues(t, o.Keys, r.Requests)
	require.Empty(t, r.Errors)
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	for n := range o.Keys {
		value, found, err := c.Get(t.Context(), string(putKey(nil, n)))
		require.NoError(t, err)
		require.True(t, found)
		require.Len(t, value, o.ValueBytes)
	}

	o.Reads = 0.5
	r, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, r.Errors)
	require.Equal(t, o.Requests, r.Requests, "as many as were asked for are measured")
	require.Zero(t, r.Missing, "every key is there")
	require.Equal(t, o.Clients, r.Conns)
	require.InDelta(t, float64(r.Requests)/r.Seconds, r.Throughput, 1)
	requireOrder(t, r.Latency)
	requireOrder(t, *r.ReadLatency)
	requireOrder(t, *r.WriteLatency)

	o.Requests, o.Duration, o.Reads = 0, 50*time.Millisecond, 1
	r, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.GreaterOrEqual(t, r.Seconds, o.Duration.Seconds())
	require.Nil(t, r.WriteLatency, "one distribution is enough")
}

func TestKeysThatAreNotThereAreCounted(t *testing.T) {
	g := inproc.Start(t, 1)
	o := small(g.Addrs...)
	o.Reads = 1
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, r.Requests, r.Missing)
}

func TestLeaderThatStopsIsNotTheEnd(t *testing.T) {
	g := inproc.Start(t, 3)
	o := small(g.Addrs...)
	o.Requests, o.Warmup, o.Pipeline = 20_000, 0, 1
	type outcome struct {
		r   Report
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := Run(context.Background(), o)
		done <- outcome{r, err}
	}()
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.Eventually(t, func() bool {
		for n := range 10 {
			if _, found, err := c.Get(t.Context(), string(putKey(nil, n))); err == nil && found {
				return true
			}
		}
		return false
	}, 30*time.Second, time.Millisecond, "the load has begun")
	g.Stop(g.Leader())

	end := <-done
	require.NoError(t, end.err)
	assert.Equal(t, o.Requests, end.r.Requests+end.r.Failed(), "every request is accounted for")
	assert.Greater(t, end.r.Requests, o.Requests*9/10, "clients go on with the next leader: %v", end.r.Errors)
	assert.Positive(t, end.r.Redirected+end.r.Failed())
}

// serve answers each command with the next of some replies, over and over.
func serve(t *testing.T, replies ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := resp.NewCommandReader(conn, resp.Options{})
				for i := 0; ; i++ {
					args, err := in.ReadCommand()
					if err != nil {
						return
					}
					reply := replies[i%len(replies)]
					if len(args) == 2 {
						reply = "$-1\r\n"
					}
					if reply == "" {
						return // hangs up
					}
					if _, err := conn.Write([]byte(reply)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestErrorsAreCountedByTheirWord(t *testing.T) {
	o := small(serve(t, "+OK\r\n", "-MISCONF the disk is full\r\n", "+OK\r\n", ":1\r\n"))
	o.Warmup = 0
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.EqualValues(t, 1000, r.Requests)
	require.Equal(t, map[string]int64{"MISCONF": 500, "unexpected reply": 500}, r.Errors)
	require.EqualValues(t, 1000, r.Failed())
}

func TestLostConnectionsAreCounted(t *testing.T) {
	o := small(serve(t, "+OK\r\n", "+OK\r\n", ""))
	o.Warmup, o.Requests, o.Clients = 0, 40, 1
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.EqualValues(t, 20, r.Requests)
	require.Equal(t, map[string]int64{lostWord: 20}, r.Errors)
}

func TestNoAnswerAtAllIsAnError(t *testing.T) {
	o := small(serve(t, "-ERR no\r\n"))
	_, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "no request was answered")
	require.ErrorContains(t, err, "ERR")
}

func TestFillThatFailsIsAnError(t *testing.T) {
	o := small(serve(t, "+OK\r\n", "-MISCONF no\r\n"))
	o.Fill, o.Keys = true, 400
	_, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "200 keys may not be set")
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = Run(t.Context(), small(l.Addr().String()))
	require.ErrorContains(t, err, l.Addr().String())
}

func TestEtcdIsFilledAndLoaded(t *testing.T) {
	config := embed.NewConfig()
	config.Dir, config.LogLevel = t.TempDir(), "fatal"
	socket := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenClientUrls, config.ListenPeerUrls = []url.URL{socket}, []url.URL{socket}
	server, err := embed.StartEtcd(config)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		require.Fail(t, "etcd is not ready")
	}

	o := small(server.Clients[0].Addr().String())
	o.Etcd, o.Clients, o.Pipeline, o.Keys, o.Requests = true, 25, 1, 100, 200
	fill := o
	fill.Fill = true
	r, err := Run(t.Context(), fill)
	require.NoError(t, err)
	require.EqualValues(t, o.Keys, r.Requests)
	o.Reads = 0.5
	r, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, r.Errors)
	require.Equal(t, o.Requests, r.Requests)
	require.Zero(t, r.Missing)
	require.Equal(t, 1, r.Conns)
	requireOrder(t, *r.ReadLatency)
	requireOrder(t, *r.WriteLatency)

	o.Keys, o.Reads, o.Conns = 1_000_000_000, 1, 3
	r, err = Run(t.Context(), o)
	require.NoError(t, err)
	require.Positive(t, r.Missing)
	require.Equal(t, 3, r.Conns)
}
