package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
)

// verified is what verify tells programs.
type verified struct {
	Verdict inspect.Verdict  `json:"verdict"` // the worst
	Checks  []*inspect.Check `json:"checks"`
	// Compared is how many slots at least two members had. Fault is set if two of
	// them had different values in one.
	Compared *uint64        `json:"compared,omitempty"`
	Fault    *inspect.Fault `json:"fault,omitempty"`
}

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use: "verify DIR...", Short: "Check everything in data directories", Args: cli.Arguments(1, -1),
		Long: `Check every checksum in a data directory, and what the format and the protocol promise
of it: no value accepted below a promise, no slot missing, no epoch that goes back, a
snapshot and a log that fit together. With the directories of several members of a
group, check too that no two hold different values in a slot that both know as chosen.

Exit status: 0 all is well, 3 torn, 4 suspect, 5 damaged. Told is the first fault, where
it is, the bytes around it, and what to do.`,
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := a.verifyAll(args)
			if err != nil {
				return err
			}
			if a.json {
				err = cli.PrintJSON(a.out, v)
			} else {
				err = a.printVerified(v)
			}
			if err == nil && v.Verdict != inspect.Well {
				err = verdictError{v.Verdict}
			}
			return err
		},
	}
}

func (a *app) verifyAll(dirs []string) (*verified, error) {
	v := &verified{Verdict: inspect.Well}
	severity := map[inspect.Verdict]int{inspect.Well: 0, inspect.Torn: 1, inspect.Suspect: 2, inspect.Damaged: 3}
	for _, dir := range dirs {
		draw, remove := a.progress()
		c, err := inspect.Verify(dir, draw)
		remove()
		if err != nil {
			return nil, err
		}
		v.Checks = append(v.Checks, c)
		if severity[c.Verdict] > severity[v.Verdict] {
			v.Verdict = c.Verdict
		}
	}
	if len(dirs) == 1 || v.Verdict == inspect.Damaged {
		return v, nil
	}
	draw, remove := a.progress()
	fault, shared, err := inspect.Compare(v.Checks, draw)
	remove()
	if err != nil {
		return nil, err
	}
	v.Compared = &shared
	if fault != nil {
		v.Verdict, v.Fault = inspect.Damaged, fault
	}
	return v, nil
}

func (a *app) printVerified(v *verified) error {
	var b strings.Builder
	for _, c := range v.Checks {
		fmt.Fprintf(&b, "%s: %s: %s", c.Dir, c.Verdict, cli.Count(int(c.Records), "record"))
		if c.LastSlot > 0 {
			fmt.Fprintf(&b, ", slots up to %d, chosen up to %d", c.LastSlot, c.Commit)
		}
		fmt.Fprintf(&b, ", %s", cli.Count(c.Snapshots, "snapshot"))
		if c.SnapshotSlot > 0 {
			fmt.Fprintf(&b, ", the newest of slot %d", c.SnapshotSlot)
		}
		b.WriteByte('\n')
		for _, n := range c.Notes {
			fmt.Fprintf(&b, "  note: %s\n", n)
		}
		tellFault(&b, c.Fault)
	}
	if v.Compared != nil {
		fmt.Fprintf(&b, "compared: %d slots that at least two members know as chosen\n", *v.Compared)
		tellFault(&b, v.Fault)
	} else if len(v.Checks) > 1 {
		b.WriteString("not compared: one of them is damaged\n")
	}
	_, err := a.out.Write([]byte(b.String()))
	return err
}

// tellFault writes what is wrong, where, the bytes there, and what to do.
func tellFault(b *strings.Builder, f *inspect.Fault) {
	if f == nil {
		return
	}
	fmt.Fprintf(b, "  file    %s\n", f.File)
	if f.Other != "" {
		fmt.Fprintf(b, "  and     %s\n", f.Other)
	}
	if f.Index != 0 {
		fmt.Fprintf(b, "  record  %d\n", f.Index)
	}
	if f.Slot != 0 {
		fmt.Fprintf(b, "  slot    %d\n", f.Slot)
	}
	fmt.Fprintf(b, "  offset  %d\n  wrong   %s\n  do      %s\n", f.Offset, f.Reason, f.Remedy)
	for line := range strings.Lines(f.Hex) {
		b.WriteString("  " + line)
	}
}
