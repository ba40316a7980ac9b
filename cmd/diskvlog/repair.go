package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
	"diskv/server"
)

// repaired is what repair tells programs.
type repaired struct {
	Dir   string         `json:"dir"`
	Found server.Finding `json:"-"`
	Word  string         `json:"found"`
	Why   string         `json:"why,omitempty"`
	Cut   *repairedCut   `json:"cut,omitempty"` // what was cut, or would be
	Slot  uint64         `json:"slot"`          // the last one in front of it
	// Chosen is up to where the slots are known as chosen, and Holds what they make.
	Chosen uint64          `json:"chosen"`
	Holds  string          `json:"holds,omitempty"`
	Lost   string          `json:"may_be_lost,omitempty"`
	Done   bool            `json:"changed"`
	What   string          `json:"done"`
	Next   string          `json:"next"`
	exit   inspect.Verdict // Well if diskvd starts on it now
}

type repairedCut struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	Index  uint64 `json:"index"`
	Reason string `json:"reason"`
	Kept   string `json:"kept,omitempty"`
}

func (a *app) repair() *cobra.Command {
	var accept, dry bool
	cmd := &cobra.Command{
		Use: "repair DIR", Short: "Make a data directory such that diskvd starts on it", Args: cli.Arguments(1, 1),
		Long: `Cut a torn end off the log in a data directory, as the next start of diskvd would do by
itself. What is cut is kept in DIR/quarantine. diskvd must not run.

With --accept-torn-tail cut a suspect end too, of a single node: records that were
acknowledged may be in it, and are lost then. What is damaged before its end is not
repaired, and of a member of a group no suspect end is accepted: for each of them it is
said what to do instead.

Exit status: 0 diskvd starts on it; 4 suspect, 5 damaged, and nothing was changed; with
--dry-run that of what was found, 3 torn.`,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.repairDirectory(args[0], accept, dry)
			if err != nil {
				return err
			}
			if a.json {
				err = cli.PrintJSON(a.out, r)
			} else {
				err = r.print(a)
			}
			if err == nil && r.exit != inspect.Well {
				err = verdictError{r.exit}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&accept, "accept-torn-tail", false, "cut a suspect end, and accept that what was acknowledged may be lost")
	f.BoolVar(&dry, "dry-run", false, "say what would be done, and change nothing")
	return cmd
}

// repairDirectory does what can be done.
func (a *app) repairDirectory(dir string, accept, dry bool) (*repaired, error) {
	r, err := examine(a, dir, func(d *inspect.Directory, p inspect.Progress) (*server.Repair, error) {
		done, total := int64(0), d.LogBytes()
		return server.OpenRepair(dir, func(bytes int) {
			if done += int64(bytes); p != nil {
				p(min(done, total), total)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := &repaired{
		Dir: dir, Found: r.Found, Word: r.Found.String(), Slot: uint64(r.Slot), Chosen: uint64(r.Commit), Holds: r.Holds, exit: inspect.Well,
		What: "nothing", Next: "start diskvd as always",
	}
	end := "the end, which an earlier start has cut off and kept in quarantine/,"
	if c := r.End; c != nil {
		end = cli.Count(int(c.Bytes), "byte") + " at the end"
	}
	if r.Why != nil {
		out.Why = r.Why.Error()
	}
	if c := r.End; c != nil {
		out.Cut = &repairedCut{File: c.File, Offset: c.Offset, Bytes: c.Bytes, Index: c.Index, Reason: c.Reason}
	}
	switch r.Found {
	case server.FoundWell, server.FoundNothing:
		out.What += ": there is nothing to repair"
		return out, nil
	case server.FoundDamaged:
		out.exit, out.Next = inspect.Damaged, instead(r, dir)
		if r.Acceptable() {
			a.readable(out, r)
		}
		return out, nil
	case server.FoundSuspect:
		if !r.Acceptable() {
			out.exit, out.Next = inspect.Suspect, instead(r, dir)
			out.What += ": others have built on what may be missing, so nobody can accept that it is"
			return out, nil
		}
		out.Lost = fmt.Sprintf("whatever was written after slot %d: nobody can tell whether that was anything, and whether it was acknowledged", r.Slot)
		if !accept {
			out.What += ": " + end + " must be given up first"
			out.exit, out.Next = inspect.Suspect, "put back a backup of the whole directory, or accept the loss: diskvlog repair --accept-torn-tail "+dir
			return out, nil
		}
	case server.FoundTorn:
	}
	if dry {
		out.What += " so far: " + end + " would be cut off"
		out.Next = "do it: the same without --dry-run"
		if out.exit = inspect.Torn; r.Found == server.FoundSuspect {
			out.exit = inspect.Suspect
		}
		return out, nil
	}
	kept, err := r.Cut(accept)
	if err != nil {
		return nil, err
	}
	out.Done, out.What = true, end+" was given up"
	if out.Cut != nil {
		out.Cut.Kept = kept
		out.What = end + " cut off, and kept in " + kept
	}
	return out, nil
}

// instead says what to do about what is not repaired.
func instead(r *server.Repair, dir string) string {
	last := "diskvlog recover --force-new-group --dir " + dir + " --out FILE"
	switch id := r.Identity; {
	case id.Size > 1 && r.Found == server.FoundSuspect:
		return fmt.Sprintf("start member %d of group %d as always: it votes again when the others have let it back, as after a lost disk."+
			" If fewer than %d of its %d members are intact they cannot: then begin a new group, on the member with the highest slot: %s",
			id.Index, id.Group, id.Size/2+1, id.Size, last)
	case id.Size > 1:
		return fmt.Sprintf("start member %d of group %d as always: it gets everything from the others, as after a lost disk", id.Index, id.Group)
	case r.Found == server.FoundSuspect:
		return "put back a backup of the whole directory: other groups of the cluster may have acted on what is missing. The last resort: " + last
	}
	return "put back a backup of the whole directory; diskvlog verify tells more"
}

// readable says how a single node can go on with what can be read of a damaged
// directory, if anything can, and what is lost then.
func (a *app) readable(out *repaired, r *server.Repair) {
	state, err := examine(a, out.Dir, func(d *inspect.Directory, p inspect.Progress) (*inspect.Reached, error) {
		return d.Replay(inspect.Moment{}, p)
	})
	if err != nil {
		return
	}
	out.Slot, out.Chosen, out.Holds = state.Slot, state.Slot, fmt.Sprintf("%s, %s", cli.Count(state.Keys, "key"), cli.Count(state.Sessions, "session"))
	out.Lost = fmt.Sprintf("if you go on with what can be read: everything after slot %d, %s", state.Slot, state.LogTime.Format(screenTime))
	read := ""
	if r.Identity.Lease {
		read = " --read lease"
	}
	out.Next = fmt.Sprintf("put back a backup of the whole directory, or, to go on with what can be read, which puts what is here now aside:"+
		" diskvlog replay %s --until end --new-group --out FILE && diskvlog recover --install FILE --dir %s --index 0%s", out.Dir, out.Dir, read)
}

func (r *repaired) print(a *app) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", r.Dir, r.Word)
	if r.Holds != "" {
		fmt.Fprintf(&b, ": slots up to %d, chosen up to %d, which make %s", r.Slot, r.Chosen, r.Holds)
	}
	b.WriteByte('\n')
	line := func(word, what string) {
		if what != "" {
			fmt.Fprintf(&b, "  %-7s %s\n", word, what)
		}
	}
	if c := r.Cut; c != nil {
		line("file", c.File)
		line("wrong", fmt.Sprintf("offset %d, record %d: %s", c.Offset, c.Index, c.Reason))
	} else {
		line("wrong", r.Why)
	}
	line("lost", r.Lost)
	line("done", r.What)
	line("next", r.Next)
	_, err := a.out.Write([]byte(b.String()))
	return err
}
