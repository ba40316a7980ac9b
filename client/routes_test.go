package client_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/internal/resp"
	"diskv/shard"
)

// keyIn returns a key whose shard is in a range.
func keyIn(first, last shard.ID) string {
	for i := 0; ; i++ {
		key := fmt.Sprint("key-", i)
		if id := shard.Of([]byte(key)); first <= id && id <= last {
			return key
		}
	}
}

// twoGroups returns two members, each of a group of its own that owns half of the
// shards.
func twoGroups(t *testing.T) (low, high *fake) {
	t.Helper()
	low, high = newFake(t, replies(ok)), newFake(t, replies(ok))
	halves := []slots{{0, 8191, []string{low.addr}}, {8192, 16383, []string{high.addr}}}
	low.slots, high.slots = halves, halves
	return low, high
}

func TestCommandsGoToTheGroupOfTheirShard(t *testing.T) {
	t.Parallel()
	low, high := twoGroups(t)
	c := open(t, high.addr)
	ctx := patiently(t)
	require.NoError(t, c.Put(ctx, keyIn(0, 8191), nil))
	require.NoError(t, c.Put(ctx, keyIn(8192, 16383), nil))
	require.NoError(t, c.Put(ctx, keyIn(0, 8191), nil))
	require.Equal(t, 1, low.sessions()+high.sessions(), "a session is good for every group")
	require.Equal(t, []string{"session-1#1", "session-1#3"}, numbers(low))
	require.Equal(t, []string{"session-1#2"}, numbers(high))
	groups, err := c.Groups(ctx)
	require.NoError(t, err)
	require.Equal(t, []client.Group{
		{Leader: low.addr, Members: []string{low.addr}, Shards: []shard.Range{{First: 0, Last: 8191}}},
		{Leader: high.addr, Members: []string{high.addr}, Shards: []shard.Range{{First: 8192, Last: 16383}}},
	}, groups)
}

// TestShardThatMoves: the copy whose reply was lost, and the one at the next owner,
// have one number.
func TestShardThatMoves(t *testing.T) {
	t.Parallel()
	low, high := twoGroups(t)
	key := keyIn(0, 8191)
	low.script = replies(lost, fails(fmt.Sprintf("MOVED %d %s", shard.Of([]byte(key)), high.addr)))
	high.script = replies(fails("TRYAGAIN shard is on its way"), ok)
	c := open(t, low.addr)
	require.NoError(t, c.Put(patiently(t), key, nil))
	require.Equal(t, []string{"session-1#1", "session-1#1"}, numbers(low)[:2])
	require.Equal(t, []string{"session-1#1"}, slices.Compact(append(numbers(low), numbers(high)...)))
}

// TestShardOnItsWayHoldsUpNoOther: a member makes commands on it wait, and with
// them what stands behind on the same connection.
func TestShardOnItsWayHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	low, high := twoGroups(t)
	moving, other := keyIn(0, 8191), keyIn(8192, 16383)
	release := make(chan struct{})
	low.script = replies(fails(fmt.Sprintf("MOVED %d %s", shard.Of([]byte(moving)), high.addr)))
	high.script = func(_ int, args []string) action {
		if args[len(args)-1] == moving || args[1] == moving {
			return action{reply: "+OK\r\n", after: release}
		}
		return ok
	}
	c := openWith(t, client.Options{Connections: 1}, low.addr)
	done := make(chan error, 1)
	go func() { done <- c.Put(patiently(t), moving, nil) }()
	require.Eventually(t, func() bool { return len(high.commands()) == 1 }, patience, time.Millisecond)
	for range 3 {
		require.NoError(t, c.Put(patiently(t), other, nil))
	}
	close(release)
	require.NoError(t, <-done)
}

// TestOthersKnowALeaderLessWell: a member of another group names a leader of long
// ago, and is not believed.
func TestOthersKnowALeaderLessWell(t *testing.T) {
	t.Parallel()
	low, high := twoGroups(t)
	third := newFake(t, replies(ok))
	halves := []slots{{0, 8191, []string{low.addr, third.addr}}, {8192, 16383, []string{high.addr}}}
	low.slots, high.slots = halves, halves
	third.slots = []slots{{0, 8191, []string{third.addr, low.addr}}, {8192, 16383, []string{high.addr}}}
	low.script = replies(fails("MOVED 0 " + third.addr))
	c := open(t, high.addr)
	key := keyIn(0, 8191)
	require.NoError(t, c.Put(patiently(t), key, nil))
	for range 5 {
		_, err := c.Groups(patiently(t)) // whoever is asked
		require.NoError(t, err)
		low.change(func() { low.slots = third.slots })
	}
	require.NoError(t, c.Put(patiently(t), key, nil))
	require.Len(t, third.commands(), 2)
}

func TestParseSlots(t *testing.T) {
	t.Parallel()
	entry := func(host string, port int64) client.Value {
		return client.Value{Kind: resp.KindArray, Elems: []client.Value{{
			Kind: resp.KindArray, Elems: []client.Value{
				{Kind: resp.KindInt, Int: 0}, {Kind: resp.KindInt, Int: 16383},
				{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindBulk, Str: []byte(host)}, {Kind: resp.KindInt, Int: port}}},
			},
		}}}
	}
	for _, tc := range []struct {
		host  string
		port  int64
		asked string
		want  string
	}{
		{"10.0.0.1", 7379, "a:1", "10.0.0.1:7379"},
		{"::1", 7379, "a:1", "[::1]:7379"},
		{"unix:/s", 0, "a:1", "unix:/s"},
		{"", 7379, "a:1", "a:7379"},
		{"0.0.0.0", 7379, "a:1", "a:7379"},
		{"::", 7379, "[fe80::1]:2", "[fe80::1]:7379"},
		{"0.0.0.0", 7379, "unix:/s", "0.0.0.0:7379"},
	} {
		got, err := client.ParseSlots(entry(tc.host, tc.port), tc.asked)
		require.NoError(t, err)
		require.Equal(t, []string{tc.want}, got)
	}
	for _, bad := range []client.Value{
		{Kind: resp.KindInt},
		{Kind: resp.KindError, Str: []byte("ERR x")},
		{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindInt}}},
		{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindArray}}},
		{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindInt, Int: 5}, {Kind: resp.KindInt, Int: 4}, {Kind: resp.KindArray}}}}},
		{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindInt, Int: 5}, {Kind: resp.KindInt, Int: 16384}, {Kind: resp.KindArray}}}}},
		{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindArray, Elems: []client.Value{{Kind: resp.KindInt, Int: 5}, {Kind: resp.KindInt, Int: 6}, {Kind: resp.KindArray}}}}},
	} {
		_, err := client.ParseSlots(bad, "a:1")
		require.Error(t, err)
	}
}
