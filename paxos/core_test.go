package paxos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBallotOrder(t *testing.T) {
	ordered := []Ballot{{}, {0, 1}, {1, 0}, {1, 1}, {1, 6}, {2, 0}, {1 << 63, 0}}
	for i, a := range ordered {
		for j, b := range ordered {
			require.Equal(t, i < j, a.Less(b), "%v < %v", a, b)
			require.Equal(t, i == j, a.Compare(b) == 0)
		}
		require.Equal(t, i > 1, a.Valid(), "%v", a)
	}
	require.Equal(t, "3.2", Ballot{3, 2}.String())
}

func TestVectorOver(t *testing.T) {
	v := Vector{{1, 9}}
	require.True(t, v.over(0, Life{0, 8}), "a later life under another nonce")
	require.False(t, v.over(0, Life{0, 9}), "the same life, which does not know its epoch yet")
	require.False(t, v.over(0, Life{1, 8}), "equal epochs")
	require.False(t, v.over(0, Life{2, 8}))
	require.False(t, v.over(1, Life{0, 8}), "nothing known")
}

func TestAgreedClock(t *testing.T) {
	const hour = int64(time.Hour)
	for _, tt := range []struct {
		walls []int64
		want  int64
	}{
		{[]int64{5}, 5},
		{[]int64{5, 6}, 5},
		{[]int64{hour, 6}, 6},
		{[]int64{7, 5, 6}, 6},
		{[]int64{hour, 5, 6}, 6},
		{[]int64{-hour, 5, 6}, 5},
		{[]int64{hour, 8, 7, 6}, 7},
	} {
		require.Equal(t, tt.want, agreedClock(tt.walls))
	}
}

func TestWindow(t *testing.T) {
	put := func(w *window, s Slot, size int) { w.put(heldEntry{Entry: Entry{Slot: s, Value: make([]byte, size)}}) }
	w := window{first: 5}
	require.Equal(t, Slot(4), w.last())
	for s := range Slot(4) {
		put(&w, 5+s, 100)
	}
	require.Equal(t, Slot(8), w.last())
	require.Equal(t, 4*(100+entryOverhead), w.bytes)
	put(&w, 6, 50)
	require.Equal(t, 4*(100+entryOverhead)-50, w.bytes, "another value takes the place of the old one")
	require.Panics(t, func() { put(&w, 10, 1) }, "no gap")
	require.Panics(t, func() { put(&w, 4, 1) })
	require.Nil(t, w.get(4))
	require.Nil(t, w.get(9))

	require.Len(t, w.slice(5, 8, 1), 1, "at least one")
	require.Len(t, w.slice(5, 8, 2*(100+entryOverhead)), 2)
	require.Len(t, w.slice(5, 7, 1<<20), 3)
	require.Empty(t, w.slice(4, 8, 1<<20))

	w.trim(6, 0)
	require.Equal(t, Slot(7), w.first, "nothing above applied is dropped")
	w.trim(8, 100+entryOverhead)
	require.Equal(t, Slot(8), w.first, "only what is above the budget")

	w.dropThrough(6)
	require.Equal(t, Slot(8), w.first)
	put(&w, 9, 10)
	w.dropThrough(8)
	require.Equal(t, []Slot{9, 9}, []Slot{w.first, w.last()})
	require.Equal(t, 10+entryOverhead, w.bytes)
	w.dropThrough(20)
	require.Equal(t, []Slot{21, 20}, []Slot{w.first, w.last()})
	require.Zero(t, w.bytes)
}

// TestChosenValueIsDefended: an Accept for a slot that is known as chosen, with
// another value, means that the protocol is broken somewhere. It is not acked.
func TestChosenValueIsDefended(t *testing.T) {
	c := testCore(t, 3)
	accept := func(b Ballot, v string) Accept {
		return Accept{Ballot: b, Commit: 1, First: 1, Entries: []Entry{{Slot: 1, Kind: KindBatch, Value: []byte(v)}}}
	}
	step(c, 1, accept(Ballot{1, 1}, "a"))
	require.NotPanics(t, func() { step(c, 2, accept(Ballot{2, 2}, "a")) })
	require.PanicsWithValue(t,
		"paxos: replica 0: broken invariant: slot 1 is chosen with one value and proposed under 3.1 with another",
		func() { step(c, 1, accept(Ballot{3, 1}, "b")) })
}

// TestCommitCoversWhatIsHeld: a commit index says nothing of entries that were
// accepted under an older ballot. Here slots 2 and 3 are left from one.
func TestCommitCoversWhatIsHeld(t *testing.T) {
	entries := func(n int, v string) []Entry {
		var out []Entry
		for s := range Slot(n) {
			out = append(out, Entry{Slot: s + 1, Kind: KindBatch, Value: []byte(v)})
		}
		return out
	}
	c := testCore(t, 3)
	step(c, 1, Accept{Ballot: Ballot{1, 1}, First: 1, Entries: entries(3, "old")})
	step(c, 2, Heartbeat{Ballot: Ballot{2, 2}, Commit: 3, Round: 1})
	require.Zero(t, c.Commit())
	step(c, 2, Accept{Ballot: Ballot{2, 2}, Commit: 3, First: 1, Entries: entries(1, "new")})
	require.Equal(t, Slot(1), c.Commit())
	c.Durable(c.Ready().Sync)
	applied := c.Ready().Committed
	require.Len(t, applied, 1)
	require.Equal(t, "new", string(applied[0].Value))
	step(c, 2, Accept{Ballot: Ballot{2, 2}, Commit: 3, First: 1, Entries: entries(3, "new")})
	require.Equal(t, Slot(3), c.Commit())
}

