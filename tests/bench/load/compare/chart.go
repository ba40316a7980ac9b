package main

import (
	"fmt"
	"html"
	"strings"
)

// The chart's measures, in pixels.
const (
	chartWidth = 760
	barsFrom   = 90  // where bars begin
	barsMost   = 470 // of the longest bar
	barHeight  = 20
	barStep    = 27
	panelHead  = 46 // of the title and the unit
	panelGap   = 16
)

var barColors = map[string]string{diskv: "#1f6fb2", etcd: "#e08a2c", redis: "#8a8f98"}

// chart makes an SVG of horizontal bars: a panel for each load, a bar for each system,
// and over each bar a line from the lowest to the highest of the rounds.
func (r *results) chart() []byte {
	var b strings.Builder
	y := 12
	for _, w := range workloads {
		longest := 0.0
		for _, name := range w.systems {
			longest = max(longest, r.figure(w.name, name, w.chart).High)
		}
		if longest == 0 {
			continue
		}
		fmt.Fprintf(&b, `<text x="12" y="%d" class="title">%s</text>`+"\n", y+16, html.EscapeString(w.title))
		fmt.Fprintf(&b, `<text x="12" y="%d" class="unit">%s</text>`+"\n", y+34, html.EscapeString(w.unit))
		y += panelHead
		for _, name := range w.systems {
			s := r.figure(w.name, name, w.chart)
			at := func(x float64) float64 { return barsFrom + barsMost*x/longest }
			middle := y + barHeight/2
			fmt.Fprintf(&b, `<text x="%d" y="%d" class="name">%s</text>`+"\n", barsFrom-8, middle+4, name)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
				barsFrom, y, at(s.Median)-barsFrom, barHeight, barColors[name])
			fmt.Fprintf(&b, `<path d="M%.1f %dV%dM%.1f %dH%.1fM%.1f %dV%d" class="spread"/>`+"\n",
				at(s.Low), middle-4, middle+4, at(s.Low), middle, at(s.High), at(s.High), middle-4, middle+4)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" class="value">%s%s</text>`+"\n",
				at(s.High)+8, middle+4, count(s.Median), r.comparison(w, name))
			y += barStep
		}
		y += panelGap
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="diskv, etcd and Redis under the same loads">
<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold}.unit{font-size:12px;fill:#666}.name{text-anchor:end}.spread{stroke:#222;fill:none}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
`, chartWidth, y, chartWidth, y)
	return []byte(head + b.String() + "</svg>\n")
}

// comparison shows a system's figure as a share of diskv's.
func (r *results) comparison(w workload, name string) string {
	if name == diskv {
		return ""
	}
	s := r.ratio(w.name, name, w.chart)
	if s.Median == 0 {
		return ""
	}
	return fmt.Sprintf(" (diskv: %s)", times(s.Median))
}
