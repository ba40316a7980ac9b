package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/bench/load/loop"
)

// example returns results of three rounds. In the second everything is twice as slow,
// as on a machine that is busy with something else.
func example() *results {
	r := &results{
		Date: "2026-01-02",
		Machine: machine{
			Cores: 2, Processor: "Example", Memory: 8 << 30, Kernel: "6.1", FileSystem: "ext4",
		},
		Versions: []version{{diskv, "commit abc"}, {etcd, "3.7.3"}, {redis, "7.0.15"}},
		Settings: settings{Rounds: 3, Duration: 10e9, Warmup: 2e9, Keys: 100_000, ValueBytes: 100},
		Servers:  []command{{"redis-0", "redis-server --port 1 --save ''"}},
		Loads:    []command{{"set-1", "./load --clients 1"}},
		Syncs:    []syncs{{100, 200}, {200, 400}, {110, 210}},
		Footprints: []footprint{
			{diskv, 300 << 20, 310 << 20, 50 << 20}, {etcd, 200 << 20, 210 << 20, 400 << 20}, {redis, 20 << 20, 21 << 20, 30 << 20},
		},
	}
	speed := map[string]float64{diskv: 40_000, etcd: 8_000, redis: 60_000}
	for round, slow := range []float64{1, 2, 1} {
		for _, w := range workloads {
			for _, name := range w.systems {
				rate := speed[name] * float64(w.pipeline) / slow
				us := 1e6 * float64(w.clients*w.pipeline) / rate
				r.Measured = append(r.Measured, measured{
					Round: round, Workload: w.name, System: name, Processor: 12, Idle: 0.6, Lasted: 12,
					Report: loop.Report{
						Requests: int64(10 * rate), Seconds: 10, Throughput: rate, LoadProcessor: 5,
						Latency: loop.Latency{Mean: us, P50: us, P99: 3 * us, P999: 4 * us, Max: 9 * us},
					},
				})
			}
		}
	}
	return r
}

func TestSpread(t *testing.T) {
	require.Equal(t, spread{}, spreadOf(nil))
	require.Equal(t, spread{7, 7, 7}, spreadOf([]float64{7}))
	require.Equal(t, spread{2.5, 1, 4}, spreadOf([]float64{4, 1, 3, 2}))
	xs := []float64{9, 1, 5}
	require.Equal(t, spread{5, 1, 9}, spreadOf(xs))
	require.Equal(t, []float64{9, 1, 5}, xs, "they belong to the caller")
}

func TestRatiosAreOfOneRound(t *testing.T) {
	r := example()
	require.Equal(t, spread{40_000, 20_000, 40_000}, r.figure("set-256", diskv, throughput))
	// The slow round was slow for both.
	require.Equal(t, spread{5, 5, 5}, r.ratio("set-256", etcd, throughput))
	require.Equal(t, spread{0.2, 0.2, 0.2}, r.ratio("set-256", etcd, p50))

	require.Equal(t, spread{}, r.ratio("set-pipelined", etcd, throughput), "etcd has none")
	for i := range r.Measured {
		if m := &r.Measured[i]; m.Round == 1 && m.System == etcd {
			m.Report.Throughput = 0
		}
	}
	require.Equal(t, spread{5, 5, 5}, r.ratio("set-256", etcd, throughput), "a round without one of them has no ratio")
}

func TestTargets(t *testing.T) {
	least := target{bound: 4}
	require.True(t, least.reached(spread{Median: 4}))
	require.False(t, least.reached(spread{Median: 3.99, High: 9}))
	most := target{bound: 0.4, atMost: true}
	require.True(t, most.reached(spread{Median: 0.4, High: 9}))
	require.False(t, most.reached(spread{Median: 0.41}))
	require.False(t, most.reached(spread{}), "what was not measured is not reached")

	r := example()
	var got []targetRow
	for _, x := range targets {
		got = append(got, r.judge(x))
	}
	require.Equal(t, []targetRow{
		{"SET, 1 client", "p50, of etcd's", "at most 0.40×", "0.20×", "0.20× to 0.20×", "yes"},
		{"SET, 256 clients", "throughput, of etcd's", "at least 4.00×", "5.00×", "5.00× to 5.00×", "yes"},
		{"SET, 256 clients", "throughput, of that of Redis", "at least 0.80×", "0.67×", "0.67× to 0.67×", "**no**"},
		{"SET, 50 clients, pipelined by 16", "requests a second, where Redis does 240,000", "at least 100,000", "640,000", "320,000 to 640,000", "yes"},
		{"GET, 256 clients", "throughput, of etcd's", "at least 2.50×", "5.00×", "5.00× to 5.00×", "yes"},
	}, got)
}

func TestEverySystemIsFirstInTurn(t *testing.T) {
	var first []string
	for turn := range 3 {
		order := rotated(systemNames, turn)
		require.ElementsMatch(t, systemNames, order)
		first = append(first, order[0])
	}
	require.Equal(t, systemNames, first)
	require.Equal(t, []string{diskv, etcd, redis}, systemNames, "the order of tables stays")
}
