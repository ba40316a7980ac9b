package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/inproc"
)

// healthy returns the status of a cluster of which nothing needs attention, when it says so:
// a member that a busy machine gives no time is not ready for a moment.
func healthy(t *testing.T, do func(args ...string) outcome) (got outcome) {
	t.Helper()
	require.Eventually(t, func() bool {
		got = do("status")
		return got.status == exitOK
	}, patience, 10*time.Millisecond)
	return got
}

func TestStatusOfAPlainGroup(t *testing.T) {
	g := inproc.StartSteady(t, 3)
	leader := g.Leader()
	do := at(t, g.Addrs[leader])
	require.Equal(t, exitOK, do("set", "k", "v").status)
	got := healthy(t, do)
	require.Contains(t, got.stdout, "group 1: 16384 shards, up, can lose 1 more\n")
	require.Contains(t, got.stdout, "next: nothing to do\n")
	s := parse[clusterStatus](t, do("status", "--json"))
	require.True(t, s.Healthy)
	require.Nil(t, s.Config)
	require.Len(t, s.Groups, 1)
	require.Equal(t, "plain", s.Groups[0].Standing)
	for i, m := range s.Groups[0].Members {
		require.Equal(t, g.Addrs[i], m.Address)
		require.True(t, m.Ready)
		require.Equal(t, i == leader, m.Role == "leader", m.Role)
		if i == leader {
			require.NotZero(t, m.Slot)
		}
	}

	down := (leader + 1) % 3
	g.Stop(down)
	got = do("status")
	require.Equal(t, exitUnhealthy, got.status)
	require.Empty(t, got.stderr)
	require.Contains(t, got.stdout, "up, can lose 0 more\n")
	require.Contains(t, got.stdout, "unreachable")
	require.Contains(t, got.stdout, "next: start member ")
	require.Contains(t, got.stdout, " of group 1 at "+g.Addrs[down]+", or see why it cannot be reached: ")
}

func TestStatusOfAGroupThatHasNotFormed(t *testing.T) {
	g := inproc.New(t, 3)
	g.Run(0)
	g.Run(1)
	do := at(t, g.Addrs[0])
	require.Contains(t, do("status").stdout, "next: start member 2 of group 1 at "+g.Addrs[2])

	forming := groupStatus{Group: 1, Members: []memberStatus{{Role: "forming", Address: "a:1", Problem: "the group has not formed"}, {Role: "forming"}, {Role: "forming"}}}
	require.Equal(t, "group 1 has no leader: member 0 at a:1: the group has not formed", forming.stopped())
}

func TestStatusOfAGroupThatHasStopped(t *testing.T) {
	g := inproc.Start(t, 3)
	do := at(t, g.Addrs[0])
	require.Equal(t, exitOK, do("set", "k", "v").status)
	for _, i := range []int{1, 2} {
		g.Stop(i)
		require.NoError(t, os.RemoveAll(g.Options[i].Dir))
	}
	g.Run(1)
	g.Run(2)
	var s clusterStatus
	require.Eventually(t, func() bool {
		s = parse[clusterStatus](t, do("status", "--json"))
		return s.Groups[0].Members[1].Role == "recovering" && s.Groups[0].Members[2].Role == "recovering"
	}, patience, 10*time.Millisecond)
	require.False(t, s.Groups[0].Serves)
	require.Contains(t, s.Next, "group 1 has stopped, and does not go on by itself: members 1, 2 lost their disks")
	require.Contains(t, s.Next, "docs/operations.md, A lost disk")
	got := do("get", "k", "--timeout", "500ms")
	require.Equal(t, exitFailure, got.status)
	require.Contains(t, got.stderr, "nothing decided within 500ms (--timeout)")
}

// TestStatusOfAMemberThatTheLeaderDoesNotHear: it follows, and says that it is ready, but
// nothing that it accepts counts.
func TestStatusOfAMemberThatTheLeaderDoesNotHear(t *testing.T) {
	g := inproc.StartSteady(t, 3)
	leader := g.Leader()
	mute := (leader + 1) % 3
	g.Stop(mute)
	peers := g.Options[mute].Peers
	other := 3 - leader - mute
	peers[leader], peers[other] = peers[other], peers[leader]
	g.Run(mute)
	do := at(t, g.Addrs[leader])
	var s clusterStatus
	require.Eventually(t, func() bool {
		s = parse[clusterStatus](t, do("status", "--json"))
		m := s.Groups[0].Members[mute]
		return m.Role == "follower" && strings.Contains(m.Problem, "has not heard it for ")
	}, patience, 50*time.Millisecond)
	require.Equal(t, 0, s.Groups[0].CanLose)
	require.True(t, s.Groups[0].Serves)
	require.False(t, s.Healthy)
	require.Contains(t, s.Next, fmt.Sprintf("member %d of group 1 at %s is not ready: the leader, member %d, has not heard it for ", mute, g.Addrs[mute], leader))
	require.Contains(t, s.Next, "check the order of --peers and --index")
}

func TestStatusOfACluster(t *testing.T) {
	masters := inproc.StartShardmasters(t, 3)
	do := at(t, masters.Addrs[1])
	got := healthy(t, do)
	require.Contains(t, got.stdout, "config 0\n\nshardmasters: up, can lose 1 more\n")
	require.Contains(t, got.stdout, "next: no group has joined yet: diskvctl shard join GROUP ADDRESS...\n")

	one := inproc.StartSharded(t, masters, 1, 3)
	require.Equal(t, exitOK, do(append(append([]string{"shard", "join", "1"}, one.Addrs...), "--wait", "0")...).status)
	healthy(t, do)
	s := parse[clusterStatus](t, at(t, one.Addrs[2])("status", "--json"))
	require.EqualValues(t, 1, *s.Config)
	require.Len(t, s.Groups, 2)
	require.Equal(t, "shardmasters", s.Groups[0].Standing)
	require.Equal(t, 1, s.Groups[0].CanLose)
	require.Equal(t, "member", s.Groups[1].Standing)
	require.Equal(t, 16384, s.Groups[1].Shards)
	require.True(t, s.Healthy)

	one.Stop(0)
	one.Stop(1)
	s = parse[clusterStatus](t, do("status", "--json"))
	require.False(t, s.Healthy)
	require.False(t, s.Groups[1].Serves)
	require.Contains(t, s.Next, "start member 0 of group 1 at "+one.Addrs[0])

	masters.Stop(0)
	masters.Stop(2)
	s = parse[clusterStatus](t, do("status", "--json"))
	require.False(t, s.Healthy)
	require.Contains(t, s.Next, "start member 0 of shardmasters at ")
}
