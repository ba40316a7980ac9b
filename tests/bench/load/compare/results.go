package main

import (
	"slices"
	"time"

	"diskv/tests/bench/load/loop"
)

// results are what a comparison has found: docs/performance.json, from which the page
// and the chart are made.
type results struct {
	Date     string    `json:"date"`
	Machine  machine   `json:"machine"`
	Versions []version `json:"versions"`
	Settings settings  `json:"settings"`
	Servers  []command `json:"servers"`
	Loads    []command `json:"loads"`

	Syncs      []syncs     `json:"syncs"` // of the disk, before each round
	Measured   []measured  `json:"measured"`
	Footprints []footprint `json:"footprints"`
}

// settings are what every round has in common.
type settings struct {
	Rounds     int           `json:"rounds"`
	Duration   time.Duration `json:"duration_ns"` // of each load
	Warmup     time.Duration `json:"warmup_ns"`
	Keys       int           `json:"keys"`
	ValueBytes int           `json:"value_bytes"`
}

// version is what a program says of itself.
type version struct {
	System  string `json:"system"`
	Version string `json:"version"`
}

// command is a command line, as it was executed in the directory of the bench.
type command struct {
	Name string `json:"name"`
	Line string `json:"line"`
}

// measured is one load on one system.
type measured struct {
	Round     int         `json:"round"`
	Workload  string      `json:"workload"`
	System    string      `json:"system"`
	Report    loop.Report `json:"report"`
	Processor float64     `json:"system_processor_seconds"` // of the system, warm-up included
	Idle      float64     `json:"idle_processor_seconds"`   // of the systems that were not loaded, meanwhile
	Lasted    float64     `json:"lasted_seconds"`           // of both
}

// figure takes a number out of a load.
type figure func(m measured) float64

func throughput(m measured) float64 { return m.Report.Throughput }
func p50(m measured) float64        { return m.Report.Latency.P50 }
func p99(m measured) float64        { return m.Report.Latency.P99 }
func p999(m measured) float64       { return m.Report.Latency.P999 }

// spread is the middle of some numbers and their ends.
type spread struct{ Median, Low, High float64 }

// spreadOf returns the zero spread of no numbers.
func spreadOf(xs []float64) spread {
	if len(xs) == 0 {
		return spread{}
	}
	xs = slices.Sorted(slices.Values(xs))
	n := len(xs)
	return spread{Median: (xs[(n-1)/2] + xs[n/2]) / 2, Low: xs[0], High: xs[n-1]}
}

// of returns the loads of a system with a workload, by round.
func (r *results) of(workload, system string) []measured {
	var ms []measured
	for _, m := range r.Measured {
		if m.Workload == workload && m.System == system {
			ms = append(ms, m)
		}
	}
	slices.SortStableFunc(ms, func(a, b measured) int { return a.Round - b.Round })
	return ms
}

// figure returns the spread of a figure over the rounds.
func (r *results) figure(workload, system string, f figure) spread {
	var xs []float64
	for _, m := range r.of(workload, system) {
		xs = append(xs, f(m))
	}
	return spreadOf(xs)
}

// ratio returns the spread of the ratios of a figure of diskv to that of another system.
// Each ratio is of one round, so that a machine that changes its mind changes it for both.
func (r *results) ratio(workload, other string, f figure) spread {
	var xs []float64
	others := r.of(workload, other)
	for _, m := range r.of(workload, diskv) {
		i := slices.IndexFunc(others, func(o measured) bool { return o.Round == m.Round })
		if i >= 0 && f(others[i]) > 0 {
			xs = append(xs, f(m)/f(others[i]))
		}
	}
	return spreadOf(xs)
}

// workload is a load that every system in it is put under.
type workload struct {
	name, title string
	clients     int
	pipeline    int
	reads       float64
	systems     []string
	chart       figure // what the chart shows
	unit        string // of that
}

var workloads = []workload{
	{"set-1", "SET, 1 client", 1, 1, 0, systemNames, p50, "median latency in µs: less is better"},
	{"set-256", "SET, 256 clients", 256, 1, 0, systemNames, throughput, "requests a second: more is better"},
	{"set-pipelined", "SET, 50 clients, pipelined by 16", 50, 16, 0, []string{diskv, redis}, throughput, "requests a second: more is better"},
	{"get-256", "GET, 256 clients", 256, 1, 1, systemNames, throughput, "requests a second: more is better"},
}

// target is a figure that diskv is to reach.
type target struct {
	workload string
	what     string
	bound    float64
	atMost   bool // or else at least
	value    func(r *results, workload string) spread
	format   func(float64) string
}

func ratioTo(other string, f figure) func(*results, string) spread {
	return func(r *results, workload string) spread { return r.ratio(workload, other, f) }
}

var targets = []target{
	{"set-1", "p50, of etcd's", 0.4, true, ratioTo(etcd, p50), times},
	{"set-256", "throughput, of etcd's", 4, false, ratioTo(etcd, throughput), times},
	{"set-256", "throughput, of that of Redis", 0.8, false, ratioTo(redis, throughput), times},
	{"set-pipelined", "requests a second, where Redis does 240,000", 100_000, false,
		func(r *results, w string) spread { return r.figure(w, diskv, throughput) }, count},
	{"get-256", "throughput, of etcd's", 2.5, false, ratioTo(etcd, throughput), times},
}

// reached tells whether the median is within the bound.
func (t target) reached(s spread) bool {
	if t.atMost {
		return s.Median > 0 && s.Median <= t.bound
	}
	return s.Median >= t.bound
}
