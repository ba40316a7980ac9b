package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
	"diskv/server"
)

func (a *app) recover() *cobra.Command {
	var force bool
	var dir, aside, out, install, read string
	var index int
	cmd := &cobra.Command{
		Use: "recover", Short: "Begin a new group from a survivor, as the last resort", Args: cli.Arguments(0, 0),
		Long: `Begin a new group with what one survivor holds, when a majority of a group has lost
its disks. It is the last resort: what was acknowledged without that member is lost.

  diskvlog recover --force-new-group --dir DIR [--put-aside DIR/quarantine/lost-...] --out FILE
        on one survivor: say what it holds and what may be lost, and, after a
        confirmation, write the beginning of a new group to FILE; with --put-aside from
        what a start has put aside because its end was suspect
  diskvlog recover --install FILE --dir DIR --index I [--read lease]
        on each member, the survivor too: make DIR the directory of member I of
        the new group; what DIR holds is put aside in DIR/quarantine

Start the members of the new group with the command lines of the old one.`,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case force == (install != ""):
				return cli.Usage("recover: give either --force-new-group or --install FILE")
			case dir == "":
				return cli.Usage("recover: give the data directory with --dir")
			case force && out == "":
				return cli.Usage("recover --force-new-group: give the file to write with --out")
			case read != "quorum" && read != "lease":
				return cli.Usage("--read %q: must be quorum or lease", read)
			case install != "" && aside != "":
				return cli.Usage("recover --install: --put-aside is of --force-new-group")
			case force:
				return forceNewGroup(dir, aside, out, a.in, a.out)
			}
			if err := server.InstallGenesis(install, dir, index, read == "lease"); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.out, "%s is the directory of member %d of the new group.\n", dir, index)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&force, "force-new-group", false, "write the beginning of a new group")
	f.StringVar(&dir, "dir", "", "data `directory`")
	f.StringVar(&aside, "put-aside", "", "`directory` quarantine/lost-... in it, to begin with what is there instead")
	f.StringVar(&out, "out", "", "`file` to write")
	f.StringVar(&install, "install", "", "`file` that --force-new-group wrote")
	f.IntVar(&index, "index", -1, "number of the member")
	f.StringVar(&read, "read", "quorum", "how the new group reads: quorum or lease")
	return cmd
}

// forceNewGroup says what a survivor holds and what may be lost, and writes the
// genesis of a new group if the operator confirms.
func forceNewGroup(dir, aside, out string, stdin io.Reader, stdout io.Writer) error {
	var s *server.Survivor
	var err error
	if aside == "" {
		s, err = server.OpenSurvivor(dir)
	} else {
		s, err = server.OpenPutAside(dir, aside)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	id := s.Identity
	suspect := ""
	if s.Suspect != "" {
		suspect = fmt.Sprintf("The end of its log is suspect: what it had acknowledged itself may be missing, too\n(%s).\n\n", s.Suspect)
	}
	_, err = fmt.Fprintf(stdout, `%s is of member %d of %d of group %d in cluster %v.

It holds everything up to slot %d, last written at %s: %s.
%d of these slots are not known to have been chosen; they are kept.

What may be lost: every write that was acknowledged by a majority without this
member, which is anything after slot %d. Nobody can tell how much that is. If the
directory of another member can be put back, do that instead.

%sThe new group is another cluster. Members of the old one can never join it, and
must not be started any more. To go on, type the id of the old cluster (%v): `,
		dir, id.Index, id.Size, id.Group, id.Cluster, s.Slot, s.LogTime.Format(time.RFC3339), s.Holds,
		s.Undecided, s.Slot, suspect, id.Cluster)
	if err != nil {
		return err
	}
	answer, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the confirmation: %w", err)
	}
	if strings.TrimSpace(answer) != id.Cluster.String() {
		return errors.New("not confirmed: nothing was written")
	}
	info, err := s.WriteGenesis(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\n%s is the genesis of cluster %016x, %d bytes. Copy it to every member, and there:\n\n"+
		"  diskvlog recover --install %s --dir DIR --index I\n\nThen start all members as before.\n",
		out, info.Header.Cluster, info.Size, out)
	return err
}
