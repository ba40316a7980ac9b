package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
)

func (a *app) stat() *cobra.Command {
	return &cobra.Command{
		Use: "stat DIR", Short: "Print histograms of what the log was written with", Args: cli.Arguments(1, 1),
		Long: `Print how large the batches and commands in the log of a data directory are, when they
came, which commands they are, and which keys they write most.`,
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := examine(a, args[0], (*inspect.Directory).Stat)
			if err != nil {
				return err
			}
			if a.json {
				return cli.PrintJSON(a.out, s)
			}
			return a.printStats(s)
		},
	}
}

func (a *app) printStats(s *inspect.Stats) error {
	if s.Batches == 0 {
		_, err := fmt.Fprintln(a.out, "no batches: nothing was written since the last snapshot")
		return err
	}
	width := 40
	if columns, ok := cli.TerminalWidth(a.out); ok {
		width = min(max(columns-40, 10), 80)
	}
	c := chart{width: width}
	fmt.Fprintf(&c.out, "%s in %s, %d of them in sessions\n", cli.Count(int(s.Commands), "command"), plural(s.Batches, "batch", "batches"), s.Sessions)
	for _, h := range []struct {
		title string
		of    *inspect.Histogram
	}{{"commands in a batch", &s.CommandsPerBatch}, {"bytes of a batch", &s.BytesPerBatch}, {"bytes of a command", &s.BytesPerCommand}} {
		if h.of.Count == 0 {
			continue
		}
		rows := []row{}
		for _, b := range h.of.Buckets() {
			label := fmt.Sprintf("%d-%d", b.From, b.To)
			if b.From == b.To {
				label = fmt.Sprint(b.From)
			}
			rows = append(rows, row{label, b.Count, fmt.Sprint(b.Count)})
		}
		c.draw(fmt.Sprintf("%s: mean %.1f, most %d", h.title, float64(h.of.Sum)/float64(h.of.Count), h.of.Max), rows)
	}
	rows := []row{}
	for i, n := range s.Timeline.Counts {
		at := s.Timeline.First.Add(time.Duration(i) * s.Timeline.Width)
		rows = append(rows, row{at.Format("2006-01-02 15:04:05"), n, fmt.Sprintf("%.1f", float64(n)/s.Timeline.Width.Seconds())})
	}
	c.draw(fmt.Sprintf("commands a second, by %s, UTC", s.Timeline.Width), rows)
	c.draw("commands by name", counted(s.Names))
	title := "keys written most"
	if !s.Exact {
		title += fmt.Sprintf(" (each at least that often, and at most %d times more)", s.Missed)
	}
	c.draw(title, counted(s.Keys))
	_, err := a.out.Write([]byte(c.out.String()))
	return err
}

func counted(all []inspect.Counted) []row {
	var rows []row
	for _, n := range all {
		rows = append(rows, row{n.Name.String(), n.Count, fmt.Sprint(n.Count)})
	}
	return rows
}

func plural(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// chart is horizontal bars below a title.
type chart struct {
	out   strings.Builder
	width int
}

// row is one of them.
type row struct {
	label string
	n     uint64
	text  string
}

func (c *chart) draw(title string, rows []row) {
	if len(rows) == 0 {
		return
	}
	most, label, text := uint64(1), 0, 0
	for _, r := range rows {
		most, label, text = max(most, r.n), max(label, len(r.label)), max(text, len(r.text))
	}
	fmt.Fprintf(&c.out, "\n%s\n", title)
	for _, r := range rows {
		length := int(float64(r.n)/float64(most)*float64(c.width) + 0.5)
		if length == 0 && r.n > 0 {
			length = 1
		}
		line := fmt.Sprintf("  %*s  %*s  %s", label, r.label, text, r.text, strings.Repeat("#", length))
		c.out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
