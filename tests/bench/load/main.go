// Command load puts a closed loop of load on anything that speaks RESP, or on etcd, and
// prints the throughput and the latencies.
//
//	go run . --addr 127.0.0.1:7380,127.0.0.1:7381,127.0.0.1:7382 --clients 50 --pipeline 16
//	go run . --addr 127.0.0.1:2379 --etcd --clients 256 --reads 1 --json
//	go run . --addr 127.0.0.1:6379 --keys 100000 --fill
//
// What is measured, and what a closed loop does not see, is in package loop.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"diskv/tests/bench/load/loop"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run is the program. Failed requests are part of what is printed and no error of the
// program, unless there is nothing else.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o loop.Options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(stderr)
	addr := f.String("addr", "127.0.0.1:7379", "`addresses` of a server, or of the members of a group, with commas between")
	f.BoolVar(&o.Etcd, "etcd", false, "they speak etcd's protocol")
	f.IntVar(&o.Conns, "connections", 0, "`number` of connections that etcd's clients share; 0: one")
	f.IntVar(&o.Clients, "clients", 50, "`number` of clients, each of which waits for its answers before it goes on")
	f.IntVar(&o.Pipeline, "pipeline", 1, "`requests` that a client sends at once")
	f.IntVar(&o.ValueBytes, "value-bytes", 100, "length of a value in `bytes`")
	f.IntVar(&o.Keys, "keys", 100_000, "`number` of different keys, chosen at random")
	f.Float64Var(&o.Reads, "reads", 0, "`share` of GET, from 0 to 1; the rest is SET")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how `long` it is measured")
	f.Int64Var(&o.Requests, "requests", 0, "`number` of requests that are measured, instead of --duration")
	f.DurationVar(&o.Warmup, "warmup", 2*time.Second, "how `long` the load is there before it is measured")
	f.DurationVar(&o.Timeout, "timeout", 10*time.Second, "how `long` an answer is waited for")
	f.BoolVar(&o.Fill, "fill", false, "set every key once, instead of a load at random")
	inJSON := f.Bool("json", false, "print the report as JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: every setting is a flag", f.Arg(0))
	}
	for a := range strings.SplitSeq(*addr, ",") {
		if a = strings.TrimSpace(a); a != "" {
			o.Addrs = append(o.Addrs, a)
		}
	}
	r, err := loop.Run(ctx, o)
	if err != nil {
		return err
	}
	if r.Failed() > 0 {
		_, _ = fmt.Fprintf(stderr, "load: %d requests failed: %s\n", r.Failed(), errorList(r))
	}
	if *inJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	show(stdout, r)
	return nil
}

// errorList says how often each error came.
func errorList(r loop.Report) string {
	var list []string
	for _, word := range slices.Sorted(maps.Keys(r.Errors)) {
		list = append(list, fmt.Sprintf("%s %d", word, r.Errors[word]))
	}
	return strings.Join(list, ", ")
}

// show writes the report for people.
func show(w io.Writer, r loop.Report) {
	_, _ = fmt.Fprintf(w, "%d clients on %d connections, pipelines of %d, %d keys, values of %d bytes, %.0f %% GET\n",
		r.Clients, r.Conns, r.Pipeline, r.Keys, r.ValueBytes, 100*r.Reads)
	_, _ = fmt.Fprintf(w, "%.0f requests/s: %d in %.2f s; missing keys %d, redirected %d, failed %d\n",
		r.Throughput, r.Requests, r.Seconds, r.Missing, r.Redirected, r.Failed())
	line := func(what string, l loop.Latency) {
		_, _ = fmt.Fprintf(w, "%-7s mean %.0f, p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f us\n", what, l.Mean, l.P50, l.P99, l.P999, l.Max)
	}
	line("latency", r.Latency)
	if r.ReadLatency != nil {
		line("reads", *r.ReadLatency)
		line("writes", *r.WriteLatency)
	}
}
