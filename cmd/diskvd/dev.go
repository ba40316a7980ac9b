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

	"diskv/server"
)

const devUsage = `diskvd dev runs a whole replica group in one process, each replica with its own
directory, to try things and to develop against. It forms the group by itself.

  diskvd dev --replicas 3 --dir ./diskv-dev --port 7379
`

// dev runs a group in this process.
func dev(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) error {
	f := newFlags("diskvd dev", devUsage)
	o := &serveOptions{}
	tuningFlags(f, o)
	valueFlags(f, o)
	dir := f.String("dir", "./diskv-dev", "`directory` that holds the replicas' directories")
	replicas := f.Int("replicas", 3, "`number` of replicas, 1 to 7")
	port := f.Int("port", 7379, "first of as many `port`s on 127.0.0.1 as there are replicas")
	if err := f.parse(args, env, stdout); err != nil {
		return err
	}
	if *replicas < 1 || *replicas > 7 {
		return usageError{fmt.Errorf("--replicas %d: must be 1 to 7", *replicas)}
	}
	if *port < 1 || *port+*replicas-1 > 65535 {
		return usageError{fmt.Errorf("--port %d: must be 1 to %d", *port, 65536-*replicas)}
	}
	opts, err := o.options(newLogger(stderr, o.logFormat))
	if err != nil {
		return usageError{err}
	}
	for i := range *replicas {
		opts.Peers = append(opts.Peers, net.JoinHostPort("127.0.0.1", strconv.Itoa(*port+i)))
	}
	opts.Group, opts.Bootstrap = 1, true
	var nodes []*server.Node
	for i := range *replicas {
		opts.Index, opts.Listen = i, opts.Peers[i]
		opts.Dir = filepath.Join(*dir, "replica-"+strconv.Itoa(i))
		n, err := server.Open(opts)
		if err != nil {
			for _, n := range nodes {
				n.Close()
			}
			return fmt.Errorf("replica %d: %w", i, err)
		}
		nodes = append(nodes, n)
	}
	_, _ = fmt.Fprintf(stdout, "A group of %d replicas in %s. Try:\n\n  redis-cli -c -p %d set greeting hello\n  redis-cli -c -p %d get greeting\n\nCtrl-C stops it.\n",
		*replicas, *dir, *port, *port)
	return runAll(ctx, nodes)
}

// runAll runs nodes until ctx ends or one of them fails.
func runAll(ctx context.Context, nodes []*server.Node) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(nodes))
	var running sync.WaitGroup
	for i, n := range nodes {
		running.Go(func() {
			defer cancel()
			if err := n.Run(ctx); err != nil {
				errs[i] = fmt.Errorf("replica %d: %w", i, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
