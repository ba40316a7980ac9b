package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/server"
	"diskv/shard"
)

// asShardmaster makes options those of a shardmaster.
func asShardmaster(o *server.Options) { o.Service, o.Group = paxos.ServiceShardmaster, 0 }

// config returns a config as a shardmaster answers it.
func (c *conn) config(query string) *shard.Config {
	c.t.Helper()
	v, err := c.Do(strings.Fields("DISKV.SHARDS " + query)...)
	require.NoError(c.t, err)
	config, err := shard.DecodeConfig(v.Str)
	require.NoError(c.t, err)
	return config
}

// threeConfigs makes configs of two groups.
func threeConfigs(g *group) {
	g.t.Helper()
	c := g.dial(g.leader())
	require.Equal(g.t, "1", c.do("DISKV.SHARDS JOIN 1 127.0.0.1:7001 127.0.0.1:7002"))
	require.Equal(g.t, "2", c.do("diskv.shards join 2 unix:/run/two if 1"))
	require.Equal(g.t, "3", c.do("DISKV.SHARDS MOVE 0-99 2"))
}

func TestShardmastersAgreeOnConfigs(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, asShardmaster)
	threeConfigs(g)
	leader := g.leader()
	c := g.dial(leader)
	require.Equal(t, "4", c.do("DISKV.SHARDS BALANCE"))
	require.Equal(t, "4", c.do("DISKV.SHARDS BALANCE"), "nothing to do")
	require.Equal(t, "5", c.do("DISKV.SHARDS LEAVE 2"))
	require.Equal(t, "5", c.do("DISKV.SHARDS PASSED 1 5 1"))
	require.Equal(t, "-CONFIGCHANGED the newest config is 5, not 1: look again and decide anew", c.do("DISKV.SHARDS LEAVE 1 IF 1"))
	require.Equal(t, `[[1 "member" 1 5 1 "127.0.0.1:7001" "127.0.0.1:7002"] [2 "leaving" 2 0 0 "unix:/run/two"]]`, c.do("DISKV.SHARDS GROUPS"))
	require.EqualValues(t, 5, c.config("QUERY").Num)

	// A config that a follower has applied is the same for ever.
	follower := g.dial(g.follower())
	moved := "-MOVED 0 " + g.opts[leader].Listen
	var want [6]*shard.Config
	for num := 1; num <= 5; num++ {
		want[num] = c.config(fmt.Sprintf("QUERY %d", num))
	}
	require.Eventually(t, func() bool { return follower.do("DISKV.SHARDS QUERY 5") != moved }, patience, 5*time.Millisecond)
	for num := 1; num <= 5; num++ {
		require.Equal(t, want[num], follower.config(fmt.Sprintf("QUERY %d", num)))
	}
	require.Equal(t, shard.Count, want[5].Held(1))
	for _, line := range []string{"QUERY", "QUERY 6", "GROUPS", "JOIN 3 c:1", "PASSED 1 5 1"} {
		require.Equal(t, moved, follower.do("DISKV.SHARDS "+line), line)
	}
	require.Equal(t, "-NOTYET the newest config is 5, there is no config 6 yet", c.do("DISKV.SHARDS QUERY 6"))
	require.Equal(t, []string{"6", "7", "7"}, c.pipeline("DISKV.SHARDS JOIN 3 c:1", "DISKV.SHARDS MOVE 5 3", "DISKV.SHARDS LEAVE 9"))
}

