package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"diskv/shard"
)

// compareGroups puts the same load on one group and on two.
func compareGroups(ctx context.Context, s settings, binary, dir string) error {
	const lasting = 5 * time.Second
	counts := []int{1, 2}
	var clusters []*bench
	for _, n := range counts {
		b, err := startCluster(ctx, s, binary, filepath.Join(dir, strconv.Itoa(n)), n)
		if err != nil {
			return err
		}
		defer b.close()
		clusters = append(clusters, b)
	}
	rates := make([][]float64, len(counts))
	fmt.Printf("%-6s %7s %12s %22s\n", "round", "groups", "writes/s", "processors busy")
	for round := range s.rounds {
		for i, b := range clusters {
			rate, busy, err := b.loadAll(ctx, lasting)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
			fmt.Printf("%-6d %7d %12.0f %18.0f %% of %d\n", round+1, counts[i], rate, 100*busy, runtime.NumCPU())
		}
	}
	for _, r := range rates {
		slices.Sort(r)
	}
	one, two := rates[0][s.rounds/2], rates[1][s.rounds/2]
	fmt.Printf("median: one group %.0f/s, two groups %.0f/s, ratio %.2f\n", one, two, two/one)
	return nil
}

// loadAll loads every group, with so many clients in all, and returns the writes a
// second and how busy the machine's processors were, from 0 to 1.
func (b *bench) loadAll(ctx context.Context, d time.Duration) (rate, busy float64, err error) {
	config, err := b.masters.Newest(ctx)
	if err != nil {
		return 0, 0, err
	}
	var loads []*load
	defer func() {
		for _, l := range loads {
			l.stop()
		}
	}()
	for i, g := range b.cluster.Groups {
		row := config.Ranges(shard.GroupID(i + 1))[0]
		loads = append(loads, startLoad(g, b.clients/len(b.cluster.Groups), b.value, int(row.First), int(row.Last)+1))
	}
	select { // connections are made, and files grow
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(time.Second):
	}
	done := func() (n int64) {
		for _, l := range loads {
			n += l.done.Load()
		}
		return n
	}
	used, all, err := processorTime()
	if err != nil {
		return 0, 0, err
	}
	from, begun := done(), time.Now()
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(d):
	}
	rate = float64(done()-from) / time.Since(begun).Seconds()
	used2, all2, err := processorTime()
	for _, l := range loads {
		if err == nil {
			err = l.failure()
		}
	}
	return rate, float64(used2-used) / float64(all2-all), err
}

// processorTime returns what the machine's processors have done since it was started,
// and could have done, in ticks.
func processorTime() (used, all uint64, err error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	for i, word := range strings.Fields(line)[1:] {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		const idle, waiting, guest = 3, 4, 8 // guests are in the user's time already
		if i >= guest {
			break
		}
		all += n
		if i != idle && i != waiting {
			used += n
		}
	}
	return used, all, nil
}
