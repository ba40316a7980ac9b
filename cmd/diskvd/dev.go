package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"sync"

	"diskv/paxos"
	"diskv/server"
)

const devUsage = `diskvd dev runs a whole cluster in one process, each replica with its own
directory, to try things and to develop against. It forms the groups by itself.

  diskvd dev --replicas 3 --dir ./diskv-dev --port 7379
  diskvd dev --replicas 3 --groups 2            two groups, and shardmasters that
                                                have divided the keys between them
`

// devOptions are the flags of diskvd dev.
type devOptions struct {
	serve                  *serveOptions
	dir                    string
	replicas, groups, port int
	httpPort               int // 0: none
}

// maxDevGroups is how many groups one process can have at most: more are of no use
// to anyone who tries things.
const maxDevGroups = 16

// dev runs a cluster in this process.
func dev(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) error {
	f := newFlags("diskvd dev", devUsage)
	o := devOptions{serve: &serveOptions{}}
	tuningFlags(f, o.serve)
	valueFlags(f, o.serve)
	forwardFlag(f, o.serve, true)
	f.StringVar(&o.dir, "dir", "./diskv-dev", "`directory` that holds the replicas' directories")
	f.IntVar(&o.replicas, "replicas", 3, "`number` of replicas of each group, 1 to 7")
	f.IntVar(&o.groups, "groups", 1, "`number` of groups; with more than one there are as many shardmasters as replicas")
	f.IntVar(&o.port, "port", 7379, "first of as many `port`s on 127.0.0.1 as there are replicas")
	f.IntVar(&o.httpPort, "http-port", 0, "first of as many `port`s on 127.0.0.1 for the status pages; none: no HTTP")
	f.BoolVar(&o.serve.opts.Pprof, "pprof", false, "serve Go profiles at /debug/pprof/ there")
	if err := f.parse(args, env, stdout); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return usageError{err}
	}
	opts, err := o.serve.options(newLogger(stderr, o.serve.logFormat))
	if err != nil {
		return usageError{err}
	}
	members := o.members(opts)
	for i := range members {
		if o.httpPort != 0 {
			members[i].opts.HTTP = net.JoinHostPort("127.0.0.1", strconv.Itoa(o.httpPort+i))
		}
	}
	var nodes []*server.Node
	for _, m := range members {
		n, err := server.Open(m.opts)
		if err != nil {
			for _, n := range nodes {
				n.Close()
			}
			return fmt.Errorf("%s: %w", m.name, err)
		}
		nodes = append(nodes, n)
	}
	if o.groups == 1 {
		_, _ = fmt.Fprintf(stdout, "A group of %d replicas in %s. Try:\n\n  redis-cli -c -p %d set greeting hello\n  redis-cli -c -p %d get greeting\n\nCtrl-C stops it.\n",
			o.replicas, o.dir, o.port, o.port)
		return runAll(ctx, members, nodes, nil)
	}
	return runAll(ctx, members, nodes, func(ctx context.Context) error { return o.divide(ctx, members, stdout) })
}

// check reports the first flag that cannot be.
func (o *devOptions) check() error {
	switch {
	case o.replicas < 1 || o.replicas > paxos.MaxReplicas:
		return fmt.Errorf("--replicas %d: must be 1 to %d", o.replicas, paxos.MaxReplicas)
	case o.groups < 1 || o.groups > maxDevGroups:
		return fmt.Errorf("--groups %d: must be 1 to %d", o.groups, maxDevGroups)
	case o.port < 1 || o.port+o.nodes()-1 > 65535:
		return fmt.Errorf("--port %d: must be 1 to %d", o.port, 65536-o.nodes())
	case o.httpPort < 0 || o.httpPort+o.nodes()-1 > 65535:
		return fmt.Errorf("--http-port %d: must be 1 to %d", o.httpPort, 65536-o.nodes())
	case o.serve.opts.Pprof && o.httpPort == 0:
		return errors.New("--pprof: profiles are served at --http-port: give it as well")
	}
	return nil
}

// nodes is how many replicas there are, the shardmasters counted.
func (o *devOptions) nodes() int {
	if o.groups == 1 {
		return o.replicas
	}
	return (o.groups + 1) * o.replicas
}

// devMember is one replica of the cluster.
type devMember struct {
	name string
	opts server.Options
}

// members returns the replicas: those of the groups, and behind them the
// shardmasters, if there is more than one group.
func (o *devOptions) members(base server.Options) []devMember {
	base.Bootstrap, base.Forward = true, o.serve.opts.Forward
	if o.groups == 1 {
		base.Group = 1
		return o.group(base, 0, "replica", filepath.Join(o.dir, "replica-"))
	}
	masters := base
	masters.Service = paxos.ServiceShardmaster
	last := o.group(masters, o.groups, "shardmaster", filepath.Join(o.dir, "shardmaster-"))
	var all []devMember
	for g := range o.groups {
		member := base
		member.Group, member.Service, member.Shardmasters = uint64(g+1), paxos.ServiceSharded, last[0].opts.Peers
		name := "group " + strconv.Itoa(g+1)
		all = append(all, o.group(member, g, name+", replica", filepath.Join(o.dir, "group-"+strconv.Itoa(g+1), "replica-"))...)
	}
	return append(all, last...)
}

// group returns the replicas of one group, which comes behind so many others.
func (o *devOptions) group(base server.Options, before int, name, dir string) []devMember {
	var members []devMember
	for i := range o.replicas {
		base.Peers = append(base.Peers, net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port+before*o.replicas+i)))
	}
	for i := range o.replicas {
		base.Index, base.Listen, base.Dir = i, base.Peers[i], dir+strconv.Itoa(i)
		members = append(members, devMember{name: name + " " + strconv.Itoa(i), opts: base})
	}
	return members
}

// runAll runs nodes, and something beside them, until ctx ends or one of them fails.
func runAll(ctx context.Context, members []devMember, nodes []*server.Node, beside func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(nodes)+1)
	var running sync.WaitGroup
	for i, n := range nodes {
		running.Go(func() {
			defer cancel()
			if err := n.Run(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: %w", members[i].name, err)
			}
		})
	}
	if beside != nil {
		running.Go(func() {
			if err := beside(ctx); err != nil && ctx.Err() == nil {
				errs[len(nodes)] = err
				cancel()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