func TestShardmastersRefuseNonsense(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, asShardmaster)
	c := g.dial(0)
	for line, want := range map[string]string{
		"GET k":                "-ERR this is a shardmaster, which holds no keys: no group has joined yet; DISKV.SHARDS JOIN adds one",
		"DISKV.SHARDS":         "-ERR wrong number of arguments for 'diskv.shards' command",
		"DISKV.SHARDS SHUFFLE": "-ERR unknown subcommand 'SHUFFLE': there are JOIN, LEAVE, MOVE, BALANCE, QUERY, GROUPS and PASSED",
		"DISKV.SHARDS BALANCE": "-ERR there is no group yet: JOIN one first",
		"NOSUCH x":             "-ERR unknown command 'NOSUCH', with args beginning with: 'x' ",
		"GET":                  "-ERR wrong number of arguments for 'get' command",
		"DISKV.SESSION":        "-ERR unknown command 'DISKV.SESSION', with args beginning with: ",
		"CLUSTER SLOTS":        "[]",
		"CLUSTER SHARDS":       "[]",
		"PING":                 "PONG",
	} {
		require.Equal(t, want, c.do(line), line)
	}
	require.Contains(t, c.text("CLUSTER INFO"), "cluster_enabled:1\r\ncluster_state:fail\r\ncluster_slots_assigned:0\r\n")
	threeConfigs(g)
	require.Equal(t, "-ERR this is a shardmaster, which holds no keys: shard 12182 is with group 2 at unix:/run/two", c.do("SET foo v"))
	require.Equal(t, "-ERR this is a shardmaster, which holds no keys: CLUSTER SLOTS says where the groups are", c.do("SCAN 0"))
	require.Equal(t, "-CROSSSLOT Keys in request don't hash to the same slot", c.do("MGET a b"))
	require.EqualValues(t, 3, c.config("QUERY").Num)
}

func TestShardmastersDescribeTheClusterToClients(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, asShardmaster)
	threeConfigs(g)
	c := g.dial(0)
	id := func(group, member int) string { return fmt.Sprintf("%06x%02x%032x", group, member, group) }
	one := fmt.Sprintf(`["127.0.0.1" 7001 %q []] ["127.0.0.1" 7002 %q []]`, id(1, 0), id(1, 1))
	two := fmt.Sprintf(`["unix:/run/two" 0 %q []]`, id(2, 0))
	require.Equal(t, "[[0 99 "+two+"] [100 8191 "+one+"] [8192 16383 "+two+"]]", c.do("CLUSTER SLOTS"))
	require.Equal(t, strings.Join([]string{
		id(1, 0) + " 127.0.0.1:7001@7001 master - 0 0 3 connected 100-8191",
		id(1, 1) + " 127.0.0.1:7002@7002 slave " + id(1, 0) + " 0 0 3 connected",
		id(2, 0) + " unix:/run/two:0@0 master - 0 0 3 connected 0-99 8192-16383",
		id(0, 0) + " " + g.nodes[0].Addr() + ":0@0 myself,master - 0 0 3 connected", "",
	}, "\n"), c.text("CLUSTER NODES"))
	shards := c.do("CLUSTER SHARDS")
	require.True(t, strings.HasPrefix(shards, fmt.Sprintf(`[["slots" [100 8191] "nodes" [["id" %q "ip" "127.0.0.1" "endpoint" "127.0.0.1" "role" "master" `, id(1, 0))), shards)
	require.Contains(t, shards, `"role" "replica" "health" "online" "port" 7002 "replication-offset" 0]`)
	require.Contains(t, shards, `["slots" [0 99 8192 16383] "nodes" [["id"`)
	require.Contains(t, c.text("CLUSTER INFO"),
		"cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"+
			"cluster_known_nodes:3\r\ncluster_size:2\r\ncluster_current_epoch:3\r\n")
	require.Equal(t, fmt.Sprintf("%q", id(0, 0)), c.do("CLUSTER MYID"))

	require.Contains(t, c.do("COMMAND LIST"), `"diskv.shards"`)
	require.NotContains(t, c.do("COMMAND LIST"), `"get"`)
	info := c.text("INFO")
	for _, want := range []string{"redis_mode:cluster\r\n", "service:shardmaster\r\n", "group:0\r\n", "config:3\r\n", "configs_kept:4\r\n", "groups:2\r\n"} {
		require.Contains(t, info, want)
	}
	_, metrics := g.get(0, "/metrics")
	require.Contains(t, metrics, "diskv_config 3\n")
	require.Contains(t, metrics, `diskv_commands_total{command="diskv.shards"} 3`)
}

