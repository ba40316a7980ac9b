package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

// story is what was done to a log: what may be found in it and what must be.
type story struct {
	first    string            // the state that Create was given
	appended map[uint64]Record // by index
	acked    uint64
	dropped  uint64
	opened   bool
}

// tell takes over what the event e promised.
func (s *story) tell(e event) {
	s.acked, s.dropped = max(s.acked, e.ack), max(s.dropped, e.drop)
	s.opened = s.opened || e.opened
}

// check compares the story with what a log replayed: an unbroken row of what was
// appended, from a place in front of which everything was dropped to one behind
// everything that was acknowledged, with the newest state in front.
func (s *story) check(t *testing.T, got []Record, hint string) {
	t.Helper()
	require.NotEmpty(t, got, hint)
	require.Equal(t, TypeState, got[0].Type, hint)
	next := uint64(1)
	if len(got) > 1 {
		next = got[1].Index
	} else if s.acked > 0 {
		next = s.acked + 1 // whatever it is, all that was acknowledged must be dropped
	}
	want := Record{Type: TypeState, Payload: []byte(s.first)}
	for i := uint64(1); i < next; i++ {
		r := s.appended[i]
		require.LessOrEqual(t, r.Tag, s.dropped, "%s: record %d is missing at the front", hint, i)
		if r.Type == TypeState {
			want = r
		}
	}
	require.Equal(t, say(want), say(got[0]), hint)
	for i, r := range got[1:] {
		require.Equal(t, next+uint64(i), r.Index, hint)
		require.Equal(t, say(s.appended[r.Index]), say(r), hint)
	}
	require.GreaterOrEqual(t, next+uint64(len(got))-2, s.acked, "%s: acknowledged records are missing", hint)
}

// gather returns a replay function and the records that it gets.
func gather() (func(Record) error, *[]Record) {
	var got []Record
	return func(r Record) error {
		got = append(got, r)
		return nil
	}, &got
}

// actor drives a log and writes down what it did.
type actor struct {
	t     *testing.T
	tr    *trace
	dir   string
	story *story
	acks  *acks
	log   *Log
	rng   *rand.Rand

	restless bool
	ahead    bool // files have their size in advance
}

func (a *actor) options() Options {
	o := a.tr.options()
	o.disk.append = !a.ahead
	o.SegmentBytes = 1500
	if a.ahead {
		o.SegmentBytes = 12000
	}
	if a.restless && a.rng.IntN(2) == 0 {
		o.idle, o.rest = 20*time.Microsecond, 20*time.Microsecond // marks between the batches
	}
	o.Quarantine = filepath.Join(a.tr.base, "kept")
	a.acks = watch(&o)
	tell := o.OnDurable
	o.OnDurable = func(index uint64) {
		a.tr.add(event{ack: index})
		tell(index)
	}
	return o
}

func (a *actor) create() {
	var err error
	a.log, err = Create(a.dir, testID, []byte(a.story.first), a.options())
	require.NoError(a.t, err)
	a.tr.add(event{opened: true})
}

func (a *actor) open(hint string) {
	if a.acks != nil {
		a.story.acked = max(a.story.acked, a.acks.now())
	}
	replay, got := gather()
	l, report, err := Open(a.dir, a.options(), replay)
	require.NoError(a.t, err, hint)
	require.False(a.t, report.Suspect, "%s: a power cut made the log suspect: %v", hint, report.Cut)
	a.story.check(a.t, *got, hint)
	// What a crash left of records that were not acknowledged stays.
	a.log = l
	a.tr.add(event{ack: report.LastIndex})
}

// maxValue bounds the values: of a file that grows a power cut leaves any length, of one
// that has its size any sectors, which takes several.
func (a *actor) maxValue() int {
	if a.ahead {
		return 2700
	}
	return 900
}

