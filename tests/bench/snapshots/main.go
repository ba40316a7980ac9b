// Command snapshots measures what snapshots cost: it writes a given amount to a
// group of three processes, in rounds with snapshots and without, and prints
// the latencies of the writes and the largest size that a data directory had.
//
//	go run ./tests/bench/snapshots --bytes 1073741824 --keys 100000 --rounds 5
//
// The rounds alternate, so that a machine that changes its mind changes it for
// both. The ratio of the medians is what counts.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"context"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

type settings struct {
	bytes, keys, value, clients, rounds int
	dir                                 string
}

func main() {
	var s settings
	flag.IntVar(&s.bytes, "bytes", 1<<30, "bytes of values to write in each round")
	flag.IntVar(&s.keys, "keys", 100_000, "different keys")
	flag.IntVar(&s.value, "value", 1024, "bytes of a value")
	flag.IntVar(&s.clients, "clients", 64, "clients, each with one write at a time")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of each kind")
	flag.StringVar(&s.dir, "dir", "", "where the directories of the members go; default: a temporary directory")
	flag.Parse()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "snapshots:", err)
		os.Exit(1)
	}
}

// result is what one round has shown.
type result struct {
	throughput     float64 // writes a second
	p50, p99, p999 time.Duration
	largest, atEnd int64 // bytes of one data directory
}

func run(s settings) error {
	dir, err := os.MkdirTemp(s.dir, "diskv-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := proc.Build(dir)
	if err != nil {
		return err
	}
	kinds := []struct {
		name string
		args []string
	}{
		{"default options", nil},
		{"no snapshots", []string{"--snapshot-min-bytes", strconv.Itoa(1 << 50)}},
	}
	results := make([][]result, len(kinds))
	fmt.Printf("%-16s %10s %9s %9s %9s %12s %12s\n", "round", "writes/s", "p50", "p99", "p99.9", "largest dir", "last dir")
	for round := range s.rounds {
		for i, kind := range kinds {
			r, err := oneRound(s, binary, filepath.Join(dir, fmt.Sprintf("round-%d-%d", round, i)), kind.args)
			if err != nil {
				return err
			}
			results[i] = append(results[i], r)
			fmt.Printf("%-16s %10.0f %9v %9v %9v %8d MiB %8d MiB\n", kind.name, r.throughput,
				r.p50.Round(time.Microsecond), r.p99.Round(time.Microsecond), r.p999.Round(time.Microsecond), r.largest>>20, r.atEnd>>20)
		}
	}
	with, without := median(results[0]), median(results[1])
	fmt.Printf("median p99.9 with snapshots %v, without %v: ratio %.2f\n", with, without, float64(with)/float64(without))
	live := int64(s.keys) * int64(s.value+16)
	var largest int64
	for _, r := range results[0] {
		largest = max(largest, r.largest)
	}
	fmt.Printf("live data %d MiB, largest directory %d MiB, allowed %d MiB\n", live>>20, largest>>20, (3*live+256<<20)>>20)
	return nil
}

func median(rs []result) time.Duration {
	var ds []time.Duration
	for _, r := range rs {
		ds = append(ds, r.p999)
	}
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// oneRound writes to a fresh group.
func oneRound(s settings, binary, dir string, args []string) (result, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: dir, Size: 3, Args: args})
	if err != nil {
		return result{}, err
	}
	defer g.Close()
	if err := g.Start(); err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	leader, err := g.Leader(ctx)
	if err != nil {
		return result{}, err
	}
	stop := make(chan struct{})
	var watched sync.WaitGroup
	var largest int64
	watched.Go(func() { largest = watchSizes(g, stop) })
	latencies, took, err := load(s, leader.Addr)
	close(stop)
	watched.Wait()
	if err != nil {
		return result{}, err
	}
	slices.Sort(latencies)
	at := func(q float64) time.Duration { return latencies[int(q*float64(len(latencies)-1))] }
	return result{
		throughput: float64(len(latencies)) / took.Seconds(),
		p50:        at(0.5), p99: at(0.99), p999: at(0.999),
		largest: largest, atEnd: dirBytes(leader.Dir),
	}, nil
}

// load writes with closed-loop clients and returns the latency of every write.
func load(s settings, addr string) ([]time.Duration, time.Duration, error) {
	writes := int64(s.bytes / s.value)
	var next atomic.Int64
	latencies := make([][]time.Duration, s.clients)
	errs := make([]error, s.clients)
	begun := time.Now()
	var clients sync.WaitGroup
	for c := range s.clients {
		clients.Go(func() {
			errs[c] = func() error {
				conn, err := proc.Dial(addr)
				if err != nil {
					return err
				}
				defer conn.Close()
				rnd := rand.NewChaCha8([32]byte{byte(c)})
				value := make([]byte, s.value)
				for n := next.Add(1); n <= writes; n = next.Add(1) {
					_, _ = rnd.Read(value) // never fails
					key := fmt.Sprintf("key:%012d", rnd.Uint64()%uint64(s.keys))
					t := time.Now()
					v, err := conn.Do("SET", key, string(value))
					if err == nil && v.Kind == resp.KindError {
						err = fmt.Errorf("SET: %s", v.Str)
					}
					if err != nil {
						return err
					}
					latencies[c] = append(latencies[c], time.Since(t))
				}
				return nil
			}()
		})
	}
	clients.Wait()
	took := time.Since(begun)
	for _, err := range errs {
		if err != nil {
			return nil, 0, err
		}
	}
	return slices.Concat(latencies...), took, nil
}

// watchSizes returns the largest size that a member's directory had until stop.
func watchSizes(g *proc.Group, stop <-chan struct{}) int64 {
	var largest int64
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		for _, m := range g.Members {
			largest = max(largest, dirBytes(m.Dir))
		}
		select {
		case <-stop:
			return largest
		case <-ticker.C:
		}
	}
}

// dirBytes sums the sizes of the files in a directory. Files that vanish
// meanwhile count as nothing.
func dirBytes(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if fi, err := e.Info(); err == nil {
			sum += fi.Size()
		}
		return nil
	})
	return sum
}
