package main

import (
	"context"
	"io"

	"diskv/paxos"
)

const shardmasterUsage = `diskvd shardmaster runs one member of the group that says which group owns which
shard. There is one such group in a cluster; its members are what --shardmasters of
all others names.

  diskvd shardmaster --dir D --listen A --peers M0,M1,M2 --index I --bootstrap
                                a member of a group that has never run; later starts
                                need no --bootstrap

Groups join and leave, and shards move, by diskvctl shard.
`

// shardmaster runs one shardmaster.
func shardmaster(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) error {
	f := newFlags("diskvd shardmaster", shardmasterUsage)
	o := &serveOptions{}
	memberFlags(f, o, "./diskv-shardmaster", "127.0.0.1:7378")
	if err := f.parse(args, env, stdout); err != nil {
		return err
	}
	opts, err := o.options(newLogger(stderr, o.logFormat))
	if err != nil {
		return usageError{err}
	}
	opts.Service = paxos.ServiceShardmaster
	return runNode(ctx, opts)
}
