package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/shard"
	"diskv/tests/inproc"
)

func TestShardVerbs(t *testing.T) {
	masters := inproc.StartShardmasters(t, 3)
	one, two := inproc.StartSharded(t, masters, 1, 3), inproc.StartSharded(t, masters, 2, 1)
	do := at(t, masters.Addrs[0])
	join := func(id string, g *inproc.Group, more ...string) []string {
		return append(append([]string{"shard", "join", id}, g.Addrs...), more...)
	}

	require.Equal(t, "config 0\nGROUP   SHARDS  RANGES  SERVERS\nnobody  16384   0-16383\n", do("shard", "query").stdout)
	got := do(join("1", one, "--dry-run")...)
	require.Equal(t, outcome{exitOK, "FROM    TO       SHARDS  RANGES\nnobody  group 1  16384   0-16383\n" +
		"this would be config 1, with 1 group; nothing was changed\n", ""}, got)
	require.EqualValues(t, 0, parse[configJSON](t, do("shard", "query", "--json")).Config)

	got = do(join("1", one, "--wait", "0")...)
	require.Equal(t, exitOK, got.status, got.stderr)
	require.Contains(t, got.stdout, "config 1 is made\n")
	require.Equal(t, outcome{exitOK, "nothing to do: config 1 has it so already\n", ""}, do(join("1", one, "--wait", "0")...))
	require.Equal(t, outcome{exitOK, "nothing to do: config 1 has it so already\n", ""},
		do("shard", "join", "1", strings.Join(one.Addrs, ","), "--wait", "0"), "written as --peers is")

	byMember := at(t, one.Addrs[1]) // members of groups know the shardmasters
	made := parse[changeJSON](t, byMember(join("2", two, "--wait", "0", "--json")...))
	require.Equal(t, changeJSON{
		Before: 1, Config: 2, Moves: []move{{From: 1, To: 2, Shards: 8192, Ranges: []string{"8192-16383"}}},
	}, made)
	config := parse[configJSON](t, do("shard", "query", "--json"))
	require.Equal(t, configJSON{Config: 2, Groups: []groupJSON{
		{1, 8192, []string{"0-8191"}, one.Addrs}, {2, 8192, []string{"8192-16383"}, two.Addrs},
	}}, config)

	moved := parse[changeJSON](t, do("shard", "move", "10-12", "2", "--wait", "0", "--json"))
	require.Equal(t, []move{{From: 1, To: 2, Shards: 3, Ranges: []string{"10-12"}}}, moved.Moves)
	require.Contains(t, do("shard", "query").stdout, "1      8189    0-9 13-8191  ")
	balanced := parse[changeJSON](t, do("shard", "balance", "--dry-run", "--json"))
	require.Len(t, balanced.Moves, 1)
	require.Equal(t, 3, balanced.Moves[0].Shards)
	require.True(t, balanced.DryRun)
	left := parse[changeJSON](t, do("shard", "leave", "2", "--dry-run", "--json"))
	require.Equal(t, 8195, left.Moves[0].Shards)

	require.Equal(t, uint64(3), parse[configJSON](t, do("shard", "query", "3", "--json")).Config)
	got = do("shard", "query", "99")
	require.Equal(t, exitNotFound, got.status)
	require.Contains(t, got.stderr, "config 99: not found: NOTYET the newest config is 3")

	got = do("__complete", "shard", "leave", "")
	require.Contains(t, got.stdout, "1\t8189 shards\n2\t8195 shards\n")
	got = do("__complete", "shard", "move", "1", "")
	require.Contains(t, got.stdout, "1\t8189 shards\n")
}