// TestBallotOfAnother: a replica uses its own ballots only.
func TestBallotOfAnother(t *testing.T) {
	c := testCore(t, 3)
	step(c, 1, Prepare{Ballot: Ballot{1, 2}, From: 1})
	step(c, 1, Heartbeat{Ballot: Ballot{1, 2}, Round: 1})
	step(c, 1, Heartbeat{Round: 1})
	rd := c.Ready()
	require.Empty(t, rd.Messages)
	require.Empty(t, rd.AfterSync)
	require.False(t, c.Promised().Valid())
}

func TestMisuse(t *testing.T) {
	require.Panics(t, func() { New(Config{Size: 3, ID: 3}) })
	require.Panics(t, func() { New(Config{Size: 8}) })
	c := testCore(t, 3)
	require.Panics(t, func() { c.Step(Envelope{Cluster: 2, Group: 1, From: 1, Message: Heartbeat{}}) }, "another cluster")
	require.Panics(t, func() { step(c, 0, Heartbeat{}) }, "from itself")
	require.Panics(t, func() { step(c, 1, SnapshotAck{}) }, "not for the core")
	require.Panics(t, func() { c.Durable(1) }, "a sync that was not asked for")
	require.Panics(t, func() { c.Truncated(1) }, "a log that nothing covers")
}

// TestRestoreRefuses: a log with a hole, or that goes back, is not one that was
// written here.
func TestRestoreRefuses(t *testing.T) {
	entry := func(s Slot, b Ballot) Entry { return Entry{Slot: s, Ballot: b, Kind: KindNoop} }
	c := testCore(t, 3)
	require.NoError(t, c.RestoreEntry(entry(1, Ballot{2, 1})))
	require.Equal(t, Ballot{2, 1}, c.Promised(), "to accept is to promise")
	require.ErrorContains(t, c.RestoreEntry(entry(3, Ballot{2, 1})), "entry of slot 3 behind slot 1")
	require.ErrorContains(t, c.RestoreCommit(2), "commit index 2 above the last entry, 1")
	require.NoError(t, c.RestoreHardState(HardState{Promised: Ballot{2, 1}}))
	require.ErrorContains(t, c.RestoreHardState(HardState{Promised: Ballot{1, 1}}), "behind one of 2.1")
	require.NoError(t, c.RestoreHardState(HardState{Promised: Ballot{3, 1}, Commit: 1}))
	require.Len(t, c.TakeCommitted(), 1)
	require.NoError(t, c.RestoreEntry(entry(1, Ballot{3, 1})), "chosen already: ignored")
	require.Empty(t, c.TakeCommitted(), "nothing is applied twice")
}

// TestRestoreSnapshot: what the snapshot covers in the log is skipped, and a
// promise of the log never lowers that of the snapshot.
func TestRestoreSnapshot(t *testing.T) {
	c := New(testCore(t, 3).cfg)
	c.RestoreSnapshot(5, HardState{Promised: Ballot{4, 1}, Vector: Vector{{0, 1}, {1, 2}}})
	require.NoError(t, c.RestoreHardState(HardState{Promised: Ballot{2, 0}, Commit: 3, Vector: Vector{{0, 1}, {0, 9}}}))
	require.NoError(t, c.RestoreEntry(Entry{Slot: 4, Ballot: Ballot{2, 0}, Kind: KindNoop}))
	require.NoError(t, c.RestoreEntry(Entry{Slot: 6, Ballot: Ballot{2, 0}, Kind: KindNoop}))
	c.Start(0, 0)
	require.Equal(t, []Slot{5, 5, 6, 6}, []Slot{c.Applied(), c.Commit(), c.Last(), c.LogStart()})
	require.Equal(t, Ballot{4, 1}, c.Promised())
	require.Equal(t, Life{1, 2}, c.HardState().Vector[1], "the newer life wins")
}

// TestFullPipe: no more than InflightBytes go to a member that does not answer,
// and one answer opens the way again.
func TestFullPipe(t *testing.T) {
	c := testCore(t, 3)
	leader(t, c)
	sent := func() int {
		n := 0
		for _, e := range c.Ready().Messages {
			if a, ok := e.Message.(Accept); ok && e.To == 2 {
				n += len(a.Entries)
			}
		}
		return n
	}
	total := 0
	for range 20 {
		_, ok := c.Propose(KindBatch, make([]byte, 1<<20))
		require.True(t, ok)
		total += sent()
	}
	require.Equal(t, 8, total, "8 MiB")
	step(c, 2, Accepted{Ballot: Ballot{1, 0}, Through: 4})
	require.Equal(t, 4, sent())
}

// TestSlowElection: a disk that takes longer than an election timeout delays
// an election and does not prevent it.
func TestSlowElection(t *testing.T) {
	c := testCore(t, 3)
	candidate(t, c)
	rd := c.Ready()
	for at := time.Second; at < 30*time.Second; at += 100 * time.Millisecond {
		c.Tick(at, 0)
		require.False(t, c.Ready().MustSync, "no further ballot")
	}
	c.Durable(rd.Sync)
	step(c, 2, Promise{Ballot: Ballot{1, 0}, From: 1, LogStart: 1})
	require.Equal(t, Leader, c.Role())
}