// append queues n batches and waits for them.
func (a *actor) append(n int) {
	var last uint64
	for range n {
		var recs []Record
		for range 1 + a.rng.IntN(3) {
			i := a.log.LastIndex() + uint64(len(recs)) + 1
			r := data(i, fmt.Sprintf("%d:%s", i, strings.Repeat("v", a.rng.IntN(a.maxValue()))))
			if a.rng.IntN(3) == 0 {
				r = state(fmt.Sprint("state ", i))
			}
			recs = append(recs, r)
		}
		// It may be written, and found after a crash, before Append returns.
		for i, r := range recs {
			r.Index = a.log.LastIndex() + uint64(i) + 1
			a.story.appended[r.Index] = r
		}
		last = a.log.Append(recs)
		if a.rng.IntN(2) == 0 {
			a.acks.wait(last)
		}
	}
	a.acks.wait(last)
}

func (a *actor) roll() {
	ready(a.t, a.log)
	segments := a.log.Segments()
	a.log.Roll()
	require.Eventually(a.t, func() bool { return a.log.Segments() > segments }, waitFor, tick)
}

func (a *actor) drop(tag uint64) {
	a.tr.add(event{drop: tag})
	a.story.dropped = tag
	require.NoError(a.t, a.log.DropThrough(tag))
}

// crashes visits the disk before the first and behind every event of a trace.
func (tr *trace) crashes(s *story, visit func(at int)) {
	visit(0)
	for i, e := range tr.events {
		tr.step(e)
		s.tell(e)
		visit(i + 1)
	}
}

func TestPowerCutAtEveryStep(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { powerCuts(t, seed, false) })
		t.Run(fmt.Sprint("ahead,seed=", seed), func(t *testing.T) { powerCuts(t, seed, true) })
	}
}

// powerCuts has logs whose files grow, or have their size in advance.
func powerCuts(t *testing.T, seed uint64, ahead bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	base := tempDir(t)
	tr := newTrace(t, base)
	s := &story{first: "state 0", appended: map[uint64]Record{}}
	a := &actor{t: t, tr: tr, dir: filepath.Join(base, "data", "wal"), story: s, rng: rng, restless: true, ahead: ahead}
	a.create()
	a.append(6)
	a.roll()
	a.append(1)
	a.drop(8)
	require.NoError(t, a.log.Close())
	a.open("clean")
	a.append(8)
	kill(t, a.log)
	a.open("killed")
	a.append(3)
	a.roll()
	a.drop(a.log.LastIndex())
	a.append(2)
	kill(t, a.log)
	a.open("killed again")
	require.NoError(t, a.log.Close())

	s = &story{first: s.first, appended: s.appended}
	scratch := tempDir(t)
	states, cuts, rewritten := 0, 0, 0
	tr.crashes(s, func(at int) {
		for i, what := range []survival{nothing, everything, someSectors, someSectors, torn, torn} {
			states++
			hint := fmt.Sprintf("seed %d, crash behind event %d, variant %d", seed, at, i)
			root := filepath.Join(scratch, "state")
			restore(t, tr.start, root, what, rng)
			second := &actor{
				t: t, tr: newTrace(t, root), dir: filepath.Join(root, "data", "wal"), rng: rng, restless: true, ahead: ahead,
				story: &story{first: s.first, appended: map[uint64]Record{}, acked: s.acked, dropped: s.dropped, opened: s.opened},
			}
			for i, r := range s.appended {
				second.story.appended[i] = r
			}
			report, err := Scan(second.dir, func(uint64, Record, int64) error { return nil })
			if errors.Is(err, ErrNoLog) {
				require.False(t, s.opened, "%s: the log vanished", hint)
				second.create()
			} else {
				require.NoError(t, err, hint)
				second.open(hint)
				if report.Cut != nil {
					cuts++
				}
				if !report.CleanClose {
					rewritten++
				}
			}
			// And on from there, and into the next crash.
			if states%4 == 0 {
				second.append(2)
				kill(t, second.log)
				k := rng.IntN(len(second.tr.events) + 1)
				for _, e := range second.tr.events[:k] {
					second.tr.step(e)
					second.story.tell(e)
				}
				root := filepath.Join(scratch, "again")
				restore(t, second.tr.start, root, someSectors, rng)
				third := &actor{t: t, tr: newTrace(t, root), dir: filepath.Join(root, "data", "wal"), rng: rng, story: second.story, ahead: ahead}
				if _, err := Scan(third.dir, func(uint64, Record, int64) error { return nil }); !errors.Is(err, ErrNoLog) || s.opened {
					third.open(hint + fmt.Sprintf(", again behind event %d", k))
					kill(t, third.log)
				}
				require.NoError(t, os.RemoveAll(root))
			} else {
				kill(t, second.log)
			}
			require.NoError(t, os.RemoveAll(root))
		}
	})
	t.Logf("%d events, %d states of the disk, %d torn, %d rewritten", len(tr.events), states, cuts, rewritten)
	require.Greater(t, cuts, 12, "the test must tear logs")
}