func TestWhatCannotWorkIsRefusedAtOnce(t *testing.T) {
	masters := inproc.StartShardmasters(t, 1)
	one, two := inproc.StartSharded(t, masters, 1, 3), inproc.StartSharded(t, masters, 2, 3)
	plain := inproc.Start(t, 1)
	do := at(t, masters.Addrs...)
	refused := func(want string, args ...string) {
		t.Helper()
		got := do(append(args, "--wait", "0")...)
		require.Equal(t, exitFailure, got.status, got.stdout)
		require.Contains(t, got.stderr, want)
	}
	join := func(id string, addrs ...string) []string { return append([]string{"shard", "join", id}, addrs...) }

	refused("ERR there is no group yet", "shard", "balance")
	refused("group 1 is not in config 0, which has no groups: join one first", "shard", "leave", "1")
	refused("group 9 is not up, so no shard could move: 0 of its 1 member are ready, 1 are needed: unix:/nonexistent/x: dial", join("9", "unix:/nonexistent/x")...)
	refused("is a member of group 1, not of group 7", join("7", one.Addrs...)...)
	refused("says that group 1 has 3 members, not 1: name all of them", join("1", one.Addrs[0])...)
	refused("is member 1 of its group, not 0: name them in the order of --peers", join("1", one.Addrs[1], one.Addrs[0], one.Addrs[2])...)
	refused("is a member of a plain group: start it with --shardmasters "+masters.Addrs[0], join("1", plain.Addrs...)...)
	refused("is a member of a shardmaster group", join("1", masters.Addrs...)...)
	require.Equal(t, exitOK, do(append(join("1", one.Addrs...), "--wait", "0")...).status)
	refused("group 1 is the last one: nobody could take its shards", "shard", "leave", "1")
	refused("group 5 is not in config 1: there are 1", "shard", "move", "0", "5")

	// A minority may be down, a majority not.
	two.Stop(0)
	require.Equal(t, exitOK, do(append(join("2", two.Addrs...), "--wait", "0")...).status)
	two.Stop(1)
	refused("group 2 is not up, so no shard could move: ", "shard", "move", "0", "2")
	refused("group 2 is not up, so no shard could move: ", "shard", "leave", "2")
	require.Equal(t, exitOK, do("shard", "move", "0", "2", "--force", "--wait", "0").status)

	got := at(t, plain.Addrs...)("shard", "query")
	require.Equal(t, exitFailure, got.status)
	require.Contains(t, got.stderr, "this group has no shardmasters: it owns every shard")
}

func TestMovesBetween(t *testing.T) {
	before, after := &shard.Config{Num: 1}, &shard.Config{Num: 2}
	for i := range before.Owner {
		before.Owner[i] = 1
	}
	after.Owner = before.Owner
	require.Empty(t, movesBetween(before, after))
	after.Owner[0], after.Owner[1], after.Owner[5], after.Owner[16383] = 2, 2, 2, 3
	require.Equal(t, []move{
		{From: 1, To: 2, Shards: 3, Ranges: []string{"0-1", "5"}}, {From: 1, To: 3, Shards: 1, Ranges: []string{"16383"}},
	}, movesBetween(before, after))
	require.Equal(t, "0 2 4 6 and 1 more", briefTexts(strings.Fields("0 2 4 6 8")))
}

func TestMovesAreWaitedFor(t *testing.T) {
	masters := inproc.StartShardmasters(t, 1)
	one, two := inproc.StartSharded(t, masters, 1, 1), inproc.StartSharded(t, masters, 2, 1)
	do := at(t, masters.Addrs...)
	join := func(id string, g *inproc.Group) []string {
		return append([]string{"shard", "join", id}, g.Addrs...)
	}
	got := do(join("1", one)...)
	require.Equal(t, exitOK, got.status, got.stderr)
	require.Contains(t, got.stdout, "config 1 is made, and every shard is where it belongs\n")
	for i := range 100 {
		require.Equal(t, exitOK, do("set", "key-"+strconv.Itoa(i), "v").status)
	}
	made := parse[changeJSON](t, do(append(join("2", two), "--json")...))
	require.True(t, made.Settled)
	require.Len(t, strings.Fields(do("scan").stdout), 100)
	s := parse[clusterStatus](t, do("status", "--json"))
	require.True(t, s.Healthy)
	require.Equal(t, "nothing to do", s.Next)
	require.EqualValues(t, 2, *s.Groups[1].Settled)

	got = do("shard", "leave", "1")
	require.Equal(t, exitOK, got.status, got.stderr)
	require.Contains(t, got.stdout, "config 3 is made; group 1 is drained: its processes can be stopped\n")
	one.Stop(0)
	require.Len(t, strings.Fields(do("scan").stdout), 100)
	require.Equal(t, exitOK, do("get", "key-7").status)
	require.Equal(t, exitOK, do("status").status, "who has left is of no concern")

	// What cannot end is not waited for longer than it is said.
	got = do(append(join("1", one), "--force", "--wait", "300ms")...)
	require.Equal(t, exitUnsettled, got.status)
	require.Regexp(t, `config 4: [01] of 2 groups settled; .*group 1 has not said that it has taken it`, got.stderr)
	require.Contains(t, got.stderr, "diskvctl: config 4: the change is made, but data still moves: ")
	got = do("status")
	require.Equal(t, exitUnhealthy, got.status)
	require.Contains(t, got.stdout, "group 1: 8192 shards, settled up to config 0, DOWN\n")
	one.Run(0)
	require.Eventually(t, func() bool { return do("status").status == exitOK }, patience, 10*time.Millisecond)
	require.Equal(t, exitOK, do("shard", "balance").status)
}
