package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed performance.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New(pageFile).Funcs(template.FuncMap{
	"count": func(n int) string { return count(float64(n)) },
	"mib":   mib,
}).Parse(pageText))

// pageData is what the template takes besides the results.
type pageData struct {
	*results
	Rows       []row
	Targets    []targetRow
	Footprints []footprintRow
	Failures   string
	Pipelined  string
	Live       int64 // bytes of keys and values
	SyncP50    string
	SyncP99    string
	Idle       string
	Settling   string
}

type row struct{ Load, System, Throughput, P50, P99, P999, Cores string }

type targetRow struct{ Load, What, Bound, Median, Spread, Reached string }

type footprintRow struct {
	footprint
	Processes int
}

// page makes the page.
func (r *results) page() ([]byte, error) {
	d := pageData{results: r, Failures: r.failures(), Pipelined: r.pipelined(), Settling: settling.String()}
	const keyBytes = 16
	d.Live = int64(r.Settings.Keys) * int64(keyBytes+r.Settings.ValueBytes)
	for _, w := range workloads {
		for i, name := range w.systems {
			if len(r.of(w.name, name)) == 0 {
				continue
			}
			row := row{
				System: name, Throughput: bracketed(r.figure(w.name, name, throughput), count),
				P50:  bracketed(r.figure(w.name, name, p50), microseconds),
				P99:  microseconds(r.figure(w.name, name, p99).Median),
				P999: microseconds(r.figure(w.name, name, p999).Median),
				Cores: fmt.Sprintf("%.2f + %.2f", r.figure(w.name, name, func(m measured) float64 { return m.Processor / m.Lasted }).Median,
					r.figure(w.name, name, func(m measured) float64 { return m.Report.LoadProcessor / m.Report.Seconds }).Median),
			}
			if i == 0 {
				row.Load = w.title
			}
			d.Rows = append(d.Rows, row)
		}
	}
	for _, t := range targets {
		d.Targets = append(d.Targets, r.judge(t))
	}
	for _, f := range r.Footprints {
		processes := members
		if f.System == redis {
			processes = 1
		}
		d.Footprints = append(d.Footprints, footprintRow{f, processes})
	}
	var middles, tails, idle []float64
	for _, s := range r.Syncs {
		middles, tails = append(middles, s.P50), append(tails, s.P99)
	}
	for _, m := range r.Measured {
		idle = append(idle, 100*m.Idle/m.Lasted)
	}
	d.SyncP50, d.SyncP99 = bracketed(spreadOf(middles), microseconds), bracketed(spreadOf(tails), microseconds)
	d.Idle = bracketed(spreadOf(idle), func(x float64) string { return fmt.Sprintf("%.1f %%", x) })
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// judge compares what was found with a target.
func (r *results) judge(t target) targetRow {
	i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == t.workload })
	s := t.value(r, t.workload)
	row := targetRow{
		Load: workloads[i].title, What: t.what, Bound: "at least " + t.format(t.bound),
		Median: t.format(s.Median), Spread: between(s, t.format), Reached: "**no**",
	}
	if t.atMost {
		row.Bound = "at most " + t.format(t.bound)
	}
	if t.reached(s) {
		row.Reached = "yes"
	}
	return row
}

// pipelined says what the target of pipelines means on a machine other than that for
// which it was set.
func (r *results) pipelined() string {
	s := r.ratio("set-pipelined", redis, throughput)
	if s.Median == 0 {
		return ""
	}
	return fmt.Sprintf("Pipelined, Redis does %s requests a second here, and diskv %s of that; the target is %s.",
		count(r.figure("set-pipelined", redis, throughput).Median), times(s.Median), times(100_000.0/240_000))
}

// failures says which requests failed and which keys were missing.
func (r *results) failures() string {
	var list []string
	for _, w := range workloads {
		for _, name := range w.systems {
			errors, missing := make(map[string]int64), int64(0)
			for _, m := range r.of(w.name, name) {
				for word, n := range m.Report.Errors {
					errors[word] += n
				}
				missing += m.Report.Missing
			}
			for _, word := range slices.Sorted(maps.Keys(errors)) {
				list = append(list, fmt.Sprintf("%s, %s: %s %d times", w.title, name, word, errors[word]))
			}
			if missing > 0 {
				list = append(list, fmt.Sprintf("%s, %s: %d keys were not there", w.title, name, missing))
			}
		}
	}
	if len(list) == 0 {
		return "No request failed."
	}
	return "**Failed requests**, which are not in the figures: " + strings.Join(list, "; ") + "."
}

// bracketed shows a spread.
func bracketed(s spread, format func(float64) string) string {
	if s.Low == s.High {
		return format(s.Median)
	}
	return fmt.Sprintf("%s (%s)", format(s.Median), between(s, format))
}

// between shows the ends of a spread.
func between(s spread, format func(float64) string) string {
	return format(s.Low) + " to " + format(s.High)
}

// count shows a number without a fraction, with commas.
func count(x float64) string {
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// times shows a ratio.
func times(x float64) string { return fmt.Sprintf("%.2f×", x) }

// microseconds shows a time.
func microseconds(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 10_000:
		return fmt.Sprintf("%.2f ms", us/1000)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}

func mib(bytes int64) string {
	if bytes < 100<<20 {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return count(float64(bytes)/(1<<20)) + " MiB"
}
