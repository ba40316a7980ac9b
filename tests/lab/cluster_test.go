package lab

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/shard"
	"diskv/tests/proc"
)

// cluster is groups of three members each, three shardmasters and their client.
type cluster struct {
	*proc.Cluster
	masters *client.Shardmaster
}

// newCluster starts groups, of which none is in the config yet. All addresses
// lead over the network, which may be nil.
func newCluster(t *testing.T, groups int, network *proc.Network) *cluster {
	t.Helper()
	c, err := proc.NewCluster(proc.ClusterOptions{
		Binary: binary, Dir: t.TempDir(), Shardmasters: 3, Groups: groups, Size: 3, Network: network,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		showOutput(t, "shardmasters,", c.Shardmasters)
		for _, g := range c.Groups {
			showOutput(t, "group,", g)
		}
	})
	require.NoError(t, c.Start())
	lab := &cluster{Cluster: c}
	persist(t, func(ctx context.Context) (err error) {
		lab.masters, err = client.OpenShardmaster(ctx, c.Shardmasters.Public...)
		return err
	})
	t.Cleanup(lab.masters.Close)
	return lab
}

func (c *cluster) clerk(t *testing.T) *clerk {
	t.Helper()
	return newClerk(t, c.Shardmasters.Public)
}

func (c *cluster) joinOne(ctx context.Context, id shard.GroupID) (config uint64, err error) {
	return c.masters.Join(ctx, id, c.Group(id).Public)
}

// move gives the shard of a key to a group.
func (c *cluster) move(ctx context.Context, key string, to shard.GroupID) (config uint64, err error) {
	id := shard.Of([]byte(key))
	return c.masters.Move(ctx, shard.Range{First: id, Last: id}, to)
}

// join has groups join and returns the number of the config that the last of them
// made.
func (c *cluster) join(t *testing.T, ids ...shard.GroupID) (config uint64) {
	t.Helper()
	for _, id := range ids {
		var err error
		config, err = c.joinOne(patiently(t), id)
		require.NoError(t, err)
	}
	return config
}

func (c *cluster) leave(t *testing.T, id shard.GroupID) (config uint64) {
	t.Helper()
	config, err := c.masters.Leave(patiently(t), id)
	require.NoError(t, err)
	return config
}

// settle waits until a config is what the groups serve.
func (c *cluster) settle(t *testing.T, config uint64) {
	t.Helper()
	require.NoError(t, c.Settled(patiently(t), c.masters, config))
}

// someGroup returns the number of a group.
func (c *cluster) someGroup(chance *rand.Rand) shard.GroupID {
	return shard.GroupID(1 + chance.IntN(len(c.Groups)))
}
