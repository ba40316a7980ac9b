package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
	"diskv/tests/crashstates"
	"diskv/tests/powerloss"
)

// rebuild are the flags that build one state again.
type rebuild struct {
	recording, variant, out string
	prefix                  int
}

func (a *app) enumerate() *cobra.Command {
	var (
		o     crashstates.Options
		r     rebuild
		quiet bool
	)
	cmd := &cobra.Command{
		Use: "enumerate", Short: "Recover from every state that a power cut may leave of a disk",
		Long: `enumerate runs workloads on nodes in this process, whose disk is a file system that
records every operation. Then it builds each state that a power cut may have left,
behind every operation and with what was not synced dropped, kept or torn, starts a
node on it, and checks that all that had been acknowledged is there and nothing else.

A state that is not right ends it. It is kept, with the command that builds it again.`,
		Args: cli.Arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.recording != "" {
				return r.build()
			}
			report, err := crashstates.Run(cmd.Context(), o, a.enumerated(quiet))
			if errors.As(err, new(*crashstates.Failure)) {
				_, _ = fmt.Fprintln(a.out, err)
				return errViolation
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, report)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&o.Workloads, "workload", nil, "`names`: "+strings.Join(crashstates.Names(), ", ")+" (default all)")
	f.IntVar(&o.Rounds, "rounds", 5, "`number` of rounds of each workload: how long it is")
	f.IntVar(&o.Chances, "chances", 2, "`number` of variants by chance of each kind, behind each operation")
	f.IntVar(&o.States, "states", 0, "about what `number` of states of each workload is recovered; 0: all")
	f.Uint64Var(&o.Seed, "seed", 1, "`number` from which the variants follow")
	f.StringVar(&o.Failures, "keep", "", "`directory` for a state that is not right (default: a new one)")
	f.BoolVar(&quiet, "quiet", false, "do not tell how far it is")
	f.StringVar(&r.recording, "rebuild", "", "`file` of a recording: build one state of it, and recover nothing")
	f.IntVar(&r.prefix, "prefix", 0, "with --rebuild: the `number` of operations before the cut")
	f.StringVar(&r.variant, "variant", "dropped", "with --rebuild: the `name` of what is left")
	f.StringVar(&r.out, "out", "", "with --rebuild: the `directory` to be made")
	return cmd
}

// build makes one state.
func (r *rebuild) build() error {
	if r.out == "" {
		return cli.Usage("--rebuild needs --out, a directory that does not exist")
	}
	v, err := powerloss.ParseVariant(r.variant)
	if err != nil {
		return cli.Usage("--variant: %w", err)
	}
	if err := os.Mkdir(r.out, 0o750); err != nil {
		return err
	}
	return crashstates.Rebuild(r.recording, r.prefix, v, r.out)
}

// enumerated tells, once in a while, how far it is.
func (a *app) enumerated(quiet bool) crashstates.Progress {
	if quiet {
		return nil
	}
	var told time.Time
	return func(workload string, prefix, operations, states int) {
		if time.Since(told) < 5*time.Second {
			return
		}
		told = time.Now()
		_, _ = fmt.Fprintf(a.err, "%s: operation %d of %d, %d states\n", workload, prefix, operations, states)
	}
}
