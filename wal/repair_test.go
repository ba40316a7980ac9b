package wal

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

// damagedEnds are logs whose ends a repair cuts: what they hold before, and what is
// behind that.
var damagedEnds = map[string]struct {
	behind  string
	suspect bool
}{
	"torn":    {"\x2d" + frameMagic + strings.Repeat("\x00", 1200) + "end", false},
	"suspect": {strings.Repeat("g", 900), true},
}

// endLog makes a log of two segments in base/wal with something behind its end, and
// returns the path of its tail and what it replays.
func endLog(t *testing.T, base, behind string) (tail string, full []string) {
	t.Helper()
	dir := filepath.Join(base, "wal")
	o := quiet()
	o.SegmentBytes = 500
	fill(t, dir, o,
		[]Record{data(1, strings.Repeat("1", 300)), data(2, strings.Repeat("2", 300))},
		[]Record{data(3, "3"), state("promised")}, []Record{data(4, "4")})
	tail = segmentPath(dir, 2)
	whole, err := os.ReadFile(tail)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(tail, append(whole, behind...), 0o600))
	return tail, []string{`0 state tag 0 "state 0"`, say(withIndex(data(1, strings.Repeat("1", 300)), 1)), say(withIndex(data(2, strings.Repeat("2", 300)), 2)),
		`3 data tag 3 "3"`, `4 state tag 0 "promised"`, `5 data tag 4 "4"`}
}

func withIndex(r Record, index uint64) Record {
	r.Index = index
	return r
}

func TestRepair(t *testing.T) {
	for what, end := range damagedEnds {
		t.Run(what, func(t *testing.T) {
			base := tempDir(t)
			tail, full := endLog(t, base, end.behind)
			dir := filepath.Join(base, "wal")
			o := quiet()
			o.Quarantine = filepath.Join(base, "kept")
			before := golden.Tree(t, base)
			if end.suspect {
				_, err := Repair(dir, o, false)
				require.ErrorIs(t, err, ErrSuspect)
				require.Equal(t, before, golden.Tree(t, base), "nothing is changed")
			}
			report, err := Repair(dir, o, end.suspect)
			require.NoError(t, err)
			require.Equal(t, end.suspect, report.Suspect)
			kept, err := os.ReadFile(report.Cut.Kept)
			require.NoError(t, err)
			require.Equal(t, end.behind, string(kept))
			require.FileExists(t, tail)

			after := golden.Tree(t, base)
			again, err := Repair(dir, o, false)
			require.NoError(t, err)
			require.False(t, again.Suspect)
			require.Nil(t, again.Cut)
			require.Equal(t, after, golden.Tree(t, base), "a second one finds nothing to do")
			got, opened := reopen(t, dir)
			require.Equal(t, full, got)
			require.False(t, opened.Suspect)
		})
	}
}

// TestRepairRefusesDamage: it is no end.
func TestRepairRefusesDamage(t *testing.T) {
	base := tempDir(t)
	tail, _ := endLog(t, base, "")
	first := segmentPath(filepath.Join(base, "wal"), 1)
	b, err := os.ReadFile(first)
	require.NoError(t, err)
	b[200] ^= 1
	require.NoError(t, os.WriteFile(first, b, 0o600))
	before := golden.Tree(t, base)
	_, err = Repair(filepath.Dir(filepath.Dir(tail)), quiet(), true)
	require.ErrorAs(t, err, new(*CorruptionError))
	require.Equal(t, before, golden.Tree(t, base))
}

// TestCrashAtEveryStepOfARepair: wherever a repair is interrupted, the records in
// front of the end are there, what is behind it is in the log or in quarantine, an end
// that was not accepted to its end is still suspect, and a second repair completes it.
func TestCrashAtEveryStepOfARepair(t *testing.T) {
	for what, end := range damagedEnds {
		t.Run(what, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			base := tempDir(t)
			_, full := endLog(t, base, end.behind)
			tr := newTrace(t, base)
			o := tr.options()
			o.Quarantine = filepath.Join(base, "kept")
			_, err := Repair(filepath.Join(base, "wal"), o, true)
			require.NoError(t, err)
			states, pending := 0, 0
			tr.crashes(&story{}, func(at int) {
				for i, left := range []survival{nothing, everything, someSectors, someSectors, torn, torn} {
					states++
					hint := fmt.Sprintf("crash behind event %d of %d, variant %d", at, len(tr.events), i)
					root := filepath.Join(tempDir(t), "state")
					restore(t, tr.start, root, left, rng)
					dir := filepath.Join(root, "wal")
					var got []string
					report, err := Scan(dir, func(_ uint64, r Record, _ int64) error {
						if r.Type == TypeData || r.Type == TypeState {
							got = append(got, say(r))
						}
						return nil
					})
					require.NoError(t, err, hint)
					require.Equal(t, full[1:], got, hint)
					if report.Cut == nil {
						require.True(t, keptIn(t, filepath.Join(root, "kept"), end.behind), "%s: what was cut is kept", hint)
					}
					if end.suspect && report.Cut != nil {
						require.True(t, report.Suspect, hint)
					}
					if report.Suspect {
						pending++
						_, err := Repair(dir, quiet(), false)
						require.ErrorIs(t, err, ErrSuspect, hint)
					}
					again := quiet()
					again.Quarantine = filepath.Join(root, "kept")
					_, err = Repair(dir, again, true)
					require.NoError(t, err, hint)
					require.True(t, keptIn(t, again.Quarantine, end.behind), hint)
					replayed, report := reopen(t, dir)
					require.Equal(t, full, replayed, hint)
					require.False(t, report.Suspect, hint)
				}
			})
			t.Logf("%d events, %d states of the disk, %d of them suspect", len(tr.events), states, pending)
			require.Equal(t, end.suspect, pending > 0)
		})
	}
}

// keptIn tells whether a file of quarantine has the content.
func keptIn(t *testing.T, dir, content string) bool {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	for _, c := range golden.Tree(t, dir) {
		if c == content {
			return true
		}
	}
	return false
}
