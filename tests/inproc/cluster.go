package inproc

import (
	"slices"
	"testing"

	"diskv/paxos"
	"diskv/server"
)

// StartShardmasters starts the group that says which group owns which shard.
func StartShardmasters(tb testing.TB, size int, changes ...func(*server.Options)) *Group {
	tb.Helper()
	return Start(tb, size, slices.Concat([]func(*server.Options){func(o *server.Options) {
		o.Service, o.Group = paxos.ServiceShardmaster, 0
	}}, changes)...)
}

// StartSharded starts a group that serves the shards that the shardmasters give it.
// It has not joined yet.
func StartSharded(tb testing.TB, masters *Group, id uint64, size int, changes ...func(*server.Options)) *Group {
	tb.Helper()
	return Start(tb, size, slices.Concat([]func(*server.Options){func(o *server.Options) {
		o.Service, o.Group, o.Shardmasters = paxos.ServiceSharded, id, masters.Addrs
	}}, changes)...)
}
