package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
	"diskv/kv"
)

// dumpFlags are what dump was asked for.
type dumpFlags struct {
	slots, key, session, since, until, colour string
	kinds                                     []string
	bytes                                     int
	follow                                    bool
}

func (a *app) dump() *cobra.Command {
	var d dumpFlags
	cmd := &cobra.Command{
		Use: "dump DIR|FILE", Short: "Print the records of a log or a snapshot, one a line", Args: cli.Arguments(1, 1),
		Long: `Print the records of a log, one a line: index, kind, and of accepted values the ballot,
the slot, the time of the leader and the commands. DIR is a data directory, its wal/, or
a segment in that; FILE a segment's file or a snapshot. Filters are all to be met.

Kinds: ` + strings.Join(inspect.Kinds, ", ") + `.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.dumpPath(cmd.Context(), args[0], &d, cmd.Flags().Changed("key"))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&d.slots, "slots", "", "only values accepted in these slots: `FIRST-LAST`, either end may be left out")
	f.StringSliceVar(&d.kinds, "kind", nil, "only these `kinds` of records, with commas between")
	f.StringVar(&d.key, "key", "", "only what has a command on this `key`")
	f.StringVar(&d.session, "session", "", "only what has an operation of this session `id`")
	f.StringVar(&d.since, "since", "", "only from this `time` on, by the leaders' clocks: 2006-01-02T15:04:05Z")
	f.StringVar(&d.until, "until", "", "only up to this `time`")
	f.IntVar(&d.bytes, "value-bytes", 40, "how many bytes of an argument are shown, -1: all")
	f.BoolVar(&d.follow, "follow", false, "go on with what is written to the log")
	f.StringVar(&d.colour, "colour", "auto", "auto, always or never")
	return cmd
}

func (a *app) dumpPath(ctx context.Context, path string, d *dumpFlags, keyed bool) error {
	filter, err := d.filter(keyed)
	if err != nil {
		return err
	}
	_, terminal := cli.TerminalWidth(a.out)
	colour := d.colour == "always" || d.colour == "auto" && terminal && os.Getenv("NO_COLOR") == ""
	out := bufio.NewWriter(a.out)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	visit := func(r *inspect.Record) error {
		var err error
		if a.json {
			err = encoder.Encode(r)
		} else {
			_, err = io.WriteString(out, r.Line(colour)+"\n")
		}
		if err == nil && d.follow {
			err = out.Flush()
		}
		return err
	}
	if d.follow {
		// An interrupt ends it, and is no failure.
		following, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = inspect.Follow(following, path, filter, visit)
	} else {
		draw, remove := a.progress()
		if terminal {
			draw, remove = nil, func() {}
		}
		err = inspect.Dump(path, filter, draw, visit)
		remove()
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	return err
}

// filter reads the flags.
func (d *dumpFlags) filter(keyed bool) (inspect.Filter, error) {
	f := inspect.Filter{Kinds: d.kinds, ValueBytes: d.bytes}
	var err error
	if f.FirstSlot, f.LastSlot, err = slotRange(d.slots); err != nil {
		return f, err
	}
	for _, k := range d.kinds {
		if !slices.Contains(inspect.Kinds, k) {
			return f, cli.Usage("--kind %q: there are %s", k, strings.Join(inspect.Kinds, ", "))
		}
	}
	if keyed {
		f.Key = []byte(d.key)
	}
	if d.session != "" {
		if f.Session, err = kv.ParseSessionID([]byte(d.session)); err != nil {
			return f, cli.Usage("--session: %w", err)
		}
	}
	if !slices.Contains([]string{"auto", "always", "never"}, d.colour) {
		return f, cli.Usage("--colour %q: must be auto, always or never", d.colour)
	}
	if f.Since, err = moment("since", d.since); err != nil {
		return f, err
	}
	f.Until, err = moment("until", d.until)
	return f, err
}

// slotRange reads FIRST-LAST, where either may be left out, or one number.
func slotRange(s string) (first, last uint64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	for _, end := range []struct {
		text string
		slot *uint64
	}{{from, &first}, {to, &last}} {
		if end.text == "" && isRange {
			continue
		}
		if *end.slot, err = strconv.ParseUint(end.text, 10, 64); err != nil || *end.slot == 0 {
			return 0, 0, cli.Usage("--slots %q: must be FIRST-LAST, numbers from 1 on", s)
		}
	}
	if last != 0 && first > last {
		return 0, 0, cli.Usage("--slots %q: the first is above the last", s)
	}
	return first, last, nil
}

// moment reads a time.
func moment(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, cli.Usage("--%s %q: must be a time such as 2006-01-02T15:04:05Z, or without Z, in UTC, or a day", flag, s)
}
