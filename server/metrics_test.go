package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/replica"
)

// countsOf returns what was counted of a command.
func countsOf(m *metrics, name string) (found commandReading) {
	for r := range m.used {
		if r.spec.Name == name {
			found = r
		}
	}
	return found
}

func newTestMetrics() *metrics { return newMetrics(&Node{service: keyValue{}, started: time.Now()}) }

func TestCountsOfACommand(t *testing.T) {
	m := newTestMetrics()
	get, ok := kv.Lookup([]byte("get"))
	require.True(t, ok)
	for range m.used {
		require.Fail(t, "nothing was tried")
	}
	m.begin(get).done(false)
	m.begin(get).done(true)
	m.begin(get).rejected()
	m.refused([]byte("GET"))
	m.refused([]byte("nosuch"))
	counting{}.done(false)
	counting{}.rejected()
	r := countsOf(m, "get")
	require.EqualValues(t, 2, r.calls())
	require.EqualValues(t, 1, r.failed)
	require.EqualValues(t, 2, r.rejected)
	require.Positive(t, r.time())

	m.reset()
	require.Zero(t, countsOf(m, "get"))
	m.begin(get).done(true)
	r = countsOf(m, "get")
	require.EqualValues(t, 1, r.calls())
	require.EqualValues(t, 1, r.failed)
	require.Zero(t, r.rejected)
	require.EqualValues(t, 3, m.commands[get].latency.read().count, "what Prometheus sees goes on")
}

func TestCountingTakesNoMemory(t *testing.T) {
	m := newTestMetrics()
	get, _ := kv.Lookup([]byte("get"))
	decided := []replica.Decided{{Commands: 3, Bytes: 90}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.begin(get).done(true)
		m.observeSync(time.Millisecond, 1, 100)
		m.observeDecided(decided)
	}))
}

func BenchmarkCounting(b *testing.B) {
	m := newTestMetrics()
	get, _ := kv.Lookup([]byte("get"))
	for b.Loop() {
		m.begin(get).done(false)
	}
}

// TestEveryMetricIsDescribed: docs/monitoring.md names every metric that there is, and no
// other.
func TestEveryMetricIsDescribed(t *testing.T) {
	n := &Node{service: keyValue{}, started: time.Now()}
	descs := make(chan *prometheus.Desc, 200)
	(&statusCollector{node: n}).Describe(descs)
	countCollector{newMetrics(n)}.Describe(descs)
	close(descs)
	var there []string
	for d := range descs {
		there = append(there, regexp.MustCompile(`diskv_\w+`).FindString(d.String()))
	}
	doc, err := os.ReadFile("../docs/monitoring.md")
	require.NoError(t, err)
	var described []string
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "| `diskv_") {
			names, _, _ := strings.Cut(line[2:], "|")
			described = append(described, regexp.MustCompile(`diskv_\w+`).FindAllString(names, -1)...)
		}
	}
	slices.Sort(described)
	slices.Sort(there)
	require.Equal(t, there, slices.Compact(described))
}
