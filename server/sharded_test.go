package server_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/server"
)

// asSharded makes options those of a group whose shardmasters nobody hears.
func asSharded(o *server.Options) {
	o.Service, o.Shardmasters = paxos.ServiceSharded, []string{"unix:/nowhere/shardmaster"}
}

// TestAShardedGroupServesNothingBeforeItsFirstConfig: neither at its start nor as a
// new group that begins with what a survivor holds.
func TestAShardedGroupServesNothingBeforeItsFirstConfig(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, asSharded)
	servesNothing := func() {
		t.Helper()
		s, err := g.nodes[0].Status()
		require.NoError(t, err)
		require.Zero(t, s.Served)
		require.Equal(t, paxos.ServiceSharded, s.Identity.Service)
		c := g.dial(0)
		for _, line := range []string{"GET k", "SET k v", "DISKV.ONCE k " + c.text("DISKV.SESSION") + " 1 INCR k"} {
			require.Regexp(t, "^-(WRONGSHARD|CLUSTERDOWN) ", c.do(line), line)
		}
		require.Equal(t, "0", c.do("DBSIZE"))
		info := c.text("INFO diskv")
		for _, want := range []string{"service:sharded\r\n", "config:0\r\n", "config_settled:0\r\n", "shards_served:0\r\n", "shards_awaited:0\r\n"} {
			require.Contains(t, info, want)
		}
	}
	servesNothing()
	require.NoError(t, g.halt(0))
	g.start(0)
	g.awaitReady()
	servesNothing()
	require.NoError(t, g.halt(0))

	s, err := server.OpenSurvivor(g.opts[0].Dir)
	require.NoError(t, err)
	genesis := filepath.Join(t.TempDir(), "genesis")
	_, err = s.WriteGenesis(genesis)
	require.NoError(t, err)
	s.Close()
	require.NoError(t, server.InstallGenesis(genesis, g.opts[0].Dir, 0, false))
	g.start(0)
	g.awaitReady()
	servesNothing()
}
