package crashreplay

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	r := &Result{
		Manifest: Manifest{Scenario: "mixed", Members: 3, Duration: time.Minute, Seed: 7},
		Dir:      "dir", Took: 62 * time.Second,
		Counts: map[Verb]map[Outcome]int{Get: {OK: 100, Refused: 3}, Append: {OK: 50, Unknown: 2}},
		Faults: []*Record{
			{Fault: Fault{N: 1, Kind: Kill, Members: []int{1}}, From: 2 * time.Second, Healed: 3 * time.Second, To: 4 * time.Second, Details: []string{"killed <at> once"}},
			{Fault: Fault{N: 2, Kind: Kill, Members: []int{0}}, From: 10 * time.Second, Healed: 11 * time.Second, To: 14 * time.Second},
			{Fault: Fault{N: 3, Kind: Lost, Members: []int{2}}, From: 60 * time.Second},
		},
		Gaps:    []Gap{{From: 2 * time.Second, To: 2500 * time.Millisecond, Faults: []Kind{Kill}}},
		Rows:    []string{"member 0", "member 1", "member 2"},
		Keys:    12,
		Audited: 34,
		seconds: []second{{ok: 10}, {ok: 20}},
	}
	var text strings.Builder
	r.WriteText(&text)
	for _, want := range []string{
		"PASSED: nothing lost, nothing doubled, all histories linearizable", "scenario mixed, 3 members, faults for 1m0s, seed 7; took 1m2s",
		"Operations: 150 answered, 2 without an answer, 3 refused", "Faults: 3",
		"kill        2         2                 2s        3s         500ms", "1 times, 500ms in all", "500ms at 2s, during kill", "12 keys", "34 reads",
	} {
		require.Contains(t, text.String(), want)
	}
	require.Less(t, strings.Count(text.String(), "\n"), 60, "a page")

	page, err := r.page()
	require.NoError(t, err)
	for _, want := range []string{"<svg", "killed &lt;at&gt; once", "1 kill, 2s to 4s", "3 lost, 1m0s to 1m2s", "500ms without an answer: kill", "10s"} {
		require.Contains(t, string(page), want)
	}
	require.NotContains(t, string(page), "http", "it needs nothing else")
	require.NotContains(t, string(page), "ZgotmplZ")

	r.Undecided = 2
	require.False(t, r.Passed())
	require.Contains(t, r.Verdict(), "UNDECIDED: the histories of 2 keys")
	r.Violation = &Violation{Kind: "history", Text: "key k: lost", At: time.Second, Finding: &Finding{Key: "k", Text: "lost", Ops: told(Op{Verb: Put, Arg: "a"})}}
	require.Contains(t, r.Verdict(), "FAILED: history: key k: lost")
	text.Reset()
	r.WriteText(&text)
	require.Contains(t, text.String(), "The same faults again: crashreplay replay dir")
	page, err = r.page()
	require.NoError(t, err)
	require.Contains(t, string(page), "key k: lost")
}
