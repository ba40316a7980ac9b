package crashreplay

import (
	"context"
	"math/rand/v2"
	"time"

	"diskv/client"
	"diskv/shard"
	"diskv/tests/proc"
)

// join has the groups join the cluster.
func (r *run) join(ctx context.Context) error {
	masters, err := client.OpenShardmaster(ctx, r.parts[0].group.Public...)
	if err != nil {
		return err
	}
	r.masters = masters
	for i, p := range r.stores() {
		if _, err := masters.Join(ctx, shard.GroupID(i+1), p.group.Public); err != nil {
			return err
		}
	}
	return r.settled(ctx)
}

// settled waits until every group has what the newest config gives to it.
func (r *run) settled(ctx context.Context) error {
	if r.masters == nil {
		return nil
	}
	newest, err := r.masters.Newest(ctx)
	if err != nil {
		return err
	}
	cluster := &proc.Cluster{Shardmasters: r.parts[0].group}
	return cluster.Settled(ctx, r.masters, newest.Num)
}

// moveShards moves up to a quarter of all shards at a time, between whatever groups, until
// ctx ends. A change that fails is left to the next one.
func (r *run) moveShards(ctx context.Context) {
	chance := rand.New(rand.NewPCG(r.o.Seed, 3000))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(300+chance.IntN(1200)) * time.Millisecond):
		}
		first := chance.IntN(shard.Count)
		last := min(shard.Count-1, first+chance.IntN(shard.Count/4))
		to := shard.GroupID(1 + chance.IntN(r.o.Scenario.Groups))
		within, cancel := context.WithTimeout(ctx, opTimeout)
		_, err := r.masters.Move(within, shard.Range{First: shard.ID(first), Last: shard.ID(last)}, to)
		cancel()
		if err == nil {
			r.moves++
		}
	}
}
