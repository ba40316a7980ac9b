package crashreplay

import (
	"bytes"
	"fmt"
	"html/template"
	"time"
)

// colors are those of the kinds of faults in the picture.
var colors = map[Kind]string{
	Kill: "#c0392b", KillAt: "#e67e73", KillAll: "#7b241c", Pause: "#f39c12",
	Lost: "#6c3483", Damaged: "#a569bd", Old: "#d2b4de", Swapped: "#4a235a",
	Partition: "#1f618d", OneWay: "#5dade2", Delay: "#a9cce3", Disorder: "#148f77", Flapping: "#76d7c4", Disconnect: "#0e6251",
	Power: "#212f3d", PowerAll: "#000000", SyncError: "#784212", IOError: "#ba7a45", ShortWrite: "#dcb48c", NoSpace: "#7d6608", SlowDisk: "#d4ac0d",
}

// Sizes of the picture, in px.
const (
	pictureWidth = 1100
	labelWidth   = 100
	rowHeight    = 22
	curveHeight  = 90
)

type bar struct {
	X, Y, Width, Height float64
	Color, Text         string
}

type label struct {
	X, Y float64
	Text string
}

// picture is the run over time: what was answered in each second, and which member had
// which fault.
type picture struct {
	Width, Height int
	Curve         string // points of a polygon
	Peak          string
	Bars, Gaps    []bar
	Rows, Ticks   []label
	Base          float64 // of the curve
}

func (r *Result) draw() picture {
	total := max(r.Took, time.Second)
	x := func(d time.Duration) float64 {
		return labelWidth + float64(d)/float64(total)*(pictureWidth-labelWidth-10)
	}
	p := picture{Width: pictureWidth, Height: curveHeight + 30 + rowHeight*len(r.Rows) + 30, Base: curveHeight + 10}
	peak := 1
	for _, s := range r.seconds {
		peak = max(peak, s.ok)
	}
	p.Peak = fmt.Sprintf("%d/s", peak)
	p.Curve = fmt.Sprintf("%.1f,%.1f", x(0), p.Base)
	for i, s := range r.seconds {
		y := p.Base - float64(s.ok)/float64(peak)*curveHeight
		p.Curve += fmt.Sprintf(" %.1f,%.1f %.1f,%.1f", x(time.Duration(i)*time.Second), y, x(time.Duration(i+1)*time.Second), y)
	}
	p.Curve += fmt.Sprintf(" %.1f,%.1f", x(time.Duration(len(r.seconds))*time.Second), p.Base)
	for _, g := range r.Gaps {
		p.Gaps = append(p.Gaps, bar{x(g.From), 10, max(1, x(g.To)-x(g.From)), curveHeight, "", ms(g.To-g.From) + " without an answer: " + join(g.Faults)})
	}
	top := float64(curveHeight + 20)
	for i, name := range r.Rows {
		p.Rows = append(p.Rows, label{4, top + float64(i*rowHeight) + 15, name})
	}
	for _, f := range r.Faults {
		end := f.To
		if end == 0 {
			end = r.Took
		}
		for _, m := range f.Members {
			text := fmt.Sprintf("%d %s, %s to %s", f.N, f.Kind, ms(f.From), ms(end))
			for _, d := range f.Details {
				text += "\n" + d
			}
			p.Bars = append(p.Bars, bar{x(f.From), top + float64((f.Group*r.Members+m)*rowHeight) + 3, max(1.5, x(end)-x(f.From)), rowHeight - 6, colors[f.Kind], text})
		}
	}
	step := tick(total)
	for d := time.Duration(0); d <= total; d += step {
		p.Ticks = append(p.Ticks, label{x(d), top + float64(len(r.Rows)*rowHeight) + 16, d.String()})
	}
	return p
}

