package server

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestBucketsOfAHistogram(t *testing.T) {
	for i := 1; i < buckets; i++ {
		require.Less(t, bound(i-1), bound(i))
		require.Equal(t, i, bucketOf(bound(i)), "the bound is in the bucket")
		require.Equal(t, i, bucketOf(bound(i-1)+1), "what is above the last bound, too")
		if i >= 4 {
			require.LessOrEqual(t, float64(bound(i))/float64(bound(i-1)), 1.25)
		}
	}
	require.Equal(t, 0, bucketOf(0))
	require.Equal(t, 0, bucketOf(1))
	require.Equal(t, buckets-1, bucketOf(math.MaxUint64))
	require.EqualValues(t, 1<<27, bound(buckets-1))
}

func TestQuantilesOfAHistogram(t *testing.T) {
	var h histogram
	before := h.read()
	require.Zero(t, before.quantile(0.5), "of nothing")
	for i := range 1000 {
		h.observeTime(time.Duration(i+1) * time.Millisecond)
	}
	d := h.read()
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		require.InEpsilon(t, q, d.time(q).Seconds(), 0.125, "%v", q)
	}
	require.EqualValues(t, 1000, d.count)
	require.EqualValues(t, 500500*time.Millisecond, d.sum)
	h.observeTime(-time.Second)
	h.observeTime(time.Hour)
	now := h.read()
	later := now.since(&d)
	require.EqualValues(t, 2, later.count)
	require.Greater(t, later.time(1), 2*time.Minute, "the last bucket holds all that is above")
	later.add(&d)
	require.Equal(t, now, later)
}

func TestAHistogramForPrometheus(t *testing.T) {
	var h histogram
	h.observeTime(64 * time.Microsecond) // in the bucket whose bound it is
	h.observeTime(64*time.Microsecond + 1)
	h.observeTime(time.Minute)
	const want = `
# HELP x Of a test.
# TYPE x histogram
x_bucket{le="3.2e-05"} 0
x_bucket{le="6.4e-05"} 1
x_bucket{le="0.000128"} 2
x_bucket{le="0.000256"} 2
x_bucket{le="0.000512"} 2
x_bucket{le="0.001024"} 2
x_bucket{le="0.002048"} 2
x_bucket{le="0.004096"} 2
x_bucket{le="0.008192"} 2
x_bucket{le="0.016384"} 2
x_bucket{le="0.032768"} 2
x_bucket{le="0.065536"} 2
x_bucket{le="0.131072"} 2
x_bucket{le="0.262144"} 2
x_bucket{le="0.524288"} 2
x_bucket{le="1.048576"} 2
x_bucket{le="2.097152"} 2
x_bucket{le="4.194304"} 2
x_bucket{le="8.388608"} 2
x_bucket{le="16.777216"} 2
x_bucket{le="+Inf"} 3
x_sum 60.000128001
x_count 3
`
	require.NoError(t, testutil.CollectAndCompare(shown{&h}, strings.NewReader(want)))
}

// shown is a histogram of times as Prometheus sees it.
type shown struct{ *histogram }

var shownDesc = prometheus.NewDesc("x", "Of a test.", nil, nil)

func (s shown) Describe(ch chan<- *prometheus.Desc) { ch <- shownDesc }

func (s shown) Collect(ch chan<- prometheus.Metric) {
	d := s.read()
	ch <- d.metric(shownDesc, fineTimes)
}

func BenchmarkHistogram(b *testing.B) {
	var h histogram
	for b.Loop() {
		h.observeTime(123 * time.Microsecond)
	}
}
