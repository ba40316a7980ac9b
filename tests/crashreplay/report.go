package crashreplay

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what a run has shown.
type Result struct {
	Manifest
	Dir       string
	Took      time.Duration
	Counts    map[Verb]map[Outcome]int
	Faults    []*Record
	Gaps      []Gap    // times without an answer to anybody, in order
	Keys      int      // whose histories were checked
	Audited   int      // reads of keys that were closed
	Undecided int      // histories for which porcupine took too long
	Without   string   // why faults of disks were left out, or nothing
	Moves     int      // of shards, in a cluster
	Rows      []string // the members of all groups
	Violation *Violation

	seconds []second
}

func (r *run) result() *Result {
	res := &Result{
		Manifest: Manifest{r.o.Scenario.Name, r.o.Members, r.o.Duration, r.o.Seed, r.o.Clients},
		Dir:      r.o.Dir, Took: r.now(), Counts: r.tally.counts, Faults: r.records.all, Gaps: r.tally.gaps,
		Without: r.without, Violation: r.violation, seconds: r.tally.seconds,
	}
	res.Moves = r.moves
	for _, p := range r.parts {
		for i := range r.o.Members {
			res.Rows = append(res.Rows, p.member(i))
		}
	}
	if r.checks != nil {
		res.Keys, res.Audited, res.Undecided = r.checks.checked, r.checks.audited, r.checks.undecided
	}
	for i := range res.Gaps {
		g := &res.Gaps[i]
		for _, f := range res.Faults {
			if f.From <= g.To && (f.To == 0 || f.To >= g.From) && !slices.Contains(g.Faults, f.Kind) {
				g.Faults = append(g.Faults, f.Kind)
			}
		}
	}
	return res
}

// Passed tells whether all was as it must be.
func (r *Result) Passed() bool { return r.Violation == nil && r.Undecided == 0 }

// Verdict is the result in one line.
func (r *Result) Verdict() string {
	switch {
	case r.Violation != nil:
		first, _, _ := strings.Cut(r.Violation.Text, "\n")
		return fmt.Sprintf("FAILED: %s: %s", r.Violation.Kind, first)
	case r.Undecided > 0:
		return fmt.Sprintf("UNDECIDED: the histories of %d keys could not be checked in time", r.Undecided)
	}
	return "PASSED: nothing lost, nothing doubled, all histories linearizable"
}

// operations returns how many operations had an outcome.
func (r *Result) operations(outcome Outcome) int {
	n := 0
	for _, c := range r.Counts {
		n += c[outcome]
	}
	return n
}

// kindSummary is what a report says of a kind of fault.
type kindSummary struct {
	Kind    Kind
	Text    string
	Count   int
	Members int           // that had it, counted each time
	Mean    time.Duration // from the end of what was done until all were whole again
	Worst   time.Duration
	Gap     time.Duration // longest time without an answer that overlaps with one
}

// summaries are the kinds of faults that there were, in the order of their names.
func (r *Result) summaries() []kindSummary {
	by := make(map[Kind]*kindSummary)
	for _, f := range r.Faults {
		s := by[f.Kind]
		if s == nil {
			s = &kindSummary{Kind: f.Kind, Text: kinds[f.Kind].text}
			by[f.Kind] = s
		}
		s.Count++
		s.Members += len(f.Members)
		if f.To > 0 {
			s.Mean += f.To - f.Healed
			s.Worst = max(s.Worst, f.To-f.Healed)
		}
	}
	for _, g := range r.Gaps {
		for _, k := range g.Faults {
			by[k].Gap = max(by[k].Gap, g.To-g.From)
		}
	}
	var out []kindSummary
	for _, s := range by {
		s.Mean /= time.Duration(s.Count)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b kindSummary) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
	return out
}

// verbs are all verbs, as reports have them.
var verbs = []Verb{Get, Put, Append, Delete, Incr}

// longestGaps are the longest times without an answer, the longest first.
func (r *Result) longestGaps(most int) []Gap {
	gaps := slices.Clone(r.Gaps)
	slices.SortFunc(gaps, func(a, b Gap) int { return int((b.To - b.From) - (a.To - a.From)) })
	return gaps[:min(most, len(gaps))]
}

// away is the sum of the times without an answer.
func (r *Result) away() time.Duration {
	sum := time.Duration(0)
	for _, g := range r.Gaps {
		sum += g.To - g.From
	}
	return sum
}

// checked are the lines that say what was checked.
func (r *Result) checked() []string {
	lines := []string{
		fmt.Sprintf("%d keys: every history linearizable (porcupine), every append there once or, if refused, not at all", r.Keys),
		fmt.Sprintf("%d reads of closed keys, all of them in the end: what was there is there", r.Audited),
		"members: each came back after every fault, all ended with the same slots applied, none ended or panicked by itself",
	}
	if r.Moves > 0 {
		lines = append(lines, fmt.Sprintf("%d moves of shards: all settled in the end", r.Moves))
	}
	return lines
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }

func join(ks []Kind) string {
	var s []string
	for _, k := range ks {
		s = append(s, string(k))
	}
	return strings.Join(s, ", ")
}

// WriteText writes the report, about a page.
func (r *Result) WriteText(w io.Writer) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	p("\n%s\n\n", r.Verdict())
	p("scenario %s, %d members, faults for %v, seed %d; took %v\n", r.Scenario, len(r.Rows), r.Duration, r.Seed, r.Took.Round(time.Second))

	p("\nOperations: %d answered, %d without an answer, %d refused\n", r.operations(OK), r.operations(Unknown), r.operations(Refused))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\t answered\t no answer\t refused\t")
	for _, v := range verbs {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t\n", v, r.Counts[v][OK], r.Counts[v][Unknown], r.Counts[v][Refused])
	}
	_ = t.Flush()

	p("\nFaults: %d\n", len(r.Faults))
	if r.Without != "" {
		p("No power cuts and disk errors: %s\n", r.Without)
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\t faults\t members\t back after, mean\t at most\t longest gap\t")
	for _, s := range r.summaries() {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t\n", s.Kind, s.Count, s.Members, ms(s.Mean), ms(s.Worst), ms(s.Gap))
	}
	_ = t.Flush()

	p("\nNobody was answered for %v and more: %d times, %v in all", shortestGap, len(r.Gaps), ms(r.away()))
	if len(r.Gaps) > 0 {
		p("; the longest:")
	}
	p("\n")
	for _, g := range r.longestGaps(5) {
		p("  %7s at %s, during %s\n", ms(g.To-g.From), ms(g.From), join(g.Faults))
	}
	p("\nChecked:\n")
	for _, line := range r.checked() {
		p("  %s\n", line)
	}
	if r.Violation != nil {
		p("\nViolation, %v after the start: %s: %s\n\nKept in %s: %s\nThe same faults again: %s\n",
			ms(r.Violation.At), r.Violation.Kind, r.Violation.Text, r.Dir,
			"violation.txt, picture.html (of a history), history.jsonl, schedule.jsonl, members/ (data and output of each)", r.ReplayCommand())
	}
}
