package client_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/tests/inproc"
)

// TestTransactionsCountExactly: goroutines read a counter and set it to one more, while
// leaders stop. Every one that was told so has done it.
func TestTransactionsCountExactly(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 3)
	c := open(t, g.Addrs...)
	ctx := patiently(t)
	const goroutines, each = 6, 20
	count := func() bool {
		txn, err := c.Watch(ctx, "{n}counter")
		require.NoError(t, err)
		value, _, err := c.Get(ctx, "{n}counter")
		require.NoError(t, err)
		n, _ := strconv.Atoi(string(value))
		txn.Do(client.Update("SET", "{n}counter", strconv.Itoa(n+1)))
		txn.Do(client.Update("APPEND", "{n}log", "x"))
		txn.Do(client.Query("GET", "{n}counter"))
		replies, executed, err := txn.Exec(ctx)
		require.NoError(t, err)
		if executed {
			require.Len(t, replies, 3)
			require.Equal(t, strconv.Itoa(n+1), string(replies[2].Str))
			require.EqualValues(t, n+1, replies[1].Int)
		}
		return executed
	}
	var working sync.WaitGroup
	for range goroutines {
		working.Go(func() {
			for done := 0; done < each; {
				if count() {
					done++
				}
			}
		})
	}
	for range 2 {
		leader := g.Leader()
		g.Stop(leader)
		g.Leader()
		g.Run(leader)
		g.AwaitReady()
	}
	working.Wait()
	value, _, err := c.Get(ctx, "{n}counter")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(goroutines*each), string(value))
}

func TestWhatATransactionTellsOfItsCommands(t *testing.T) {
	t.Parallel()
	g := inproc.Start(t, 1)
	c := open(t, g.Addrs...)
	ctx := patiently(t)
	txn, err := c.Watch(ctx)
	require.NoError(t, err)
	txn.Do(client.Update("SET", "k", "abc"))
	txn.Do(client.Update("INCR", "k"))
	txn.Do(client.Query("GET", "k"))
	replies, executed, err := txn.Exec(ctx)
	require.NoError(t, err)
	require.True(t, executed)
	require.ErrorContains(t, replies[1].Err(), "not an integer")
	require.Equal(t, "abc", string(replies[2].Str), "the others are executed all the same")

	// Reads alone see one moment.
	txn, err = c.Watch(ctx, "k")
	require.NoError(t, err)
	txn.Do(client.Query("GET", "k"))
	txn.Do(client.Query("EXISTS", "k"))
	replies, executed, err = txn.Exec(ctx)
	require.NoError(t, err)
	require.True(t, executed)
	require.EqualValues(t, 1, replies[1].Int)

	require.NoError(t, c.Put(ctx, "k", []byte("changed")))
	_, executed, err = txn.Exec(ctx)
	require.NoError(t, err)
	require.False(t, executed)

	for want, cmds := range map[string][]client.Command{
		"needs a key":                  nil,
		"have to be in one shard":      {client.Update("SET", "a", "1"), client.Update("SET", "b", "1")},
		"must not be sent as a read":   {client.Query("SET", "a", "1")},
		"DISKV.EXEC cannot be sent as": {client.Update("DISKV.EXEC", "a", "0")},
		"SCAN is not allowed":          {client.Query("GET", "a"), {Args: [][]byte{[]byte("SCAN"), []byte("0")}}},
	} {
		txn, err := c.Watch(ctx)
		require.NoError(t, err)
		for _, cmd := range cmds {
			txn.Do(cmd)
		}
		_, _, err = txn.Exec(ctx)
		require.ErrorContains(t, err, want)
	}
	_, err = c.Watch(ctx, "a", "b")
	require.ErrorContains(t, err, "CROSSSLOT")
}
