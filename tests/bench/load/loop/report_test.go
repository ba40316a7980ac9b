package loop

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPercentilesAreOfAllTallies(t *testing.T) {
	sent := time.Now()
	var tallies []*tally
	for i := range 4 {
		tl := newTally()
		for us := i + 1; us <= 10_000; us += 4 {
			rs := []request{{read: us%2 == 0}}
			as := []answer{{at: sent.Add(time.Duration(us) * time.Microsecond)}}
			tl.add(rs, as, sent, true, nil)
		}
		tallies = append(tallies, tl)
	}
	r := report(Options{Clients: 4}, tallies, 2*time.Second)
	require.EqualValues(t, 10_000, r.Requests)
	require.InDelta(t, 5000, r.Throughput, 0.001)
	require.InEpsilon(t, 5000, r.Latency.P50, 0.001)
	require.InEpsilon(t, 9900, r.Latency.P99, 0.001)
	require.InEpsilon(t, 9990, r.Latency.P999, 0.001)
	require.InEpsilon(t, 10_000, r.Latency.Max, 0.001)
	require.InEpsilon(t, 5000.5, r.Latency.Mean, 0.001)
	require.InEpsilon(t, 10_000, r.ReadLatency.Max, 0.001)
	require.InEpsilon(t, 9999, r.WriteLatency.Max, 0.001)
}

func TestWhatIsCountedWhere(t *testing.T) {
	sent := time.Now()
	later := sent.Add(time.Millisecond)
	rs := []request{{}, {read: true}, {}, {}, {}}
	as := []answer{{at: later}, {at: later, missing: true}, {at: later, failed: "MISCONF"}, {at: later, redirected: true}, {}}
	tl := newTally()
	tl.add(rs, as, sent, true, errors.New("hung up"))
	r := report(Options{}, []*tally{tl}, time.Second)
	require.EqualValues(t, 2, r.Requests)
	require.EqualValues(t, 1, r.Missing)
	require.EqualValues(t, 1, r.Redirected)
	require.Equal(t, map[string]int64{"MISCONF": 1, lostWord: 1}, r.Errors)

	tl = newTally()
	tl.add(rs, as, sent, false, errors.New("hung up"))
	r = report(Options{}, []*tally{tl}, time.Second)
	require.Zero(t, r.Requests, "the warm-up is not measured")
	require.EqualValues(t, 2, r.Failed(), "but its errors are not kept quiet")
}

func TestTimesBeyondTheRangeAreItsEnd(t *testing.T) {
	sent := time.Now()
	tl := newTally()
	tl.add([]request{{}}, []answer{{at: sent.Add(time.Hour)}}, sent, true, nil)
	r := report(Options{}, []*tally{tl}, time.Second)
	require.InEpsilon(t, float64(longest.Microseconds()), r.Latency.Max, 0.001)
}

func TestReportsJSONHasTheWordsOfTheManual(t *testing.T) {
	b, err := json.Marshal(Report{Errors: map[string]int64{}})
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(b, &m))
	for _, name := range []string{"throughput", "latency", "errors", "requests", "seconds"} {
		require.Contains(t, m, name)
	}
	for _, name := range []string{"p50_us", "p99_us", "p99.9_us"} {
		require.Contains(t, m["latency"], name)
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	good := Options{
		Addrs: []string{"a:1"}, Clients: 1, Pipeline: 1, Keys: 1, Duration: time.Second, Timeout: time.Second,
	}
	require.NoError(t, good.Check())
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{"no address", func(o *Options) { o.Addrs = nil }},
		{"0 clients", func(o *Options) { o.Clients = 0 }},
		{"pipeline of 0", func(o *Options) { o.Pipeline = 0 }},
		{"etcd has no pipelines", func(o *Options) { o.Etcd, o.Pipeline = true, 2 }},
		{"values of -1 bytes", func(o *Options) { o.ValueBytes = -1 }},
		{"0 keys", func(o *Options) { o.Keys = 0 }},
		{"share of reads 1.5", func(o *Options) { o.Reads = 1.5 }},
		{"for etcd only", func(o *Options) { o.Conns = 2 }},
		{"neither a duration", func(o *Options) { o.Duration = 0 }},
		{"timeout", func(o *Options) { o.Timeout = 0 }},
	} {
		o := good
		c.change(&o)
		require.ErrorContains(t, o.Check(), c.want)
	}
}

func TestRequestsAreSharedOutExactly(t *testing.T) {
	l := &load{o: Options{Pipeline: 16, Requests: 100}}
	l.left.Store(100)
	var sum int64
	for range 10 {
		sum += l.take(true)
	}
	require.EqualValues(t, 100, sum)
	require.EqualValues(t, 16, l.take(false), "the warm-up takes what it wants")
}

func TestKeys(t *testing.T) {
	require.Equal(t, "key:000000000000", string(putKey(nil, 0)))
	require.Equal(t, "key:000000012340", string(putKey([]byte("something longer than a key"), 12340)))
	require.Equal(t, "key:999999999999", string(putKey(nil, maxKeys-1)))
}

func TestFillTakesEveryKeyOnce(t *testing.T) {
	o := Options{Clients: 3, Pipeline: 4, Keys: 50, ValueBytes: 5, Fill: true}
	seen := make(map[string]int)
	for client := range o.Clients {
		c := newChoice(o, client)
		buffers := c.buffers()
		for rs := c.fill(buffers, 4); len(rs) > 0; rs = c.fill(buffers, 4) {
			for _, r := range rs {
				require.Len(t, r.set, 5)
				seen[string(r.key)]++
			}
		}
	}
	require.Len(t, seen, 50)
	for key, n := range seen {
		require.Equal(t, 1, n, key)
	}
}
