package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// replayed returns a replica made of what the disk of m holds, before Start.
func (m *member) replayed(log []Record) (*Replica, error) {
	r, err := New(Config{Identity: m.identity, Machine: newTestMachine(), Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		return nil, err
	}
	for _, rec := range log {
		if err := r.Replay(rec); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// TestReplayOfEveryPrefix: whatever a power cut leaves of the log, the replay
// applies a prefix of what was chosen, in order, and more of the log never
// means less of the state.
func TestReplayOfEveryPrefix(t *testing.T) {
	g := formed(t, 3, Options{IdleTime: time.Hour})
	m := g.members[1]
	for i := range 40 {
		lead := g.leader()
		lead.propose(fmt.Sprintf("set k%d %d", i%3, i))
		for range 3 {
			g.run(10 * time.Millisecond)
		}
		if i == 20 {
			g.isolate(lead) // records under several ballots
			g.run(2 * time.Second)
			g.heal()
			g.run(time.Second)
		}
	}
	g.requireConverged()
	byApplied := map[paxos.Slot]string{}
	var last paxos.Slot
	for n := range len(m.log) + 1 {
		r, err := m.replayed(m.log[:n])
		require.NoError(t, err)
		applied := r.core.Applied()
		require.GreaterOrEqual(t, applied, last)
		last = applied
		state := r.machine.(*testMachine).state()
		if old, ok := byApplied[applied]; ok {
			require.Equal(t, old, state)
		}
		byApplied[applied] = state
	}
	require.GreaterOrEqual(t, last+1, m.r.core.Applied(), "but for the commit index that did not ride any more")
	require.Greater(t, len(byApplied), 30)
}

// TestReplayKeepsAnswers: what a replica has answered is applied by its replay
// with the same records, even if nobody else can be asked.
func TestReplayKeepsAnswers(t *testing.T) {
	g := formed(t, 1, Options{})
	for i := range 20 {
		g.set(fmt.Sprintf("set a %d", i))
	}
	m := g.leader()
	before := m.machine().state()
	m.crash()
	m.start()
	g.run(100 * time.Millisecond)
	require.Equal(t, "19", m.machine().items["a"].value)
	require.Equal(t, before, m.machine().state())
}

// TestReplayAppliesTheChosenOnly: what is durable here and chosen nowhere is not
// applied by a replay.
func TestReplayAppliesTheChosenOnly(t *testing.T) {
	g := formed(t, 3, Options{})
	for i := range 5 {
		g.set(fmt.Sprintf("set a %d", i))
	}
	m := g.leader()
	g.isolate(m)
	for i := range 3 {
		m.propose(fmt.Sprintf("set x %d", i))
		g.settle()
	}
	require.Equal(t, paxos.Slot(8), m.r.core.Last())
	require.Equal(t, paxos.Slot(5), m.r.core.Applied())
	r, err := m.replayed(m.log)
	require.NoError(t, err)
	require.Equal(t, paxos.Slot(8), r.core.Last())
	require.Equal(t, paxos.Slot(5), r.core.Applied())
	require.NotContains(t, r.machine.(*testMachine).items, "x")
}

func TestReplayRefuses(t *testing.T) {
	g := formed(t, 3, Options{})
	for i := range 5 {
		g.set(fmt.Sprintf("set a %d", i))
	}
	m := g.leader()
	var entries []int
	for i, rec := range m.log {
		if rec.Kind == RecordEntry {
			entries = append(entries, i)
		}
	}
	require.Len(t, entries, 5)

	without := append(append([]Record{}, m.log[:entries[2]]...), m.log[entries[3]:]...)
	_, err := m.replayed(without)
	require.ErrorContains(t, err, "entry of slot 4 behind slot 2")

	_, err = m.replayed([]Record{{Kind: 9}})
	require.ErrorContains(t, err, "unknown kind 9")
	_, err = m.replayed([]Record{{Kind: RecordState, Payload: []byte{1, 2}}})
	require.ErrorContains(t, err, "hard state")
	_, err = m.replayed([]Record{{Kind: RecordEntry, Slot: 1, Payload: []byte{1, 2}}})
	require.ErrorContains(t, err, "too few")
	_, err = m.replayed([]Record{entryRecord(paxos.Entry{Slot: 1, Ballot: paxos.Ballot{Round: 1}, Kind: paxos.KindNoop}, 7)})
	require.ErrorContains(t, err, "commit index 7 above the last entry, 1")
	_, err = m.replayed([]Record{entryRecord(paxos.Entry{Slot: 1, Ballot: paxos.Ballot{Round: 1}, Kind: paxos.KindBatch, Value: []byte{9}}, 1)})
	require.ErrorContains(t, err, "slot 1: batch: version 9")
}

func TestNewRefuses(t *testing.T) {
	good := Identity{Cluster: 1, LogID: 1, Size: 3, Phase: PhaseMember, Life: paxos.Life{Nonce: 1}}
	tests := []struct {
		name   string
		change func(c *Config)
		want   string
	}{
		{"index", func(c *Config) { c.Identity.Index = 3 }, "index 3 in a group of 3"},
		{"log without a cluster", func(c *Config) { c.Identity.Phase, c.Identity.Cluster = PhaseRecovering, 0 }, "a log without a cluster"},
		{"header of another snapshot", func(c *Config) { c.Snapshot.Slot, c.Header.Slot = 5, 4 }, "header for slot 4"},
		{"damaged state", func(c *Config) { c.Snapshot.Slot, c.Header.Slot = 5, 5 }, "snapshot of slot 5: hard state"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Identity: good, Machine: newTestMachine(), Rand: rand.New(rand.NewPCG(1, 2))}
			tt.change(&cfg)
			_, err := New(cfg)
			require.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("log of a group that has not formed", func(t *testing.T) {
		id := good
		id.Phase, id.Cluster, id.LogID = PhaseForming, 0, 0
		r, err := New(Config{Identity: id, Machine: newTestMachine(), Rand: rand.New(rand.NewPCG(1, 2))})
		require.NoError(t, err)
		require.ErrorContains(t, r.Replay(Record{Kind: RecordState}), "has not formed")
	})
}

func TestChosenEntries(t *testing.T) {
	rec := func(s paxos.Slot, round uint64, v string) Record {
		return entryRecord(paxos.Entry{Slot: s, Ballot: paxos.Ballot{Round: round}, Kind: paxos.KindBatch, Value: []byte(v)}, 0)
	}
	log := []Record{
		{Kind: RecordState, Payload: paxos.AppendHardState(nil, paxos.HardState{})},
		rec(3, 1, "three"), rec(4, 1, "old"), rec(5, 1, "old"),
		rec(4, 2, "four"), rec(5, 2, "five"), rec(7, 2, "seven"),
	}
	tests := []struct {
		from  paxos.Slot
		limit int
		want  string
	}{
		{3, 1000, "three four five"},
		{4, 1000, "four five"},
		{4, 8, "four five"},
		{4, 7, "four"},
		{4, 0, "four"}, // at least one
		{7, 1000, "seven"},
		{2, 1000, ""}, // the log does not hold it any more
		{6, 1000, ""},
		{8, 1000, ""},
	}
	for _, tt := range tests {
		entries, err := ChosenEntries(log, tt.from, tt.limit)
		require.NoError(t, err)
		got := ""
		for i, e := range entries {
			require.Equal(t, tt.from+paxos.Slot(i), e.Slot)
			if i > 0 {
				got += " "
			}
			got += string(e.Value)
		}
		require.Equal(t, tt.want, got, "from %d, %d bytes", tt.from, tt.limit)
	}
	_, err := ChosenEntries([]Record{{Kind: RecordEntry, Slot: 3, Payload: []byte{1}}}, 3, 10)
	require.Error(t, err)
	_, err = ChosenEntries([]Record{{Kind: RecordEntry, Slot: 4, Payload: rec(3, 1, "x").Payload}}, 3, 10)
	require.ErrorContains(t, err, "filed under slot 4")
}

// TestCatchUpFromLog: a member that lags more than memory holds is brought up
// to date from the log on disk, whatever else is in there.
func TestCatchUpFromLog(t *testing.T) {
	g := formed(t, 3, Options{WindowBytes: 1})
	behind := g.followers()[0]
	g.isolate(behind)
	for i := range 50 {
		g.set(fmt.Sprintf("set k%d %d", i%3, i))
	}
	lead := g.leader()
	lead.slow = true
	lead.propose("set last 1")
	g.heal()
	g.run(time.Second)
	require.False(t, lead.said("sending a snapshot"))
	lead.slow = false
	g.requireConverged()
}
