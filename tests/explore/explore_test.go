package explore

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var deep = flag.Bool("explore.deep", false, "search further: minutes, and up to some GiB of memory")

// search is a search that must find nothing.
type search struct {
	name   string
	deep   bool
	script string // in testdata; played first
	bounds bounds
	part   bool // too large for a whole search: only the nearest bounds.states are visited
}

var searches = []search{
	{name: "3/two rounds", bounds: bounds{
		members: 3, candidates: ids(0, 1), rounds: 2, slots: 1, proposals: 2,
	}},
	{name: "3/all run", bounds: bounds{
		members: 3, candidates: ids(0, 1, 2), rounds: 1, slots: 1, proposals: 2, slow: ids(0),
	}},
	{name: "3/two slots", script: "led", bounds: bounds{
		members: 3, candidates: ids(1), rounds: 2, slots: 2, proposals: 3,
	}},
	{name: "3/crash", bounds: bounds{
		members: 3, candidates: ids(0, 1), rounds: 1, slots: 1, proposals: 1,
		slow: ids(0, 1, 2), crashers: ids(0, 1, 2), crashes: 1,
	}},
	{name: "3/crash of a voter", bounds: bounds{
		members: 3, candidates: ids(0, 1), rounds: 1, slots: 1, proposals: 2,
		slow: ids(2), crashers: ids(2), crashes: 2,
	}},
	{name: "3/loss", script: "led", bounds: bounds{
		members: 3, candidates: ids(1), rounds: 2, slots: 2, proposals: 1,
		losers: ids(2), losses: 1,
	}},
	{name: "5/delayed promise", script: "delayed_promise", bounds: bounds{
		members: 5, rounds: 2, slots: 3, proposals: 3,
		slow: ids(0), crashers: ids(0), crashes: 1, losers: ids(1), losses: 1,
	}},
	{name: "5/two lost in turn", script: "two_turns", bounds: bounds{
		members: 5, rounds: 2, slots: 3, proposals: 2, losers: ids(1, 2), losses: 2,
	}},
	{name: "5/two lost in turn, and a value", deep: true, script: "two_turns", bounds: bounds{
		members: 5, rounds: 2, slots: 4, proposals: 2, losers: ids(1, 2), losses: 2,
	}},
	{name: "5/two lost at once", deep: true, script: "two_lost", part: true, bounds: bounds{
		members: 5, rounds: 2, slots: 3, proposals: 1, losers: ids(1, 2), losses: 2, states: 2_000_000,
	}},
	{name: "3/two rounds, slow disks", deep: true, bounds: bounds{
		members: 3, candidates: ids(0, 1), rounds: 2, slots: 1, proposals: 2, slow: ids(0, 1),
	}},
	{name: "3/three rounds", deep: true, bounds: bounds{
		members: 3, candidates: ids(0, 1), rounds: 3, slots: 1, proposals: 2,
	}},
}

// begin plays the script of a search.
func begin(t *testing.T, script string, b bounds) (*world, *state) {
	t.Helper()
	w := newWorld(b)
	s := w.initial()
	if script == "" {
		return w, s
	}
	text, err := os.ReadFile(filepath.Join("testdata", script+".txt"))
	require.NoError(t, err)
	s, err = w.play(s, string(text))
	require.NoError(t, err)
	return w, s
}

// TestSearch: within the bounds of each search there is no state in which a slot
// has two values.
func TestSearch(t *testing.T) {
	for _, tt := range searches {
		if tt.deep && !*deep {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if !tt.part {
				tt.bounds.states = 5_000_000
			}
			w, s := begin(t, tt.script, tt.bounds)
			res := w.search(s)
			if v := res.violation; v != nil {
				t.Fatalf("%s\n%s", v.what, w.story(s, v))
			}
			t.Logf("%d states, %d steps tried, %d deep, %d states of members, %d messages, %v",
				res.states, res.steps, res.depth, res.locals, res.messages, time.Since(start).Round(10*time.Millisecond))
			require.Equal(t, !tt.part, res.complete, "not all states were visited: the bounds are too wide")
		})
	}
}

// TestSearchFinds: the search sees what it is there to see. Each fault is a rule
// that is broken around the core; see fault.go.
func TestSearchFinds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  fault
		script string
		bounds bounds
	}{
		{"dead votes count", deadVotesCount, "delayed_promise", bounds{
			members: 5, rounds: 2, slots: 3, proposals: 3,
			slow: ids(0), crashers: ids(0), crashes: 1, losers: ids(1), losses: 1,
		}},
		{"Accepted leaves before its sync", earlyAccepted, "", bounds{
			members: 3, candidates: ids(0, 1), rounds: 1, slots: 1, proposals: 2,
			slow: ids(2), crashers: ids(2), crashes: 1,
		}},
		{"Promise leaves before its sync", earlyPromise, "", bounds{
			members: 3, candidates: ids(0, 1), rounds: 1, slots: 1, proposals: 2,
			slow: ids(2), crashers: ids(2), crashes: 1,
		}},
		{"a lost disk is not noticed", forgetful, "", bounds{
			members: 3, candidates: ids(0, 1), rounds: 1, slots: 1, proposals: 2,
			losers: ids(2), losses: 1,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.bounds.fault, tt.bounds.states = tt.fault, 400_000
			w, s := begin(t, tt.script, tt.bounds)
			res := w.search(s)
			require.NotNil(t, res.violation, "%d states, complete: %v", res.states, res.complete)
			t.Logf("%s, after %d states:\n%s", res.violation.what, res.states, w.story(s, res.violation))
			require.Regexp(t, "has two chosen values|which is not chosen|broken invariant|proposed under .* with another", res.violation.what)

			// The story is a script that ends in the same way.
			again, s := begin(t, tt.script, tt.bounds)
			_, err := again.play(s, w.story(s, res.violation))
			var wrong *wrongError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, res.violation.what, wrong.what)

			// With the rule in force there is nothing to be found. TestSearch shows it
			// where it takes long.
			if tt.script != "" {
				return
			}
			tt.bounds.fault = faultless
			w, s = begin(t, tt.script, tt.bounds)
			res = w.search(s)
			require.Nil(t, res.violation)
			require.True(t, res.complete)
		})
	}
}
