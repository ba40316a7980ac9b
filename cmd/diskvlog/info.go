package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
)

func (a *app) info() *cobra.Command {
	return &cobra.Command{
		Use: "info DIR", Short: "Print what a data directory holds, on one screen", Args: cli.Arguments(1, 1),
		Long: `Print whose directory it is, how far its log and snapshots go, what it has promised,
and how many records of which kind the log holds. Exit status 5: part of it cannot be read.`,
		RunE: func(_ *cobra.Command, args []string) error {
			info, err := examine(a, args[0], (*inspect.Directory).Info)
			if err != nil {
				return err
			}
			if a.json {
				err = cli.PrintJSON(a.out, info)
			} else {
				err = cli.Table(a.out, nil, infoRows(info))
			}
			if err == nil && info.Problem != "" {
				err = &damagedError{info.Problem}
			}
			return err
		},
	}
}

// damagedError says what could not be read.
type damagedError struct{ problem string }

func (e *damagedError) Error() string { return e.problem + " (diskvlog verify tells more)" }

func (e *damagedError) Unwrap() error { return verdictError{inspect.Damaged} }

const screenTime = "2006-01-02 15:04:05.000 MST"

// infoRows are the lines of the screen: a word and what there is to say.
func infoRows(i *inspect.Info) [][]string {
	var rows [][]string
	add := func(word, format string, args ...any) {
		rows = append(rows, []string{word, fmt.Sprintf(format, args...)})
	}
	state := "not in use, as far as the system tells"
	if i.InUse {
		state = "in use by a process"
	}
	add("directory", "%s, %s", i.Dir, state)
	read := "quorum"
	if i.Lease {
		read = "lease"
	}
	add("member", "%d of %d of group %d, cluster %s (%s; reads by %s)", i.Member, i.Members, i.Group, i.Cluster, i.Service, read)
	add("phase", "%s, epoch %d, nonce %s", i.Phase, i.Epoch, i.Nonce)
	add("boot", "%d, id %s", i.Boot, i.BootID)
	if i.Log == nil {
		add("log", "none")
	} else {
		rows = append(rows, logRows(i.Log)...)
	}
	for _, s := range i.Snapshots {
		if s.Problem != "" {
			add("snapshot", "%s CANNOT BE READ: %s", s.File, s.Problem)
			continue
		}
		add("snapshot", "slot %d, %s, %d records, log time %s", s.Slot, size(s.Bytes), s.Records, s.LogTime.Format(screenTime))
	}
	if len(i.Snapshots) == 0 {
		add("snapshot", "none")
	}
	if i.Unfinished > 0 {
		add("", "%s of transfers or interrupted writes", cli.Count(i.Unfinished, "file"))
	}
	add("bytes", "on the disk: log %s, snapshots %s, quarantine %s in %s", size(i.LogBytes), size(i.SnapshotBytes), size(i.QuarantineBytes), cli.Count(i.QuarantineFiles, "file"))
	return rows
}

func logRows(l *inspect.LogInfo) [][]string {
	var rows [][]string
	add := func(word, format string, args ...any) {
		rows = append(rows, []string{word, fmt.Sprintf(format, args...)})
	}
	end := "not closed cleanly"
	switch {
	case l.Suspect && l.Cut == "":
		end = "SUSPECT END, which an earlier start has cut off"
	case l.Suspect:
		end = "SUSPECT END: " + l.Cut
	case l.Torn:
		end = "torn end, which a start cuts: " + l.Cut
	case l.CleanClose:
		end = "closed cleanly"
	}
	add("log", "id %s, segments %d to %d, records %d to %d, %s", l.ID, l.FirstSegment, l.LastSegment, l.FirstIndex, l.LastIndex, size(l.Bytes))
	add("", "%s", end)
	if l.FirstSlot == 0 {
		add("slots", "none in the log; commit index %d", l.Commit)
	} else {
		add("slots", "%d to %d, commit index %d", l.FirstSlot, l.LastSlot, l.Commit)
	}
	promised := l.Promised
	if l.State != nil && l.State.Recovering {
		promised += ", RECOVERING"
	}
	add("promised", "%s", promised)
	if l.State != nil {
		add("lives", "%s", strings.Join(l.State.Lives, " "))
	}
	var kinds []string
	for _, k := range inspect.Kinds {
		if n := l.Records[k]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, k))
		}
	}
	add("records", "%s; %s", strings.Join(kinds, ", "), cli.Count(int(l.Commands), "command"))
	if l.FirstTime != nil {
		add("time", "%s to %s (%s)", l.FirstTime.Format(screenTime), l.LastTime.Format(screenTime), l.LastTime.Sub(*l.FirstTime).Round(time.Millisecond))
	}
	return rows
}
