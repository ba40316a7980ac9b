package proc

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"diskv/client"
	"diskv/shard"
)

// ClusterOptions are those of a [Cluster].
type ClusterOptions struct {
	Binary       string   // path of diskvd
	Dir          string   // holds everything of the processes
	Shardmasters int      // members of the shardmaster group; 0: none, and every group owns every shard
	Groups       int      // groups of the store
	Size         int      // members of each group
	Args         []string // further flags of every member of every group
	StoreArgs    []string // further flags of the groups of the store, and not of the shardmasters
	// Network is what all addresses lead over: those of the shardmasters, those
	// that clients are sent to, those at which groups fetch shards. nil: directly.
	// The cluster does not close it.
	Network *Network
}

// Cluster is groups of a sharded store, numbered from 1, and the shardmasters
// that say which shards each owns.
type Cluster struct {
	Shardmasters *Group // nil: none
	Groups       []*Group
}

// NewCluster chooses addresses. Nothing is started, and no group is in a config.
func NewCluster(o ClusterOptions) (*Cluster, error) {
	c := &Cluster{}
	args := o.Args
	if o.Shardmasters > 0 {
		masters, err := NewGroup(Options{
			Binary: o.Binary, Dir: filepath.Join(o.Dir, "shardmasters"), Size: o.Shardmasters,
			Command: "shardmaster", Args: o.Args, Network: o.Network,
		})
		if err != nil {
			return nil, err
		}
		c.Shardmasters = masters
		args = append([]string{"--shardmasters", strings.Join(masters.Public, ",")}, args...)
	}
	for i := range o.Groups {
		number := strconv.Itoa(i + 1)
		g, err := NewGroup(Options{
			Binary: o.Binary, Dir: filepath.Join(o.Dir, "group-"+number), Size: o.Size,
			Args: slices.Concat([]string{"--group", number}, args, o.StoreArgs), Network: o.Network,
		})
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, g)
	}
	return c, nil
}

// All returns every group, the shardmasters first.
func (c *Cluster) All() []*Group {
	if c.Shardmasters == nil {
		return c.Groups
	}
	return append([]*Group{c.Shardmasters}, c.Groups...)
}

// Group returns the group of a number.
func (c *Cluster) Group(id shard.GroupID) *Group { return c.Groups[id-1] }

// Start starts the members of all groups that do not run.
func (c *Cluster) Start() error {
	for _, g := range c.All() {
		if err := g.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Close kills every process that runs.
func (c *Cluster) Close() {
	for _, g := range c.All() {
		g.Close()
	}
}

// Settled waits until every group of a config serves all that it gave to it, and
// those that have left are not needed any more.
func (c *Cluster) Settled(ctx context.Context, masters *client.Shardmaster, config uint64) error {
	return wait(ctx, fmt.Sprintf("config %d", config), func() error {
		groups, err := masters.Groups(ctx)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if g.Leaving || g.Settled < config {
				return fmt.Errorf("group %d: leaving %t, settled %d, drained %t", g.ID, g.Leaving, g.Settled, g.Drained)
			}
		}
		return nil
	})
}
