package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
	"diskv/tests/crashreplay"
)

// keyPatience is how long the check of one key may take.
const keyPatience = 2 * time.Minute

func (a *app) check() *cobra.Command {
	return &cobra.Command{
		Use: "check DIR", Short: "Check the history of a run that was kept again, key by key", Args: cli.Arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := crashreplay.CheckHistory(crashreplay.HistoryOf(args[0]), keyPatience)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(a.out, "%d operations on %d keys: %d violations, %d undecided\n", r.Operations, r.Keys, len(r.Findings), len(r.Undecided))
			for i, f := range r.Findings {
				picture := filepath.Join(args[0], fmt.Sprintf("picture-%d.html", i+1))
				if err := f.WritePicture(picture); err != nil {
					return err
				}
				_, _ = fmt.Fprintf(a.out, "\n%v  picture: %s\n", f, picture)
			}
			if len(r.Findings)+len(r.Undecided) > 0 {
				return errViolation
			}
			return nil
		},
	}
}

func (a *app) list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the scenarios, and the kinds of faults", Args: cli.Arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			var rows [][]string
			for _, s := range crashreplay.Scenarios {
				rows = append(rows, []string{s.Name, s.Text})
			}
			if err := cli.Table(a.out, []string{"SCENARIO", ""}, rows); err != nil {
				return err
			}
			rows = nil
			for _, k := range crashreplay.Kinds() {
				rows = append(rows, []string{string(k), k.Text()})
			}
			_, _ = fmt.Fprintln(a.out)
			return cli.Table(a.out, []string{"FAULT", ""}, rows)
		},
	}
}
