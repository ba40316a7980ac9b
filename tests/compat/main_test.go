// Package compat tries the clients that users have on real processes: Debian's
// redis-cli and redis-benchmark, and the Go clients go-redis and valkey-go, on a
// group and on a cluster of several. Each does what its users do first, while the
// shards move and leaders are killed. A real redis-server is what replies are
// compared with. A headless Chromium looks at the status page.
//
// It is a module of its own, so that nobody who builds diskv has the clients'
// libraries among the dependencies: make compat.
package compat

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/shard"
	"diskv/tests/proc"
)

// binary is the diskvd that is tested.
var binary string

func TestMain(m *testing.M) {
	os.Exit(proc.WithBinary(func(built string) int {
		binary = built
		return m.Run()
	}))
}

// patience is how long anything may take that is sure to happen.
const patience = 60 * time.Second

func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startGroup returns a group of three that is ready, and its leader and a
// follower.
func startGroup(t *testing.T, args ...string) (leader, follower *proc.Member) {
	t.Helper()
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: 3, Args: args})
	require.NoError(t, err)
	t.Cleanup(g.Close)
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	leader, err = g.Leader(patiently(t))
	require.NoError(t, err)
	return leader, g.Members[(leader.Index+1)%len(g.Members)]
}

// cluster is two groups of three that have divided the shards between them.
type cluster struct {
	*proc.Cluster
	masters *client.Shardmaster
}

// startCluster returns a cluster of which every member knows who leads which group.
func startCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c, err := proc.NewCluster(proc.ClusterOptions{
		Binary: binary, Dir: t.TempDir(), Shardmasters: 1, Groups: 2, Size: 3, StoreArgs: args,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			for i, g := range c.All() {
				for _, m := range g.Members {
					t.Logf("group %d, member %d:\n%s", i, m.Index, m.Output())
				}
			}
		}
	})
	require.NoError(t, c.Start())
	out := &cluster{Cluster: c}
	require.Eventually(t, func() bool {
		out.masters, err = client.OpenShardmaster(patiently(t), c.Shardmasters.Public...)
		return err == nil
	}, patience, 50*time.Millisecond)
	t.Cleanup(out.masters.Close)
	var config uint64
	for id := range c.Groups {
		config, err = out.masters.Join(patiently(t), shard.GroupID(id+1), c.Groups[id].Public)
		require.NoError(t, err)
	}
	out.settle(t, config)
	out.agree(t)
	return out
}

// settle waits until a config is what the groups serve.
func (c *cluster) settle(t *testing.T, config uint64) {
	t.Helper()
	require.NoError(t, c.Settled(patiently(t), c.masters, config))
}

// agree waits until all members name the leaders of all groups alike: they ask each
// other twice a second.
func (c *cluster) agree(t *testing.T) {
	t.Helper()
	ctx := patiently(t)
	require.Eventually(t, func() bool {
		var want []string
		for _, g := range c.Groups {
			leader, err := g.Leader(ctx)
			if err != nil {
				return false
			}
			want = append(want, leader.Addr)
		}
		for _, m := range c.members() {
			var got []string
			for _, line := range clusterNodes(m) {
				if strings.Contains(line.flags, "master") && len(line.shards) > 0 {
					got = append(got, line.addr)
				}
			}
			if !slices.Equal(got, want) {
				return false
			}
		}
		return true
	}, patience, 50*time.Millisecond, "all members name the leaders")
}

// members returns those of all groups of the store.
func (c *cluster) members() []*proc.Member {
	var all []*proc.Member
	for _, g := range c.Groups {
		all = append(all, g.Members...)
	}
	return all
}

// addrs returns the addresses of all members.
func (c *cluster) addrs() []string {
	var all []string
	for _, g := range c.Groups {
		all = append(all, g.Public...)
	}
	return all
}

// nodeLine is a line of CLUSTER NODES.
type nodeLine struct {
	addr, flags string
	shards      []string
}

// clusterNodes returns what a member says of the cluster; nothing if it does not
// answer.
func clusterNodes(m *proc.Member) []nodeLine {
	conn, err := m.Dial()
	if err != nil {
		return nil
	}
	defer conn.Close()
	v, err := conn.Do("CLUSTER", "NODES")
	if err != nil {
		return nil
	}
	var lines []nodeLine
	for line := range strings.Lines(string(v.Str)) {
		f := strings.Fields(line)
		addr, _, _ := strings.Cut(f[1], "@")
		lines = append(lines, nodeLine{addr: addr, flags: f[2], shards: f[8:]})
	}
	return lines
}

// keysOf returns keys of both groups, one after the other.
func keysOf(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = prefix + strconv.Itoa(i)
	}
	return keys
}

// owners returns how many of the keys each group has by the newest config.
func (c *cluster) owners(t *testing.T, keys []string) map[shard.GroupID]int {
	t.Helper()
	config, err := c.masters.Newest(patiently(t))
	require.NoError(t, err)
	n := make(map[shard.GroupID]int)
	for _, key := range keys {
		n[config.Owner[shard.Of([]byte(key))]]++
	}
	return n
}
