package server

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// histogram counts numbers above zero in buckets, four to each power of two, so that a
// quantile is off by less than an eighth. To note one is two atomic additions, and
// takes no memory.
//
// Bucket i holds what is above bound(i-1) and not above bound(i).
type histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Uint64
}

// buckets reach to 2^27: two minutes in microseconds, 128 MiB in bytes. The last one
// holds all that is above, too.
const buckets = 4 * 26

// bucketOf returns the bucket of a number. Zero counts as one.
func bucketOf(v uint64) int {
	v = max(v, 1) - 1
	if v < 4 {
		return int(v)
	}
	exp := bits.Len64(v) - 1
	return min(4*(exp-1)+int(v>>(exp-2)&3), buckets-1)
}

// bound returns the highest number in a bucket.
func bound(bucket int) uint64 {
	if bucket < 4 {
		return uint64(bucket) + 1
	}
	exp := bucket/4 + 1
	return uint64(4+bucket%4+1) << (exp - 2)
}

// observe notes a number.
func (h *histogram) observe(v uint64) {
	h.counts[bucketOf(v)].Add(1)
	h.sum.Add(v)
}

// observeTime notes a duration, in a histogram of durations: the buckets are of
// microseconds, begun ones counted; the sum is in nanoseconds.
func (h *histogram) observeTime(d time.Duration) {
	ns := uint64(max(d, 0))
	h.counts[bucketOf((ns+999)/1000)].Add(1)
	h.sum.Add(ns)
}

// distribution is what a histogram held at one time, or what came between two times.
type distribution struct {
	counts [buckets]uint64
	count  uint64
	sum    uint64
}

// read copies what the histogram holds.
func (h *histogram) read() distribution {
	var d distribution
	d.sum = h.sum.Load()
	for i := range h.counts {
		d.counts[i] = h.counts[i].Load()
		d.count += d.counts[i]
	}
	return d
}

// since returns what has come since an earlier reading.
func (d *distribution) since(before *distribution) distribution {
	out := distribution{count: d.count - before.count, sum: d.sum - before.sum}
	for i := range d.counts {
		out.counts[i] = d.counts[i] - before.counts[i]
	}
	return out
}

// add adds what another histogram held.
func (d *distribution) add(other *distribution) {
	d.count += other.count
	d.sum += other.sum
	for i := range d.counts {
		d.counts[i] += other.counts[i]
	}
}

// quantile returns the number, about, below or at which a share q of all are; zero if
// there are none.
func (d *distribution) quantile(q float64) float64 {
	rank := q * float64(d.count)
	below := 0.0
	for i, n := range d.counts {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		from := 0.0
		if i > 0 {
			from = float64(bound(i - 1))
		}
		return from + (float64(bound(i))-from)*(rank-below)/float64(n)
	}
	return 0
}

// time returns a quantile of a histogram of durations.
func (d *distribution) time(q float64) time.Duration {
	return time.Duration(d.quantile(q) * float64(time.Microsecond))
}

// metric returns the distribution for Prometheus: a bucket for each step-th power of
// two from first to last, in numbers of unit. sumUnit is that of the sum.
func (d *distribution) metric(desc *prometheus.Desc, r bucketRange, labels ...string) prometheus.Metric {
	cumulative := make(map[float64]uint64)
	i, below := 0, uint64(0)
	for exp := r.first; exp <= r.last; exp += r.step {
		for ; i < buckets && bound(i) <= 1<<exp; i++ {
			below += d.counts[i]
		}
		cumulative[float64(uint64(1)<<exp)/r.unit] = below
	}
	return prometheus.MustNewConstHistogram(desc, d.count, float64(d.sum)/r.sumUnit, cumulative, labels...)
}

// bucketRange says which buckets of a histogram Prometheus is shown: those with the
// bounds 2^first, 2^(first+step), ... 2^last. Bounds and sum are divided by the units.
type bucketRange struct {
	first, last, step int
	unit, sumUnit     float64
}

var (
	// fineTimes reach from 32 us to 16.8 s, coarseTimes from 16 us in steps of four.
	fineTimes   = bucketRange{first: 5, last: 24, step: 1, unit: 1e6, sumUnit: 1e9}
	coarseTimes = bucketRange{first: 4, last: 24, step: 2, unit: 1e6, sumUnit: 1e9}
	// numbers reach from 1 to 4096, sizes from 64 bytes to 16 MiB.
	numbers = bucketRange{first: 0, last: 12, step: 1, unit: 1, sumUnit: 1}
	sizes   = bucketRange{first: 6, last: 24, step: 2, unit: 1, sumUnit: 1}
)