// TestModelOfTheDisk compares the end of a trace with the real files: the power
// cuts above are worth what the trace is.
func TestModelOfTheDisk(t *testing.T) {
	t.Run("growing", func(t *testing.T) { modelOfTheDisk(t, false) })
	t.Run("ahead", func(t *testing.T) { modelOfTheDisk(t, true) })
}

func modelOfTheDisk(t *testing.T, ahead bool) {
	t.Helper()
	base := tempDir(t)
	tr := newTrace(t, base)
	a := &actor{
		t: t, tr: tr, dir: filepath.Join(base, "wal"), rng: rand.New(rand.NewPCG(1, 1)),
		story: &story{appended: map[uint64]Record{}}, ahead: ahead,
	}
	a.create()
	a.append(9)
	a.roll()
	a.drop(5)
	kill(t, a.log)
	a.open("killed")
	a.append(1)
	require.NoError(t, a.log.Close())
	for _, e := range tr.events {
		tr.step(e)
	}
	for _, what := range []survival{nothing, everything, cached} {
		root := filepath.Join(tempDir(t), "state")
		restore(t, tr.start, root, what, a.rng)
		require.Equal(t, golden.Tree(t, base), golden.Tree(t, root), "behind a clean close everything is on the medium")
	}
}

// TestTailIsRewrittenAfterAFailedSync: the page cache keeps what a failed sync
// did not write and shows it to the next start as if it were on the disk.
func TestTailIsRewrittenAfterAFailedSync(t *testing.T) {
	for seed := range uint64(20) {
		base := tempDir(t)
		tr := newTrace(t, base)
		a := &actor{
			t: t, tr: tr, dir: filepath.Join(base, "wal"), rng: rand.New(rand.NewPCG(seed, 2)),
			story: &story{appended: map[uint64]Record{}}, ahead: seed%2 == 1,
		}
		a.create()
		a.append(3)
		ready(t, a.log)
		broken := errors.New("input/output error")
		tr.broken = func(c change) error {
			if c.kind == changeSync {
				return broken
			}
			return nil
		}
		durable := a.log.Durable()
		a.append(2)
		require.ErrorIs(t, a.log.Close(), broken)
		require.Equal(t, durable, a.acks.now())
		require.Len(t, a.acks.failed, 1)
		tr.broken = nil
		a.open("behind the failed sync") // checks that it may be there
		after := a.log.LastIndex()
		require.Greater(t, after, durable, "the page cache shows more than was acknowledged")
		a.append(1)
		last := a.log.LastIndex()
		kill(t, a.log)

		s := &story{appended: a.story.appended}
		for _, e := range tr.events {
			tr.step(e)
			s.tell(e)
		}
		require.Equal(t, last, s.acked)
		root := filepath.Join(tempDir(t), "state")
		restore(t, tr.start, root, nothing, a.rng)
		replay, got := gather()
		l, report, err := Open(filepath.Join(root, "wal"), quiet(), replay)
		require.NoError(t, err)
		require.Nil(t, report.Cut, "nothing that the log was built on was only in the page cache")
		s.check(t, *got, "power cut")
		require.NoError(t, l.Close())
	}
}
