package compat

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// tool runs one of Redis' programs against a member and returns what it says.
func tool(t *testing.T, m *proc.Member, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(m.Addr)
	require.NoError(t, err)
	return program(t, name, append([]string{"-h", host, "-p", port}, args...)...)
}

// program runs one of Redis' programs and returns what it says.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return strings.TrimSpace(string(out))
}

func TestRedisCLI(t *testing.T) {
	leader, follower := startGroup(t)
	require.Equal(t, "PONG", tool(t, follower, "redis-cli", "ping"))
	require.Equal(t, "OK", tool(t, leader, "redis-cli", "set", "greeting", "hello"))
	require.Equal(t, "hello", tool(t, follower, "redis-cli", "-c", "get", "greeting"), "redirected")
	require.Contains(t, tool(t, follower, "redis-cli", "get", "greeting"), "MOVED")
	require.Equal(t, "10", tool(t, leader, "redis-cli", "append", "greeting", "world"))
	require.Equal(t, "helloworld", tool(t, leader, "redis-cli", "-3", "get", "greeting"), "RESP3")
	require.Equal(t, "greeting", tool(t, leader, "redis-cli", "--scan"))
	require.Contains(t, tool(t, leader, "redis-cli", "info"), "redis_version")
	id := tool(t, leader, "redis-cli", "diskv.session")
	for range 2 {
		require.Equal(t, "11", tool(t, leader, "redis-cli", "diskv.once", "greeting", id, "1", "append", "greeting", "!"))
	}
	require.Equal(t, "OK", tool(t, leader, "redis-cli", "mset", "{r}1", "a", "{r}2", "b", "{r}3", "c"))
	require.Equal(t, "{r}3\n{r}1\na\n{r}2\nb", tool(t, follower, "redis-cli", "-c", "diskv.range", "{r}", "{r}~", "limit", "2"))
	require.Equal(t, "OK", tool(t, follower, "redis-cli", "-c", "set", "k", "v", "ex", "100"))
	require.NotEqual(t, "-1", tool(t, leader, "redis-cli", "ttl", "k"))
	requireChecked(t, leader)

	// A transaction as one types it.
	host, port, err := net.SplitHostPort(leader.Addr)
	require.NoError(t, err)
	typed := exec.CommandContext(patiently(t), "redis-cli", "-h", host, "-p", port)
	typed.Stdin = strings.NewReader("watch n\nmulti\nincr n\nget n\nexec\nwatch n\nincr n\nmulti\nget n\nexec\n")
	out, err := typed.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "OK\nOK\nQUEUED\nQUEUED\n1\n1\nOK\n2\nOK\nQUEUED\n\n", string(out))
}

func TestRedisBenchmarkRunsClean(t *testing.T) {
	leader, _ := startGroup(t)
	for _, args := range [][]string{
		{"-t", "set,get", "-c", "50", "-n", "20000"},
		{"-t", "set,get", "-c", "50", "-n", "100000", "-P", "16"},
		{"-t", "ping,incr,mset", "-c", "10", "-n", "2000"},
	} {
		requireCleanBenchmark(t, leader, args...)
	}
}

func TestRedisToolsOnACluster(t *testing.T) {
	c := startCluster(t)
	all := c.members()
	first, last := all[0], all[len(all)-1]

	t.Run("redis-cli -c", func(t *testing.T) {
		keys := keysOf("cli:", 20)
		require.Len(t, c.owners(t, keys), 2, "the keys are in both groups")
		for i, key := range keys {
			require.Equal(t, "OK", tool(t, all[i%len(all)], "redis-cli", "-c", "set", key, "value of "+key))
		}
		for i, key := range keys {
			require.Equal(t, "value of "+key, tool(t, all[(i+1)%len(all)], "redis-cli", "-c", "get", key))
		}
		require.Equal(t, "OK", tool(t, first, "redis-cli", "-c", "mset", "{tag}1", "a", "{tag}2", "b"))
		require.Equal(t, "a\nb", tool(t, last, "redis-cli", "-c", "mget", "{tag}1", "{tag}2"))
		require.Contains(t, tool(t, first, "redis-cli", "-c", "mget", "a", "b"), "CROSSSLOT")
	})

	t.Run("redis-cli --cluster", func(t *testing.T) {
		for _, m := range []*proc.Member{first, last} {
			requireChecked(t, m)
			out := program(t, "redis-cli", "--cluster", "info", m.Addr)
			require.Contains(t, out, "keys in 2 masters.")
			require.Equal(t, 2, strings.Count(out, "8192 slots | 2 slaves."), out)
			for _, group := range []string{"(000001", "(000002"} {
				require.Contains(t, out, group, "the names, of which it shows the beginning, tell groups apart")
			}
		}
		out := program(t, "redis-cli", "--cluster", "call", first.Addr, "ping")
		require.Equal(t, len(all), strings.Count(out, "PONG"), out)
	})

	t.Run("FLUSHALL of all groups", func(t *testing.T) {
		require.Equal(t, "OK", tool(t, first, "redis-cli", "-c", "flushall"), "a follower names the leader")
		out := program(t, "redis-cli", "--cluster", "call", first.Addr, "flushall", "--cluster-only-masters")
		require.Equal(t, 2, strings.Count(out, "OK"), out)
		require.Contains(t, program(t, "redis-cli", "--cluster", "info", last.Addr), "[OK] 0 keys in 2 masters.")
	})

	t.Run("redis-benchmark --cluster", func(t *testing.T) {
		requireCleanBenchmark(t, first, "--cluster", "-t", "set,get,incr", "-c", "20", "-n", "10000", "-r", "10000")
		out := requireCleanBenchmark(t, last, "--cluster", "-t", "set,get,mset", "-c", "20", "-n", "20000", "-P", "16")
		require.NotEmpty(t, out)
	})
}

// requireChecked has redis-cli look for what is wrong with the cluster of a member.
func requireChecked(t *testing.T, m *proc.Member) {
	t.Helper()
	out := program(t, "redis-cli", "--cluster", "check", m.Addr)
	require.Contains(t, out, "[OK] All nodes agree about slots configuration.")
	require.Contains(t, out, "[OK] All 16384 slots covered.")
	for _, bad := range []string{"[ERR]", "[WARNING]", "Could not", "(error)"} {
		require.NotContains(t, out, bad)
	}
}

// requireCleanBenchmark runs redis-benchmark, which must have nothing to complain of.
func requireCleanBenchmark(t *testing.T, m *proc.Member, args ...string) string {
	t.Helper()
	out := tool(t, m, "redis-benchmark", append(args, "--csv")...)
	t.Log(out)
	require.Contains(t, out, "rps")
	for _, bad := range []string{"WARN", "rror"} {
		require.NotContains(t, out, bad, "redis-benchmark %v", args)
	}
	return out
}
