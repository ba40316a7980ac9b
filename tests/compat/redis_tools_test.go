//go:build compat

// Package compat tries real clients on real processes. It needs the programs of
// Debian's redis-tools and so has a build tag of its own: make compat.
package compat

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "diskv-compat-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if binary, err = proc.Build(dir); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// startGroup returns a group of three that is ready, and its leader and a
// follower.
func startGroup(t *testing.T) (leader, follower *proc.Member) {
	t.Helper()
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: 3})
	require.NoError(t, err)
	t.Cleanup(g.Close)
	require.NoError(t, g.Start())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, g.Ready(ctx))
	leader, err = g.Leader(ctx)
	require.NoError(t, err)
	return leader, g.Members[(leader.Index+1)%len(g.Members)]
}

// tool runs one of Redis' programs against a member and returns what it says.
func tool(t *testing.T, m *proc.Member, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(m.Addr)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append([]string{"-h", host, "-p", port}, args...)...)
	out, err := cmd.CombinedOutput()
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
	require.Equal(t, "OK", tool(t, follower, "redis-cli", "-c", "set", "k", "v", "ex", "100"))
	require.NotEqual(t, "-1", tool(t, leader, "redis-cli", "ttl", "k"))
}

func TestRedisBenchmarkRunsClean(t *testing.T) {
	leader, _ := startGroup(t)
	for _, args := range [][]string{
		{"-t", "set,get", "-c", "50", "-n", "20000"},
		{"-t", "set,get", "-c", "50", "-n", "100000", "-P", "16"},
		{"-t", "ping,incr,mset", "-c", "10", "-n", "2000"},
	} {
		out := tool(t, leader, "redis-benchmark", append(args, "--csv")...)
		t.Log(out)
		require.Contains(t, out, "rps")
		for _, bad := range []string{"WARN", "rror"} {
			require.NotContains(t, out, bad, "redis-benchmark %v", args)
		}
	}
}