// TestShardmastersOutliveTheirLeader: the leader goes, then all at once, then the
// disk of one.
func TestShardmastersOutliveTheirLeader(t *testing.T) {
	t.Parallel()
	for name, snapshots := range map[string]int64{"log": 1 << 40, "snapshots": 1 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGroup(t, 3, asShardmaster, func(o *server.Options) { o.Replica.SnapshotMinBytes = snapshots })
			threeConfigs(g)
			want := g.dial(g.leader()).config("QUERY")

			gone := g.leader()
			require.NoError(t, g.halt(gone))
			c := g.dial(g.leader())
			require.Eventually(t, func() bool { return !strings.HasPrefix(c.do("DISKV.SHARDS QUERY"), "-") }, patience, 5*time.Millisecond)
			require.Equal(t, want, c.config("QUERY"))
			require.Equal(t, "4", c.do("DISKV.SHARDS JOIN 3 c:1"))
			for i := range 3 {
				require.NoError(t, g.halt(i))
			}
			for i := range 3 {
				g.start(i)
			}
			g.awaitReady()
			c = g.dial(g.leader())
			require.Equal(t, "4", c.do("DISKV.SHARDS JOIN 3 c:1"))
			require.Equal(t, want, c.config("QUERY 3"))

			lost := g.follower()
			require.NoError(t, g.halt(lost))
			require.NoError(t, os.RemoveAll(g.opts[lost].Dir))
			g.start(lost)
			g.awaitRecovered(lost)
			require.Equal(t, "5", g.dial(g.leader()).do("DISKV.SHARDS LEAVE 3"))
			l := g.dial(lost)
			require.Eventually(t, func() bool { return !strings.HasPrefix(l.do("DISKV.SHARDS QUERY 5"), "-") }, patience, 5*time.Millisecond)
			require.Equal(t, want, l.config("QUERY 3"))
			require.Equal(t, []string{"127.0.0.1:7001", "127.0.0.1:7002"}, l.config("QUERY 5").Groups[0].Servers)
		})
	}
}

// TestNewShardmastersFromASurvivor: diskvlog recover works for them, too.
func TestNewShardmastersFromASurvivor(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3, asShardmaster)
	threeConfigs(g)
	want := g.dial(g.leader()).config("QUERY")
	survivor := g.leader()
	g.AwaitEven()
	for i := range 3 {
		require.NoError(t, g.halt(i))
	}
	s, err := server.OpenSurvivor(g.opts[survivor].Dir)
	require.NoError(t, err)
	require.Equal(t, "4 configs up to config 3, of 2 groups", s.Holds)
	genesis := filepath.Join(t.TempDir(), "genesis")
	_, err = s.WriteGenesis(genesis)
	require.NoError(t, err)
	s.Close()
	for i := range 3 {
		require.NoError(t, server.InstallGenesis(genesis, g.opts[i].Dir, i, false))
		g.start(i)
	}
	g.awaitReady()
	c := g.dial(g.leader())
	require.Equal(t, want, c.config("QUERY"))
	require.Equal(t, "4", c.do("DISKV.SHARDS BALANCE"))
}

func TestDirectoryOfAnotherServiceIsRefused(t *testing.T) {
	t.Parallel()
	sharded := func(o *server.Options) {
		o.Service, o.Shardmasters = paxos.ServiceSharded, []string{"unix:/nowhere"}
	}
	plain := func(o *server.Options) { o.Service, o.Group, o.Shardmasters = paxos.ServicePlain, 1, nil }
	for _, tt := range []struct {
		name           string
		first, then    func(*server.Options)
		says, remedies string
	}{
		{"a shardmaster's for keys", asShardmaster, plain,
			"belongs to a shardmaster, this is to be a group that owns every shard", "start it with diskvd shardmaster"},
		{"keys for a shardmaster", plain, asShardmaster,
			"belongs to a group that owns every shard, this is to be a shardmaster", "start it without --shardmasters"},
		{"a plain group's for a sharded one", plain, sharded,
			"belongs to a group that owns every shard, this is to be a group of a sharded cluster", "start it without --shardmasters"},
		{"a sharded group's for a plain one", sharded, plain,
			"belongs to a group of a sharded cluster, this is to be a group that owns every shard", "start it with --shardmasters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGroup(t, 1, tt.first)
			g.start(0)
			require.Eventually(t, func() bool {
				s, err := g.nodes[0].Status()
				return err == nil && s.Identity.HasLog()
			}, patience, 2*time.Millisecond)
			require.NoError(t, g.halt(0))
			first := g.opts[0]
			tt.then(&g.opts[0])
			err := g.tryStart(0)
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, tt.remedies)
			g.opts[0] = first
			g.start(0)
		})
	}
}

