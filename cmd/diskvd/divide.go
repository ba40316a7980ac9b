package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"diskv/client"
	"diskv/shard"
)

// divide has the groups of a cluster join, waits until they serve all shards between
// them, and says what to do with them.
func (o *devOptions) divide(ctx context.Context, members []devMember, stdout io.Writer) error {
	masters := members[o.groups*o.replicas].opts.Peers
	sm, err := client.OpenShardmaster(ctx, masters...)
	if err != nil {
		return fmt.Errorf("shardmasters: %w", err)
	}
	defer sm.Close()
	num := uint64(0)
	for g := range o.groups {
		id := shard.GroupID(g + 1)
		if num, err = sm.Join(ctx, id, members[g*o.replicas].opts.Peers); err != nil {
			return fmt.Errorf("group %d cannot join: %w", id, err)
		}
	}
	if err := settled(ctx, sm, num); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, "%d groups of %d replicas, and %d shardmasters, in %s. Try:\n\n"+
		"  redis-cli -c -p %d set greeting hello\n  redis-cli -c -p %d get greeting\n"+
		"  diskvctl --addr %s status\n  diskvctl --addr %s shard move 0-8191 2\n\nCtrl-C stops it.\n",
		o.groups, o.replicas, o.replicas, o.dir, o.port, o.port+o.replicas, masters[0], masters[0])
	return nil
}

// settled waits until every group has told the shardmasters that it has what a config
// gives it.
func settled(ctx context.Context, sm *client.Shardmaster, num uint64) error {
	for {
		groups, err := sm.Groups(ctx)
		if err != nil {
			return fmt.Errorf("shardmasters: %w", err)
		}
		behind := false
		for _, g := range groups {
			behind = behind || g.Settled < num
		}
		if !behind {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
