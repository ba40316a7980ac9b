package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/internal/resp"
	"diskv/shard"
)

func openMaster(tb testing.TB, addrs ...string) *client.Shardmaster {
	tb.Helper()
	s, err := client.OpenShardmaster(patiently(tb), addrs...)
	require.NoError(tb, err)
	tb.Cleanup(s.Close)
	return s
}

func TestShardmasterCommands(t *testing.T) {
	t.Parallel()
	config := &shard.Config{Num: 3, Groups: []shard.Group{{ID: 1, Servers: []string{"a:1"}}}}
	leader := newFake(t, func(_ int, args []string) action {
		switch args[1] {
		case "QUERY":
			if len(args) == 3 {
				return fails("NOTYET config 9 is not made yet")
			}
			return action{reply: string(resp.AppendBulk(nil, config.Append(nil)))}
		case "GROUPS":
			return says("*2\r\n*6\r\n:1\r\n$6\r\nmember\r\n:1\r\n:3\r\n:0\r\n$3\r\na:1\r\n*6\r\n:2\r\n$7\r\nleaving\r\n:2\r\n:2\r\n:1\r\n$3\r\nb:1")
		}
		return says(":4")
	})
	follower := newFake(t, replies(fails("MOVED 0 "+leader.addr)))
	s := openMaster(t, "unix:/nonexistent/s", follower.addr)
	ctx := patiently(t)
	for _, change := range []func() (uint64, error){
		func() (uint64, error) { return s.Join(ctx, 7, []string{"a:1", "unix:/b"}) },
		func() (uint64, error) { return s.Leave(ctx, 7) },
		func() (uint64, error) { return s.Move(ctx, shard.Range{First: 5, Last: 9}, 7) },
		func() (uint64, error) { return s.Move(ctx, shard.Range{First: 5, Last: 5}, 7) },
		func() (uint64, error) { return s.If(3).Balance(ctx) },
	} {
		num, err := change()
		require.NoError(t, err)
		require.EqualValues(t, 4, num)
	}
	got, err := s.Newest(ctx)
	require.NoError(t, err)
	require.Equal(t, config, got)
	_, err = s.Query(ctx, 9)
	require.ErrorIs(t, err, client.ErrorReply("NOTYET config 9 is not made yet"))
	groups, err := s.Groups(ctx)
	require.NoError(t, err)
	require.Equal(t, []client.GroupState{
		{ID: 1, Joined: 1, Settled: 3, Servers: []string{"a:1"}},
		{ID: 2, Leaving: true, Joined: 2, Settled: 2, Drained: true, Servers: []string{"b:1"}},
	}, groups)
	var lines []string
	for _, c := range leader.commands() {
		lines = append(lines, strings.Join(c[1:], " "))
	}
	require.Equal(t, []string{
		"JOIN 7 a:1 unix:/b", "LEAVE 7", "MOVE 5-9 7", "MOVE 5 7", "BALANCE IF 3", "QUERY", "QUERY 9", "GROUPS",
	}, lines)
}

func TestShardmasterErrors(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(fails("CONFIGCHANGED x")))
	_, err := openMaster(t, f.addr).If(3).Leave(patiently(t), 1)
	require.ErrorIs(t, err, client.ErrConfigChanged)
	require.NotErrorIs(t, err, client.ErrUnknownOutcome)

	f = newFake(t, replies(lost, fails("CONFIGCHANGED x")))
	_, err = openMaster(t, f.addr).If(3).Leave(patiently(t), 1)
	require.ErrorIs(t, err, client.ErrUnknownOutcome, "it may be the change itself that changed it")

	f = newFake(t, replies(fails("ERR unknown group 9")))
	_, err = openMaster(t, f.addr).Leave(patiently(t), 9)
	require.ErrorIs(t, err, client.ErrorReply("ERR unknown group 9"))

	f = newFake(t, replies(fails("CLUSTERDOWN no leader")))
	_, err = openMaster(t, f.addr).Newest(briefly(t))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	_, err = client.OpenShardmaster(patiently(t), "unix:/nonexistent/s")
	require.ErrorContains(t, err, "no member answers: unix:/nonexistent/s: dial")
}