// tick is the distance between the marks of the time axis.
func tick(total time.Duration) time.Duration {
	for _, d := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute} {
		if total/d <= 12 {
			return d
		}
	}
	return time.Hour
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": ms, "join": join, "css": func(s string) template.CSS { return template.CSS(s) },
	"length": func(g Gap) string { return ms(g.To - g.From) },
	"color":  func(k Kind) template.CSS { return template.CSS(colors[k]) },
	"count":  func(r *Result, v Verb, o string) int { return r.Counts[v][Outcome(o)] },
	"sum":    func(r *Result, o string) int { return r.operations(Outcome(o)) },
	"round":  func(d time.Duration) string { return d.Round(time.Second).String() },
}).Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>crashreplay: {{.R.Scenario}}, seed {{.R.Seed}}</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; color: #222; max-width: 1140px; margin: 24px auto; padding: 0 16px }
h1 { font-size: 20px; padding: 10px 14px; border-radius: 6px; color: #fff; background: {{if .R.Passed}}#1e8449{{else}}#b03a2e{{end}} }
h2 { font-size: 15px; margin: 22px 0 6px }
table { border-collapse: collapse } td, th { padding: 1px 12px 1px 0; vertical-align: top; text-align: right; font-variant-numeric: tabular-nums }
th { font-weight: 600; color: #555 } td:first-child, th:first-child { text-align: left } td.text { text-align: left; color: #555 } td:first-child { white-space: nowrap }
i.key { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px }
pre { background: #f6f6f6; padding: 10px; overflow: auto; max-height: 400px }
svg text { font: 11px system-ui, sans-serif; fill: #555 } .two { display: flex; gap: 60px; flex-wrap: wrap }
</style>
<h1>{{.R.Verdict}}</h1>
<p>Scenario <b>{{.R.Scenario}}</b>, {{len .R.Rows}} members, faults for {{.R.Duration}}, seed {{.R.Seed}}; took {{round .R.Took}}.
{{sum .R "ok"}} operations answered, {{sum .R "unknown"}} without an answer, {{sum .R "refused"}} refused; {{len .R.Faults}} faults.</p>
{{with .P}}<svg width="{{.Width}}" height="{{.Height}}" role="img" aria-label="answers and faults over time">
<text x="4" y="20">answered</text><text x="4" y="34">up to {{.Peak}}</text>
<polygon points="{{.Curve}}" fill="#abebc6" stroke="#1e8449" stroke-width="0.5"/>
{{range .Gaps}}<rect x="{{.X}}" y="{{.Y}}" width="{{.Width}}" height="{{.Height}}" fill="#e74c3c" opacity="0.35"><title>{{.Text}}</title></rect>
{{end}}{{range .Rows}}<text x="{{.X}}" y="{{.Y}}">{{.Text}}</text>
{{end}}{{range .Bars}}<rect x="{{.X}}" y="{{.Y}}" width="{{.Width}}" height="{{.Height}}" fill="{{.Color}}" rx="2"><title>{{.Text}}</title></rect>
{{end}}{{range .Ticks}}<text x="{{.X}}" y="{{.Y}}">{{.Text}}</text>
{{end}}</svg>{{end}}
<h2>Faults</h2>
{{with .R.Without}}<p>No power cuts and disk errors: {{.}}</p>{{end}}
<table><tr><th></th><th>faults</th><th>members</th><th>back after, mean</th><th>at most</th><th>longest gap</th><th></th></tr>
{{range .S}}<tr><td><i class="key" style="background:{{color .Kind}}"></i>{{.Kind}}</td><td>{{.Count}}</td><td>{{.Members}}</td><td>{{ms .Mean}}</td><td>{{ms .Worst}}</td><td>{{ms .Gap}}</td><td class="text">{{.Text}}</td></tr>
{{end}}</table>
<div class="two"><div><h2>Operations</h2>
<table><tr><th></th><th>answered</th><th>no answer</th><th>refused</th></tr>
{{$r := .R}}{{range .V}}<tr><td>{{.}}</td><td>{{count $r . "ok"}}</td><td>{{count $r . "unknown"}}</td><td>{{count $r . "refused"}}</td></tr>
{{end}}</table></div><div><h2>Nobody was answered for {{.Shortest}} and more: {{len .R.Gaps}} times, {{ms .Away}} in all</h2>
<table>{{range .G}}<tr><td>{{length .}}</td><td>at {{ms .From}}</td><td class="text">{{join .Faults}}</td></tr>
{{end}}</table></div></div>
<h2>Checked</h2><ul>{{range .C}}<li>{{.}}</li>{{end}}</ul>
{{with .R.Violation}}<h2>Violation, {{ms .At}} after the start</h2><pre>{{.Kind}}: {{.Text}}
{{with .Finding}}{{.}}{{end}}</pre><p>The same faults again: <code>{{$r.ReplayCommand}}</code></p>{{end}}
</html>
`))

// page is the report as one HTML page that needs nothing else.
func (r *Result) page() ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{
		"R": r, "P": r.draw(), "S": r.summaries(), "V": verbs, "G": r.longestGaps(8), "C": r.checked(),
		"Shortest": shortestGap, "Away": r.away(),
	})
	return b.Bytes(), err
}
