package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

func TestWhatIsAppendedIsReplayed(t *testing.T) {
	dir := filepath.Join(tempDir(t), "a", "wal")
	o := quiet()
	a := watch(&o)
	l, err := Create(dir, testID, []byte("first"), o)
	require.NoError(t, err)
	require.EqualValues(t, testID, l.ID())
	require.EqualValues(t, 2, l.Append([]Record{state("promise"), data(7, "x")}))
	big := strings.Repeat("y", 200_000)
	recs := []Record{data(8, big), data(9, "")}
	require.EqualValues(t, 4, l.Append(recs))
	require.EqualValues(t, 3, recs[0].Index, "Append tells the caller the indices")
	require.EqualValues(t, 4, l.Append(nil))
	require.True(t, a.wait(4))
	require.EqualValues(t, 4, l.Durable())
	require.EqualValues(t, 4, l.LastIndex())
	require.EqualValues(t, 1, l.FirstIndex())
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), ErrClosed)

	want := []string{
		`0 state tag 0 "first"`,
		`1 state tag 0 "promise"`,
		`2 data tag 7 "x"`,
		`3 data tag 8 "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy... (200000 bytes)"`,
		`4 data tag 9 ""`,
	}
	for range 2 {
		before := golden.Tree(t, dir)
		got, report := reopen(t, dir)
		require.Equal(t, want, got)
		require.True(t, report.CleanClose)
		require.False(t, report.Rewritten)
		require.EqualValues(t, 4, report.LastIndex)
		require.EqualValues(t, 3, report.Data)
		require.Equal(t, before[filepath.Base(segmentDir("", 1))+"/"+segmentFile],
			golden.Tree(t, dir)[filepath.Base(segmentDir("", 1))+"/"+segmentFile], "a clean start writes nothing into the log")
	}
}

func TestIndicesGoOnAfterARestart(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			dir := tempDir(t)
			o := quiet()
			a := watch(&o)
			l, err := Create(dir, testID, nil, o)
			require.NoError(t, err)
			var want []string
			for round := range uint64(4) {
				require.Equal(t, round*2+2, l.Append([]Record{data(round, "a"), state("b")}))
				require.True(t, a.wait(round*2+2))
				if clean {
					require.NoError(t, l.Close())
				} else {
					kill(t, l)
				}
				replay, got := collect()
				var report Report
				l, report, err = Open(dir, o, replay)
				require.NoError(t, err)
				require.Equal(t, clean, report.CleanClose)
				require.Equal(t, !clean, report.Rewritten)
				require.False(t, report.Torn || report.Suspect)
				want = append(want, fmt.Sprintf(`%d data tag %d "a"`, round*2+1, round), fmt.Sprintf(`%d state tag 0 "b"`, round*2+2))
				require.Equal(t, want, (*got)[1:])
				a = watch(&o)
				require.NoError(t, l.Close())
				l, _, err = Open(dir, o, replay)
				require.NoError(t, err)
			}
			require.NoError(t, l.Close())
		})
	}
}

