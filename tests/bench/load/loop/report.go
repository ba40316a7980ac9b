package loop

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a load has shown. Its JSON is what `load --json` prints.
type Report struct {
	Clients    int     `json:"clients"`
	Pipeline   int     `json:"pipeline"`
	Conns      int     `json:"connections"`
	ValueBytes int     `json:"value_bytes"`
	Keys       int     `json:"keys"`
	Reads      float64 `json:"reads"` // share of GET

	Seconds    float64 `json:"seconds"`    // that were measured
	Requests   int64   `json:"requests"`   // that were answered in them, without errors
	Throughput float64 `json:"throughput"` // Requests a second

	Missing    int64            `json:"missing"`    // those of them that were GETs of keys that are not there
	Redirected int64            `json:"redirected"` // requests that another member was to execute
	Errors     map[string]int64 `json:"errors"`     // by the first word of the error; in the warm-up too

	Latency      Latency  `json:"latency"` // of the requests
	ReadLatency  *Latency `json:"read_latency,omitempty"`
	WriteLatency *Latency `json:"write_latency,omitempty"`

	// LoadProcessor is the processor time, in seconds, that the load itself took.
	LoadProcessor float64 `json:"load_processor_seconds"`
}

// Failed returns how many requests have failed.
func (r Report) Failed() int64 {
	var n int64
	for _, k := range r.Errors {
		n += k
	}
	return n
}

// Latency is a distribution, in microseconds.
type Latency struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p99.9_us"`
	Max  float64 `json:"max_us"`
}

// The histograms' digits, and the longest time they tell from longer ones.
const (
	digits  = 3
	longest = time.Minute
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longest), digits)
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	us := func(ns float64) float64 { return ns / float64(time.Microsecond) }
	return Latency{
		Mean: us(h.Mean()),
		P50:  us(float64(h.ValueAtQuantile(50))),
		P99:  us(float64(h.ValueAtQuantile(99))),
		P999: us(float64(h.ValueAtQuantile(99.9))),
		Max:  us(float64(h.Max())),
	}
}

// tally counts the answers of some clients.
type tally struct {
	mu            sync.Mutex
	reads, writes *hdrhistogram.Histogram
	missing       int64
	redirected    int64
	errors        map[string]int64
}

func newTally() *tally {
	return &tally{reads: newHistogram(), writes: newHistogram(), errors: make(map[string]int64)}
}

// add counts answers to requests that were sent at some time. Those that are not
// measured count if they are errors. lost is why answers have not come.
func (t *tally) add(rs []request, as []answer, sent time.Time, measured bool, lost error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, a := range as {
		switch {
		case a.at.IsZero() && lost != nil:
			t.errors[lostWord]++
		case a.failed != "":
			t.errors[a.failed]++
		case !measured:
		case a.redirected:
			t.redirected++
		default:
			if a.missing {
				t.missing++
			}
			h := t.writes
			if rs[i].read {
				h = t.reads
			}
			_ = h.RecordValue(min(max(int64(a.at.Sub(sent)), 1), int64(longest))) // it is in the range
		}
	}
}

// lostWord is what answers that have not come are counted under.
const lostWord = "connection lost"

// report puts tallies together.
func report(o Options, tallies []*tally, lasted time.Duration) Report {
	reads, writes := newHistogram(), newHistogram()
	r := Report{
		Clients: o.Clients, Pipeline: o.Pipeline, ValueBytes: o.ValueBytes, Keys: o.Keys, Reads: o.Reads,
		Seconds: lasted.Seconds(), Errors: make(map[string]int64),
	}
	for _, t := range tallies {
		t.mu.Lock()
		reads.Merge(t.reads)
		writes.Merge(t.writes)
		r.Missing += t.missing
		r.Redirected += t.redirected
		for word, n := range maps.All(t.errors) {
			r.Errors[word] += n
		}
		t.mu.Unlock()
	}
	if reads.TotalCount() > 0 && writes.TotalCount() > 0 {
		rl, wl := latencyOf(reads), latencyOf(writes)
		r.ReadLatency, r.WriteLatency = &rl, &wl
	}
	reads.Merge(writes)
	r.Latency = latencyOf(reads)
	r.Requests = reads.TotalCount()
	if lasted > 0 {
		r.Throughput = float64(r.Requests) / lasted.Seconds()
	}
	return r
}
