package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
)

func TestSamplesAreWhatHappenedInBetween(t *testing.T) {
	m := newTestMetrics()
	spec := func(name string) *kv.Spec {
		s, ok := m.table.Lookup([]byte(name))
		require.True(t, ok, name)
		return s
	}
	m.begin(spec("set")).done(false)
	begun := time.Unix(1000, 0)
	before := m.read(begun)
	for range 20 {
		m.begin(spec("set")).done(false)
		m.begin(spec("get")).done(true)
	}
	m.begin(spec("ping")).done(false)
	m.refused([]byte("set"))
	for range 10 {
		m.observeSync(3*time.Millisecond, 5, 1000)
		m.observeDecided([]replica.Decided{{Proposed: time.Since(m.started) - 7*time.Millisecond, Commands: 4, Bytes: 400}})
	}
	after := m.read(begun.Add(2 * time.Second))
	s := after.since(&before)
	require.EqualValues(t, 1002_000, s.Time)
	require.InDelta(t, 10, s.Writes, 0)
	require.InDelta(t, 10, s.Reads, 0, "PING reads no keys")
	require.InDelta(t, 10.5, s.Errors, 0)
	require.InDelta(t, 5, s.Syncs, 0)
	require.InEpsilon(t, 0.003, s.Sync.P99, 0.25)
	require.InEpsilon(t, 0.007, s.Commit.P50, 0.25)
	require.Equal(t, &summary{P50: 4, P99: 4}, s.Batch)
	require.NotNil(t, s.Commands)

	s = after.since(&after)
	require.Nil(t, s.Commands)
	require.Nil(t, s.Sync)
	require.Nil(t, s.Commit)
	require.Nil(t, s.Batch)
}

func TestHistoryIsBounded(t *testing.T) {
	n := &Node{service: keyValue{}, started: time.Now(), clients: &clients{}}
	n.metrics = newMetrics(n)
	h := newHistory(n)
	at := func(i int) time.Time { return time.Unix(int64(i), 0) }
	h.last = n.metrics.read(at(0))
	var s Status
	s.Disks = []replica.DiskStatus{{Votes: true}, {Votes: true}, {}}
	s.Members = []replica.MemberStatus{{Match: 9}, {Match: 7}, {}}
	s.Last = paxos.Slot(9)
	for i := range samplesKept + 50 {
		h.take(at(i+1), &s)
	}
	all := h.after(0)
	require.Len(t, all, samplesKept)
	require.EqualValues(t, (samplesKept+50)*1000, all[samplesKept-1].Time)
	require.EqualValues(t, 2, *all[0].Lag, "of a member that was never heard nothing is known")
	require.Len(t, h.after(all[samplesKept-3].Time), 2)
	require.Equal(t, []sample{}, h.after(all[samplesKept-1].Time), "a list in JSON")
}
