package client_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/kv"
	"diskv/shard"
	"diskv/tests/appending"
	"diskv/tests/inproc"
)

func open(tb testing.TB, addrs ...string) *client.Client {
	tb.Helper()
	return openWith(tb, client.Options{}, addrs...)
}

func openWith(tb testing.TB, o client.Options, addrs ...string) *client.Client {
	tb.Helper()
	c, err := o.Open(patiently(tb), addrs...)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

func TestCallsOnAGroup(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			g := inproc.Start(t, size)
			ctx := patiently(t)
			c := open(t, g.Addrs[size-1])

			_, ok, err := c.Get(ctx, "k")
			require.NoError(t, err)
			require.False(t, ok)
			require.NoError(t, c.Put(ctx, "k", []byte("v")))
			n, err := c.Append(ctx, "k", []byte("wx"))
			require.NoError(t, err)
			require.EqualValues(t, 3, n)
			value, ok, err := c.Get(ctx, "k")
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, "vwx", string(value))
			was, err := c.Delete(ctx, "k")
			require.NoError(t, err)
			require.True(t, was)
			was, err = c.Delete(ctx, "k")
			require.NoError(t, err)
			require.False(t, was)

			v, err := c.Do(ctx, client.Update("INCRBY", "n", "5"))
			require.NoError(t, err)
			require.EqualValues(t, 5, v.Int)
			v, err = c.Do(ctx, client.Update("SET", "empty", ""))
			require.NoError(t, err)
			require.Equal(t, "OK", string(v.Str))
			value, ok, err = c.Get(ctx, "empty")
			require.NoError(t, err)
			require.True(t, ok)
			require.Empty(t, value)
			v, err = c.Do(ctx, client.Query("PING"))
			require.NoError(t, err)
			require.Equal(t, "PONG", string(v.Str))
			require.Equal(t, 1, c.IdleSessions(), "one write at a time needs one session")

			groups, err := c.Groups(ctx)
			require.NoError(t, err)
			require.Len(t, groups, 1)
			require.Equal(t, g.Addrs[g.Leader()], groups[0].Leader)
			require.ElementsMatch(t, g.Addrs, groups[0].Members)
			require.Equal(t, []shard.Range{{First: 0, Last: shard.Count - 1}}, groups[0].Shards)

			info, err := c.Ask(ctx, g.Addrs[0], "INFO", "diskv")
			require.NoError(t, err)
			require.Contains(t, string(info.Str), "consensus_role:")
		})
	}
}

func TestErrorsOfCommandsAreReturned(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 1)
	ctx := patiently(t)
	c := open(t, g.Addrs...)
	require.NoError(t, c.Put(ctx, "text", []byte("abc")))
	var reply client.ErrorReply
	_, err := c.Do(ctx, client.Update("INCR", "text"))
	require.ErrorAs(t, err, &reply)
	require.Equal(t, "ERR value is not an integer or out of range", reply.Error())
	_, err = c.Do(ctx, client.Update("MSET", "a", "1", "b", "2"))
	require.ErrorAs(t, err, &reply)
	require.Equal(t, "CROSSSLOT", reply.Code())
	_, err = c.Do(ctx, client.Query("NOSUCH", "a"))
	require.ErrorContains(t, err, "ERR unknown command")
	_, err = c.Do(ctx, client.Update("NOSUCH", "a"))
	require.ErrorContains(t, err, "ERR unknown command")

	for want, cmd := range map[string]client.Command{
		"an empty command": {},
		"FLUSHALL: a write without a key cannot be executed exactly once":   client.Update("FLUSHALL"),
		"SET is a write, which must not be sent as a read":                  client.Query("set", "k", "v"),
		"GET: its key is said to be argument 2 of 1":                        {Args: [][]byte{[]byte("GET"), []byte("k")}, Key: 2},
		"DISKV.ONCE cannot be sent as a write: the client has sessions":     client.Update("DISKV.ONCE", "k", "x", "1", "INCR", "k"),
		"DISKV.ONCE is a write, which must not be sent as a read: it might": client.Query("DISKV.ONCE", "k", "x", "1", "INCR", "k"),
	} {
		_, err := c.Do(ctx, cmd)
		require.ErrorContains(t, err, want)
	}
}

func TestTableOfWrites(t *testing.T) {
	t.Parallel()
	var want, have []string
	for _, s := range kv.Commands().All() {
		if s.IsWrite() {
			want = append(want, strings.ToUpper(s.Name))
		}
	}
	for name := range client.Writes {
		have = append(have, name)
	}
	require.ElementsMatch(t, want, have, "a new command that writes belongs into the client's table")
}

func TestScan(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 1)
	ctx := patiently(t)
	c := open(t, g.Addrs...)
	var want []string
	for i := range 2500 {
		key := fmt.Sprintf("key-%d", i)
		want = append(want, key)
	}
	var wg sync.WaitGroup
	for part := range slices.Chunk(want, 100) {
		wg.Go(func() {
			for _, key := range part {
				if err := c.Put(ctx, key, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Put(ctx, "other", nil))
	var have []string
	for key, err := range c.Scan(ctx, "key-*") {
		require.NoError(t, err)
		have = append(have, key)
	}
	require.ElementsMatch(t, want, have)
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	ctx := patiently(t)
	for want, addrs := range map[string][]string{
		"no address: name at least one member":          nil,
		`address "here" is neither host:port`:           {"here"},
		"no member answers: unix:/nonexistent/a: dial":  {"unix:/nonexistent/a", "unix:/nonexistent/b"},
		"unix:/nonexistent/b: dial unix /nonexistent/b": {"unix:/nonexistent/a", "unix:/nonexistent/b"},
	} {
		_, err := client.Open(ctx, addrs...)
		require.ErrorContains(t, err, want)
	}
	g := inproc.Start(t, 1)
	c := open(t, "unix:/nonexistent/a", g.Addrs[0])
	require.NoError(t, c.Put(ctx, "k", nil), "one that answers is enough")
}

// TestEveryAppendIsThereOnce stops the leader again and again under load.
func TestEveryAppendIsThereOnce(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 3)
	ctx := patiently(t)
	c := open(t, g.Addrs...)
	const writers = 8
	load := appending.Start(ctx, t, c, writers)
	for range 3 {
		load.AwaitMore(100)
		leader := g.Leader()
		g.Stop(leader)
		g.Run(leader)
		g.AwaitReady()
	}
	load.Stop()
	load.RequireAllThereOnce()
	require.LessOrEqual(t, c.IdleSessions(), writers)
}

func TestClosedClient(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 1)
	c := open(t, g.Addrs...)
	require.NoError(t, c.Put(patiently(t), "k", nil))
	c.Close()
	c.Close()
	_, _, err := c.Get(context.Background(), "k")
	require.ErrorIs(t, err, client.ErrClosed)
	err = c.Put(context.Background(), "k", nil)
	require.ErrorIs(t, err, client.ErrClosed)
	require.NotErrorIs(t, err, client.ErrUnknownOutcome)
}
