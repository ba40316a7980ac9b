package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
	"diskv/tests/crashreplay"
	"diskv/tests/proc"
)

// settings are the flags of what runs processes.
type settings struct {
	dir, binary string
	keep, quiet bool
}

func (s *settings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&s.dir, "dir", "", "`directory` for everything; it must not exist (default crashreplay-SCENARIO-SEED)")
	f.StringVar(&s.binary, "binary", "", "`path` of diskvd (default: beside this program, else it is built)")
	f.BoolVar(&s.keep, "keep", false, "keep the history and the data directories of a run that passed, too")
	f.BoolVar(&s.quiet, "quiet", false, "do not tell each fault")
}

func (a *app) runCommand() *cobra.Command {
	var (
		s        settings
		o        crashreplay.Options
		scenario string
	)
	cmd := &cobra.Command{
		Use: "run", Short: "Run a scenario", Args: cli.Arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Scenario, err = crashreplay.Find(scenario); err != nil {
				return cli.Usage("--scenario: %w", err)
			}
			switch {
			case o.Members < 3 || o.Members > 7:
				return cli.Usage("--members %d: must be 3 to 7", o.Members)
			case o.Duration <= 0:
				return cli.Usage("--duration %v: must be above 0", o.Duration)
			case o.Clients < 1:
				return cli.Usage("--clients %d: must be above 0", o.Clients)
			}
			if !cmd.Flags().Changed("seed") {
				o.Seed = uint64(rand.Uint32())
			}
			if s.dir == "" {
				s.dir = free(fmt.Sprintf("crashreplay-%s-%d", o.Scenario.Name, o.Seed))
			}
			return a.execute(cmd, s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&scenario, "scenario", "mixed", "`name` of the scenario, see crashreplay list")
	f.DurationVar(&o.Duration, "duration", time.Minute, "for how long there are faults; the last checks come on top")
	f.Uint64Var(&o.Seed, "seed", 0, "`number` from which the faults follow (default: another one each time)")
	f.IntVar(&o.Members, "members", 5, "`number` of members of each group")
	f.IntVar(&o.Clients, "clients", 12, "`number` of Go clients; half as many plain ones come on top")
	s.flags(cmd)
	return cmd
}

func (a *app) replay() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use: "replay DIR", Short: "Inject the faults of a run that was kept again, into the same members at the same times",
		Args: cli.Arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := crashreplay.Kept(args[0])
			if err != nil {
				return err
			}
			if s.dir == "" {
				s.dir = free(filepath.Clean(args[0]) + "-replay")
			}
			return a.execute(cmd, s, o)
		},
	}
	s.flags(cmd)
	return cmd
}

// free returns a name that no file has: this one, or with a number behind it.
func free(name string) string {
	for n := 1; ; n++ {
		numbered := name
		if n > 1 {
			numbered += fmt.Sprintf(".%d", n)
		}
		if _, err := os.Stat(numbered); errors.Is(err, os.ErrNotExist) {
			return numbered
		}
	}
}

// execute runs and reports.
func (a *app) execute(cmd *cobra.Command, s settings, o crashreplay.Options) error {
	var err error
	if o.Dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if !s.quiet {
		o.Log = a.err
	} else {
		o.Log = io.Discard
	}
	binary, remove, err := a.diskvd(s.binary)
	if err != nil {
		return err
	}
	defer remove()
	o.Binary = binary
	result, err := crashreplay.Run(cmd.Context(), o)
	if err != nil {
		return fmt.Errorf("%w (see %s)", err, o.Dir)
	}
	result.WriteText(a.out)
	_, _ = fmt.Fprintf(a.out, "\nAs a page: %s\n", filepath.Join(o.Dir, "report.html"))
	if !result.Passed() {
		return errViolation
	}
	if s.keep {
		return nil
	}
	return result.Tidy()
}

// diskvd finds the server program, or builds it. Remove removes what was built.
func (a *app) diskvd(named string) (binary string, remove func(), err error) {
	if named != "" {
		_, err := os.Stat(named)
		return named, func() {}, err
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "diskvd")
		if _, err := os.Stat(beside); err == nil {
			return beside, func() {}, nil
		}
	}
	dir, err := os.MkdirTemp("", "crashreplay-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	binary, err = proc.Build(dir)
	if err != nil {
		remove()
		return "", nil, errors.Join(err, errors.New("name the program: --binary"))
	}
	return binary, remove, nil
}