func TestOptionsOfAServiceHaveToFit(t *testing.T) {
	good := server.Options{Dir: "d", Listen: "a:1", Group: 1}
	for want, change := range map[string]func(*server.Options){
		"--group 7: the shardmasters are group 0": func(o *server.Options) { o.Service, o.Group = paxos.ServiceShardmaster, 7 },
		"--group 0 is the shardmasters'":          func(o *server.Options) { o.Group = 0 },
		"give --shardmasters":                     func(o *server.Options) { o.Service = paxos.ServiceSharded },
		"--shardmasters: a plain group has none":  func(o *server.Options) { o.Shardmasters = []string{"m:1"} },
		"unknown service 9":                       func(o *server.Options) { o.Service = 9 },
		`--shardmasters, member 0: address "here" is neither host:port nor unix:/path`: func(o *server.Options) { o.Service, o.Shardmasters = paxos.ServiceSharded, []string{"here"} },
		"--shardmasters: a:1 is a member of this group by --peers":                     func(o *server.Options) { o.Service, o.Shardmasters = paxos.ServiceSharded, []string{"a:1"} },
	} {
		o := good
		change(&o)
		require.ErrorContains(t, o.Validate(), want)
	}
	require.NoError(t, good.Validate())
	for _, service := range []func(*server.Options){asShardmaster, func(o *server.Options) {
		o.Service, o.Shardmasters = paxos.ServiceSharded, []string{"m:1", "m:2"}
	}} {
		o := good
		service(&o)
		require.NoError(t, o.Validate())
	}
}

// TestLowDiskLetsShardmastersForget: a report of a group lets configs be dropped.
func TestLowDiskLetsShardmastersForget(t *testing.T) {
	t.Parallel()
	var free atomic.Int64
	free.Store(1000)
	g := startGroup(t, 1, asShardmaster, func(o *server.Options) {
		o.MinFreeBytes = 1000
		o.SetFree(func(string) (int64, error) { return free.Load(), nil })
	})
	threeConfigs(g)
	free.Store(999)
	c := g.dial(0)
	require.Eventually(t, func() bool { return strings.HasPrefix(c.do("DISKV.SHARDS BALANCE IF 9"), "-MISCONF ") }, patience, 10*time.Millisecond)
	require.Equal(t, "3", c.do("DISKV.SHARDS PASSED 1 3 1"))
	require.EqualValues(t, 3, c.config("QUERY").Num)
}

// TestClusterDescribesAPlainGroup in the same words.
func TestClusterDescribesAPlainGroup(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	c := g.dial(leader)
	id := strings.Trim(c.do("CLUSTER MYID"), `"`)
	nodes := c.text("CLUSTER NODES")
	require.Contains(t, nodes, fmt.Sprintf("%s %s:0@0 myself,master - 0 0 ", id, g.opts[leader].Listen))
	require.Contains(t, nodes, " connected 0-16383\n")
	require.Equal(t, 2, strings.Count(nodes, ":0@0 slave "+id+" 0 0 "))
	follower := g.follower()
	require.Contains(t, g.dial(follower).text("CLUSTER NODES"), fmt.Sprintf(" %s:0@0 myself,slave %s ", g.opts[follower].Listen, id))
	require.True(t, strings.HasPrefix(c.do("CLUSTER SHARDS"), `[["slots" [0 16383] "nodes" [["id" "`+id+`" "ip"`))
	require.Contains(t, c.text("CLUSTER INFO"), "cluster_known_nodes:3\r\ncluster_size:1\r\n")
}