func TestParallelAppendsAreAllThereAndReportedInOrder(t *testing.T) {
	dir := tempDir(t)
	o := Options{SegmentBytes: 20_000}
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	const writers, each = 8, 200
	var wg sync.WaitGroup
	wanted := make([]string, writers*each*2+1)
	for w := range uint64(writers) {
		wg.Go(func() {
			for i := range uint64(each) {
				recs := []Record{data(w, fmt.Sprint(i)), state(fmt.Sprint(w, i))}
				last := l.Append(recs)
				wanted[last-1], wanted[last] = say(recs[0]), say(recs[1])
				if i%16 == 0 {
					a.wait(last)
					l.Roll()
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Close())
	require.False(t, a.late)
	require.EqualValues(t, writers*each*2, a.now())
	got, report := reopen(t, dir)
	require.Equal(t, wanted[1:], got[1:])
	require.Greater(t, report.LastSegment, uint64(3))
}

func TestSegmentsRollBySizeAndDrop(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	o.SegmentBytes = 1000
	a := watch(&o)
	l, err := Create(dir, testID, []byte("s0"), o)
	require.NoError(t, err)
	for i := range uint64(40) {
		require.True(t, a.wait(l.Append([]Record{data(i+1, strings.Repeat("v", 300)), state(fmt.Sprint("s", i+1))})))
	}
	require.Greater(t, l.Segments(), 4)
	require.Equal(t, treeSize(t, dir)-manifestSize, l.Bytes())

	require.NoError(t, l.DropThrough(20))
	first := l.FirstIndex()
	require.Greater(t, first, uint64(20), "most of what may go is gone")
	require.LessOrEqual(t, first, uint64(41), "nothing else is")
	require.Equal(t, treeSize(t, dir)-manifestSize, l.Bytes())

	require.NoError(t, l.DropThrough(1000))
	require.Eventually(t, func() bool { return l.Segments() == 1 }, waitFor, tick)
	require.NoError(t, l.DropThrough(3), "a lower one is harmless")
	first = l.FirstIndex()
	require.NoError(t, l.Close())

	got, report := reopen(t, dir)
	require.EqualValues(t, 80, report.LastIndex)
	require.Equal(t, first, report.FirstIndex)
	require.Equal(t, fmt.Sprintf(`%d state tag 0 "s%d"`, first-1, (first-1)/2), got[0], "the header carries the state")
	require.Len(t, got, int(80-first)+2)
}

func TestRollAtASnapshotLetsEverythingBeforeItGo(t *testing.T) {
	dir := tempDir(t)
	o := Options{}
	a := watch(&o)
	l, err := Create(dir, testID, []byte("s"), o)
	require.NoError(t, err)
	a.wait(l.Append([]Record{data(1, strings.Repeat("v", 5000)), data(2, "w")}))
	// The snapshot may be durable before the roll is.
	l.Roll()
	require.NoError(t, l.DropThrough(2))
	require.Eventually(t, func() bool { return l.FirstIndex() == 3 }, waitFor, tick)
	require.Less(t, l.Bytes(), int64(100))
	// An idle log that is rolled again and again does not change.
	ready(t, l)
	before := l.Bytes()
	for range 5 {
		l.Roll()
	}
	a.wait(l.Append([]Record{data(3, "")}))
	require.Equal(t, before+int64(entrySize(0)), l.Bytes())
	require.NoError(t, l.Close())
	got, _ := reopen(t, dir)
	require.Equal(t, []string{`0 state tag 0 "s"`, `3 data tag 3 ""`}, got)
}

func TestRollHappensBehindWhatWasQueued(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	hold := make(chan struct{})
	o.disk.before = func(c change) error {
		if c.kind == changeWrite && strings.HasSuffix(c.path, segmentFile) && c.off > 0 {
			<-hold
		}
		return nil
	}
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	ready(t, l)
	l.Append([]Record{data(1, "being written")})
	l.Append([]Record{data(2, "queued")})
	l.Roll()
	last := l.Append([]Record{data(3, "after")})
	close(hold)
	a.wait(last)
	require.NoError(t, l.Close())
	where := map[uint64]uint64{}
	_, err = Scan(dir, func(n uint64, r Record, _ int64) error {
		if r.Type == TypeData {
			where[r.Tag] = n
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, map[uint64]uint64{1: 1, 2: 1, 3: 2}, where)
}

func TestIdleLogIsSmallAndMarked(t *testing.T) {
	dir := tempDir(t)
	o := Options{idle: time.Millisecond}
	a := watch(&o)
	l, err := Create(dir, testID, []byte("a state of some forty bytes, as it may be"), o)
	require.NoError(t, err)
	a.wait(l.Append([]Record{data(1, "tiny")}))
	marks := func() (n int) {
		_, err := Scan(dir, func(_ uint64, r Record, _ int64) error {
			if r.Type == TypeMark {
				n++
			}
			return nil
		})
		require.NoError(t, err)
		return n
	}
	require.Eventually(t, func() bool { return marks() == 1 }, waitFor, tick)
	ready(t, l)
	require.Less(t, l.Bytes(), int64(330))
	require.NoError(t, l.Close())
	require.Less(t, treeSize(t, dir), int64(400), "what was kept ready is given back")
	require.Equal(t, 1, marks(), "one mark is enough")
}

func TestBusyLogWritesNoMarks(t *testing.T) {
	dir := tempDir(t)
	o := Options{idle: time.Hour}
	a := watch(&o)
	var syncs atomic.Int64
	o.OnSync = func(_ time.Duration, records, _ int) { syncs.Add(int64(records)) }
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	for i := range uint64(50) {
		a.wait(l.Append([]Record{data(i, "a client that waits for each answer")}))
	}
	require.NoError(t, l.Close())
	require.EqualValues(t, 50, syncs.Load())
	marks := 0
	_, err = Scan(dir, func(_ uint64, r Record, _ int64) error {
		if r.Type == TypeMark {
			marks++
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, marks, "the one of Close")
}

func TestAppendAfterCloseIsHarmless(t *testing.T) {
	dir := tempDir(t)
	l, err := Create(dir, testID, nil, quiet())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	l.Append([]Record{data(1, "x")})
	l.Roll()
	require.ErrorIs(t, l.DropThrough(1), ErrClosed)
	_, err = l.Read(0, 9, 9)
	require.ErrorIs(t, err, ErrClosed)
	_, report := reopen(t, dir)
	require.Zero(t, report.LastIndex)
}

func TestAppendRefusesWhatIsNotTheCallers(t *testing.T) {
	l, err := Create(tempDir(t), testID, nil, quiet())
	require.NoError(t, err)
	for _, r := range []Record{{}, {Type: TypeMark}, {Type: TypeHeader}, {Type: TypeState, Tag: 1}} {
		require.Panics(t, func() { l.Append([]Record{r}) })
	}
	require.NoError(t, l.Close())
}

func TestCreateAndOpenRefuse(t *testing.T) {
	dir := filepath.Join(tempDir(t), "wal")
	replay, _ := collect()

	_, _, err := Open(dir, quiet(), replay)
	require.ErrorIs(t, err, ErrNoLog)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.Mkdir(dir, 0o750))
	_, _, err = Open(dir, quiet(), replay)
	require.ErrorIs(t, err, ErrNoLog)
	_, err = Scan(dir, nil)
	require.ErrorIs(t, err, ErrNoLog)

	o := quiet()
	o.SegmentBytes = MaxSegmentBytes + 1
	_, err = Create(dir, testID, nil, o)
	require.ErrorContains(t, err, "segment size")

	fill(t, dir, quiet(), []Record{data(1, "x")})
	before := golden.Tree(t, dir)
	_, err = Create(dir, testID, nil, quiet())
	require.ErrorIs(t, err, ErrExists)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NoError(t, os.Remove(filepath.Join(dir, manifestName)))
	delete(before, manifestName)
	_, err = Create(dir, testID, nil, quiet())
	require.ErrorIs(t, err, ErrExists, "segments without MANIFEST are a damaged log, not room for a new one")
	require.Equal(t, before, golden.Tree(t, dir))
}

func TestErrorOfReplayEndsOpen(t *testing.T) {
	dir := tempDir(t)
	fill(t, dir, quiet(), []Record{data(1, "x"), data(2, "y")})
	before := golden.Tree(t, dir)
	stop := errors.New("stop")
	calls := 0
	_, _, err := Open(dir, quiet(), func(r Record) error {
		if calls++; r.Index == 1 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, 2, calls)
	require.Equal(t, before, golden.Tree(t, dir))
}
