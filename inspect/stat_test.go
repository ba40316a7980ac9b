package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/paxos"
	"diskv/wal"
)

func TestStat(t *testing.T) {
	b := ballot(1, 0)
	cmd := func(words ...string) []byte {
		c := kv.Command{}
		for _, w := range words {
			c.Args = append(c.Args, []byte(w))
		}
		return c.Append(nil)
	}
	once := kv.Command{Session: kv.NewSessionID(5e9, 77), Seq: 4, Args: [][]byte{[]byte("append"), []byte("hot"), []byte("x")}}
	dir := makeDir(t, identity(0), 0, []wal.Record{
		state(b, 0),
		entry(1, b, 0, paxos.KindBatch, batch(b, 1e9, cmd("set", "hot", "1"), cmd("DEL", "hot", "cold"), once.Append(nil))),
		entry(2, b, 1, paxos.KindNoop, nil),
		entry(3, b, 2, paxos.KindBatch, batch(b, 3e9, cmd("set", "cold", "1"), []byte("?"), []byte{0x81, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})),
		entry(4, b, 3, paxos.KindBatch, batch(b, 2e9)),
	})
	d, err := Open(dir)
	require.NoError(t, err)
	s, err := d.Stat(nil)
	require.NoError(t, err)
	require.Equal(t, uint64(3), s.Batches)
	require.Equal(t, uint64(6), s.Commands)
	require.Equal(t, uint64(1), s.Sessions)
	require.Equal(t, []Bucket{{0, 0, 1}, {1, 1, 0}, {2, 3, 2}}, s.CommandsPerBatch.Buckets())
	require.Equal(t, uint64(3), s.CommandsPerBatch.Max)
	require.Equal(t, []uint64{3, 0, 3}, s.Timeline.Counts)
	var names, keys []string
	for _, n := range s.Names {
		names = append(names, fmt.Sprintf("%s %d", n.Name, n.Count))
	}
	for _, n := range s.Keys {
		keys = append(keys, fmt.Sprintf("%s %d", n.Name, n.Count))
	}
	require.Equal(t, []string{"SET 2", "? 1", "APPEND 1", "DEL 1", "HANDOVER 1"}, names)
	require.Equal(t, []string{"hot 3", "cold 2"}, keys)
	require.True(t, s.Exact)
}

func TestTimelineGrows(t *testing.T) {
	var l Timeline
	sum := uint64(0)
	for i := range 10000 {
		l.add(time.Unix(int64(i*7), 0), 2)
		sum += 2
	}
	l.add(time.Unix(-5, 0), 1)
	total := uint64(0)
	for _, n := range l.Counts {
		total += n
	}
	require.Equal(t, sum+1, total)
	require.LessOrEqual(t, len(l.Counts), maxMoments)
	require.Equal(t, 2048*time.Second, l.Width)
	for _, n := range l.Counts[:len(l.Counts)-1] {
		require.InDelta(t, 2048/7*2, n, 3, "evenly")
	}
	l.add(time.Unix(1<<62, 0), 1)
	l.add(time.Unix(-1<<62, 0), 1)
	require.LessOrEqual(t, len(l.Counts), maxMoments)
}

func TestTallyFindsWhatIsFrequent(t *testing.T) {
	c := tally{counts: map[string]uint64{}}
	for i := range 5 * maxTally {
		c.add(fmt.Appendf(nil, "rare %d", i))
		if i%10 == 0 {
			c.add([]byte("hot"))
		}
	}
	top := c.top(1)[0]
	require.Equal(t, "hot", top.Name.String())
	require.LessOrEqual(t, top.Count, uint64(maxTally/2))
	require.GreaterOrEqual(t, top.Count+c.missed, uint64(maxTally/2))
	require.LessOrEqual(t, len(c.counts), maxTally)
}
