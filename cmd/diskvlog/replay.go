package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
	"diskv/paxos"
	"diskv/server"
)

// replayFlags are what replay was asked for.
type replayFlags struct {
	until, out                  string
	snapshots, keys, prefixes   []string
	resp, missing, accepted     bool
	newGroup, force, toStandard bool
}

// replayed is what replay tells programs.
type replayed struct {
	*inspect.Reached
	File     string            `json:"file"`
	Format   string            `json:"format"` // snapshot, genesis or resp
	Snapshot *inspect.Snapshot `json:"snapshot,omitempty"`
	Written  *inspect.Written  `json:"written,omitempty"`
}

func (a *app) replay() *cobra.Command {
	var r replayFlags
	cmd := &cobra.Command{
		Use: "replay DIR --until SLOT|TIME --out FILE", Short: "Write the state at any point that a log still covers", Args: cli.Arguments(1, 1),
		Long: `Write what a group held at a moment, as the log of one member has it, to a file: as a
snapshot, or with --resp as commands for redis-cli --pipe: SET, with PXAT where a key
expires. What is remembered of sessions goes into a snapshot only. The moment is a slot,
a time, or how long ago: 1234, 2026-01-02T15:04:05Z, 10m. Times are those of the leaders.
end is everything that can be read, also of a log that is damaged behind that.

It begins with the newest snapshot at or below the moment. What is older than the oldest
one that the directory has, or than --snapshot, cannot be had.`,
		RunE: func(_ *cobra.Command, args []string) error {
			r.toStandard = r.out == "-"
			to, err := r.check()
			if err != nil {
				return err
			}
			return a.replayDirectory(args[0], to, &r)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&r.until, "until", "", "the last `slot` that counts, or a time, a duration ago, or end")
	f.StringVar(&r.out, "out", "", "`file` to write; with --resp also -, standard output")
	f.BoolVar(&r.resp, "resp", false, "write commands instead of a snapshot")
	f.StringArrayVar(&r.keys, "key", nil, "with --resp: only this `key`; may be given again")
	f.StringArrayVar(&r.prefixes, "prefix", nil, "with --resp: only keys that begin with these `bytes`; may be given again")
	f.BoolVar(&r.missing, "nx", false, "with --resp: write SET ... NX, which leaves alone what is there")
	f.BoolVar(&r.newGroup, "new-group", false, "write the beginning of a new group, for diskvlog recover --install")
	f.StringArrayVar(&r.snapshots, "snapshot", nil, "a snapshot `file` of the group to begin with, if it is the newest at or below the moment; may be given again")
	f.BoolVar(&r.accepted, "accepted", false, "apply what the member holds and does not know as chosen, too")
	f.BoolVar(&r.force, "force", false, "replace a file that is there")
	return cmd
}

// check reads the flags.
func (r *replayFlags) check() (inspect.Moment, error) {
	to := inspect.Moment{Accepted: r.accepted, Snapshots: r.snapshots}
	switch {
	case r.until == "":
		return to, cli.Usage("replay: give the moment with --until: a slot, a time, a duration ago, or end")
	case r.out == "":
		return to, cli.Usage("replay: give the file to write with --out")
	case r.toStandard && !r.resp:
		return to, cli.Usage("--out -: a snapshot goes into a file; commands, with --resp, may go to standard output")
	case !r.resp && (len(r.keys)+len(r.prefixes) > 0 || r.missing):
		return to, cli.Usage("--key, --prefix and --nx are of --resp: a snapshot holds everything")
	case r.resp && r.newGroup:
		return to, cli.Usage("--new-group is a snapshot: give it without --resp")
	}
	if r.until == "end" {
		return to, nil
	}
	if slot, err := strconv.ParseUint(r.until, 10, 64); err == nil {
		if slot == 0 {
			return to, cli.Usage("--until 0: slots are numbered from 1 on")
		}
		to.Slot = slot
		return to, nil
	}
	if ago, err := time.ParseDuration(r.until); err == nil {
		if ago < 0 {
			return to, cli.Usage("--until %s: a duration is how long ago, and has no sign", r.until)
		}
		to.Time = time.Now().Add(-ago)
		return to, nil
	}
	var err error
	if to.Time, err = moment("until", r.until); err != nil {
		return to, cli.Usage("--until %q: must be a slot, a time such as 2006-01-02T15:04:05Z, a duration such as 10m, or end", r.until)
	}
	return to, nil
}

func (a *app) replayDirectory(dir string, to inspect.Moment, r *replayFlags) error {
	if inside(dir, r.out) {
		return cli.Usage("--out %s: it is in the data directory, which is diskvd's: give a file elsewhere", r.out)
	}
	if _, err := os.Lstat(r.out); err == nil && !r.force && !r.toStandard {
		return existsError(r.out) // before the work
	}
	state, err := examine(a, dir, func(d *inspect.Directory, p inspect.Progress) (*inspect.Reached, error) { return d.Replay(to, p) })
	if err != nil {
		return err
	}
	done := &replayed{Reached: state, File: r.out, Format: "snapshot"}
	if r.resp {
		done.Format = "resp"
		done.Written, err = a.writeCommands(state, r)
	} else {
		err = done.writeSnapshot(r)
	}
	if errors.Is(err, fs.ErrExist) {
		err = existsError(r.out)
	}
	if err != nil {
		return err
	}
	out := a.out
	if r.toStandard {
		out = a.err
	}
	if a.json {
		return cli.PrintJSON(out, done)
	}
	_, err = io.WriteString(out, done.words(dir))
	return err
}

// inside tells whether a file is in a directory.
func inside(dir, file string) bool {
	d, err := filepath.Abs(dir)
	f, err2 := filepath.Abs(file)
	return err == nil && err2 == nil && file != "-" && strings.HasPrefix(f, d+string(filepath.Separator))
}

func existsError(file string) error {
	return fmt.Errorf("%s is there already: give the name of a new file, or --force", file)
}

func (d *replayed) writeSnapshot(r *replayFlags) error {
	var g *inspect.Genesis
	if r.newGroup {
		id := d.Identity()
		if id.Service != paxos.ServicePlain {
			return errors.New("--new-group: the group is part of a cluster, whose other groups cannot go back to that moment: use --resp")
		}
		g = &inspect.Genesis{}
		g.Cluster, g.State = server.NewGenesis(id.Size, paxos.Slot(d.Slot))
		d.Format = "genesis"
	}
	s, err := d.WriteSnapshot(r.out, r.force, g)
	d.Snapshot = &s
	return err
}

// writeCommands writes the file under another name, and renames it when it is whole and
// synced.
func (a *app) writeCommands(state *inspect.Reached, r *replayFlags) (*inspect.Written, error) {
	s := inspect.Selection{Missing: r.missing, Now: time.Now().UnixMilli()}
	for _, k := range r.keys {
		s.Keys = append(s.Keys, []byte(k))
	}
	for _, p := range r.prefixes {
		s.Prefixes = append(s.Prefixes, []byte(p))
	}
	var w inspect.Written
	write := func(to io.Writer) error {
		out := bufio.NewWriterSize(to, 1<<16)
		var err error
		if w, err = state.WriteCommands(out, s); err != nil {
			return err
		}
		if w.Keys == 0 && len(r.keys)+len(r.prefixes) > 0 {
			return fmt.Errorf("at slot %d there was no such key%s: nothing was written", state.Slot, w.Since())
		}
		return out.Flush()
	}
	if r.toStandard {
		return &w, write(a.out)
	}
	return &w, cli.WriteFile(r.out, r.force, write)
}

// words says what was done.
func (d *replayed) words(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: slot %d, %s, on top of ", dir, d.Slot, d.LogTime.Format(screenTime))
	if d.Base == "" {
		b.WriteString("nothing")
	} else {
		fmt.Fprintf(&b, "the snapshot %s", filepath.Base(d.Base))
	}
	fmt.Fprintf(&b, ": %s, %s\n", cli.Count(d.Keys, "key"), cli.Count(d.Sessions, "session"))
	if d.Undecided > 0 {
		fmt.Fprintf(&b, "note: %d of the slots are not known as chosen\n", d.Undecided)
	}
	if f := d.Damage; f != nil {
		fmt.Fprintf(&b, "note: behind that the log cannot be read: %s, offset %d: %s\n", f.File, f.Offset, f.Reason)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	name := d.File
	if name == "-" {
		name = "standard output"
	}
	switch d.Format {
	case "resp":
		fmt.Fprintf(&b, "%s: %s%s; what is remembered of sessions is not in it\n", name, cli.Count(d.Written.Keys, "SET"), d.Written.Since())
	case "genesis":
		fmt.Fprintf(&b, "%s: the genesis of cluster %s, %d bytes. On every member, with diskvd stopped:\n\n  diskvlog recover --install %s --dir DIR --index I\n",
			name, d.Snapshot.Cluster, d.Snapshot.Bytes, name)
	default:
		fmt.Fprintf(&b, "%s: a snapshot, %d bytes, digest %s\n", name, d.Snapshot.Bytes, d.Snapshot.Digest)
	}
	return b.String()
}
