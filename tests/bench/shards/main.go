// Command shards measures what shards and groups cost. It starts clusters of real
// processes, three members to a group.
//
//	go run ./tests/bench/shards --measure moves --keys 1000000 --rounds 5
//	go run ./tests/bench/shards --measure away --shard-bytes 104857600 --rounds 5
//	go run ./tests/bench/shards --measure groups --rounds 5
//
// moves: group 3 is loaded all the time while half of the keys of group 1 go to group
// 2 and, in the next round, back. The ratio of group 3's throughput during a move to
// that just before is what counts.
//
// away: a client writes to one shard, which holds so many bytes, while it moves. The
// longest time between two answers is how long it was away.
//
// groups: the same load on one group and on two, in turn. The ratio of the medians
// says what a second group gains on this machine, and how busy its processors are
// says what bounds it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"diskv/client"
	"diskv/shard"
	"diskv/tests/proc"
)

type settings struct {
	measure                      string
	keys, value, rounds, clients int
	shardBytes                   int
	dir                          string
}

func main() {
	var s settings
	flag.StringVar(&s.measure, "measure", "moves", "moves, away or groups")
	flag.IntVar(&s.keys, "keys", 1_000_000, "keys of group 1, of which half move")
	flag.IntVar(&s.value, "value", 100, "bytes of a value")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of measuring")
	flag.IntVar(&s.clients, "clients", 64, "clients that load a group, each with one write at a time")
	flag.IntVar(&s.shardBytes, "shard-bytes", 100<<20, "bytes of the shard that is away")
	flag.StringVar(&s.dir, "dir", "", "where the directories of the members go; default: a temporary directory")
	flag.Parse()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "shards:", err)
		os.Exit(1)
	}
}

// Group 1 has the lower half of the shards, group 3 the upper one; a quarter goes to
// group 2 and back.
const (
	half    = shard.Count / 2
	quarter = shard.Count / 4
)

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
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	switch s.measure {
	case "moves", "away":
	case "groups":
		return compareGroups(ctx, s, binary, dir)
	default:
		return fmt.Errorf("--measure %q: must be moves, away or groups", s.measure)
	}
	b, err := startCluster(ctx, s, binary, dir, 3)
	if err != nil {
		return err
	}
	defer b.close()
	if _, err := b.move(ctx, shard.Range{First: 0, Last: half - 1}, 1); err != nil {
		return err
	}
	if _, err := b.move(ctx, shard.Range{First: half, Last: shard.Count - 1}, 3); err != nil {
		return err
	}
	if s.measure == "away" {
		return b.moveLargeShard(ctx)
	}
	return b.moveHalf(ctx)
}

// bench is a cluster that is measured.
type bench struct {
	settings
	cluster *proc.Cluster
	masters *client.Shardmaster
}

// startCluster starts shardmasters and groups, which join in order.
func startCluster(ctx context.Context, s settings, binary, dir string, groups int) (*bench, error) {
	c, err := proc.NewCluster(proc.ClusterOptions{Binary: binary, Dir: dir, Shardmasters: 3, Groups: groups, Size: 3})
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, cluster: c}
	err = func() error {
		if err := c.Start(); err != nil {
			return err
		}
		for _, g := range c.All() {
			if err := g.Ready(ctx); err != nil {
				return err
			}
		}
		if b.masters, err = client.OpenShardmaster(ctx, c.Shardmasters.Public...); err != nil {
			return err
		}
		num := uint64(0)
		for i, g := range c.Groups {
			if num, err = b.masters.Join(ctx, shard.GroupID(i+1), g.Public); err != nil {
				return err
			}
		}
		return c.Settled(ctx, b.masters, num)
	}()
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.masters != nil {
		b.masters.Close()
	}
	b.cluster.Close()
}

// moveHalf measures the throughput of group 3 while the keys of group 1 move.
func (b *bench) moveHalf(ctx context.Context) error {
	begun := time.Now()
	if err := fill(b.cluster.Group(1), b.keys, b.value, 0, half); err != nil {
		return err
	}
	fmt.Printf("%d keys of %d bytes in group 1, in %v\n", b.keys, b.value, time.Since(begun).Round(time.Millisecond))
	load := startLoad(b.cluster.Group(3), b.clients, b.value, half, shard.Count)
	defer load.stop()
	fmt.Printf("%-6s %12s %12s %7s %12s\n", "round", "before/s", "moving/s", "ratio", "took")
	var ratios []float64
	for round := range b.rounds {
		before, err := load.rate(ctx, 5*time.Second)
		if err != nil {
			return err
		}
		from := load.done.Load()
		took, err := b.move(ctx, shard.Range{First: 0, Last: quarter - 1}, shard.GroupID(2-round%2))
		if err != nil {
			return err
		}
		during := float64(load.done.Load()-from) / took.Seconds()
		ratios = append(ratios, during/before)
		fmt.Printf("%-6d %12.0f %12.0f %7.2f %12v\n", round+1, before, during, during/before, took.Round(time.Millisecond))
	}
	slices.Sort(ratios)
	fmt.Printf("median ratio %.2f\n", ratios[len(ratios)/2])
	return load.failure()
}

// moveLargeShard measures how long one shard is away.
func (b *bench) moveLargeShard(ctx context.Context) error {
	tag := tagOf(0, quarter)
	id := shard.Of([]byte(tag))
	value := max(b.value, 1024)
	if err := fillTag(b.cluster.Group(1), tag, b.shardBytes, value); err != nil {
		return err
	}
	fmt.Printf("%d bytes in shard %d of group 1, in values of %d bytes\n", b.shardBytes, id, value)
	fmt.Printf("%-6s %12s %12s\n", "round", "away", "took")
	var gaps []time.Duration
	for round := range b.rounds {
		w := startWriter(b.cluster.Group(1), tag)
		took, err := b.move(ctx, shard.Range{First: id, Last: id}, shard.GroupID(2-round%2))
		gap, failure := w.stop()
		if err == nil {
			err = failure
		}
		if err != nil {
			return err
		}
		gaps = append(gaps, gap)
		fmt.Printf("%-6d %12v %12v\n", round+1, gap.Round(time.Millisecond), took.Round(time.Millisecond))
	}
	slices.Sort(gaps)
	fmt.Printf("median: the shard is away for %v\n", gaps[len(gaps)/2].Round(time.Millisecond))
	return nil
}

// move moves shards to a group and returns how long it took until every group had
// what it was to get.
func (b *bench) move(ctx context.Context, shards shard.Range, to shard.GroupID) (time.Duration, error) {
	begun := time.Now()
	num, err := b.masters.Move(ctx, shards, to)
	if err == nil {
		err = b.cluster.Settled(ctx, b.masters, num)
	}
	if err != nil {
		return 0, fmt.Errorf("move shards %v to group %d: %w", shards, to, err)
	}
	return time.Since(begun), nil
}
