// Command diskvlog looks into data directories of diskv, offline.
//
//	diskvlog recover --force-new-group --dir DIR --out FILE
//	diskvlog recover --install FILE --dir DIR --index I
//
// A group of which a majority has lost its disks stops for ever, rather than
// forget. Recover is the way out, for an operator who accepts what is lost: the
// first form writes what one survivor holds as the beginning of a new group, the
// second makes a directory that of a member of that group.
//
// The exit status is 0 if what was asked for is done, 2 for wrong usage and 1
// for everything else.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"diskv/server"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

const usage = `diskvlog looks into data directories of diskv, offline.

  diskvlog recover --force-new-group --dir DIR --out FILE
        on one survivor of a group that has lost too many disks: say what it holds
        and what may be lost, and, after a confirmation, write the beginning of a
        new group to FILE
  diskvlog recover --install FILE --dir DIR --index I [--read lease]
        on each member, the survivor too: make DIR the directory of member I of
        the new group; what DIR holds is put aside in DIR/quarantine
  diskvlog version

Start the members of the new group with the command lines of the old one.
`

// usageError is a fault in the command line.
type usageError struct{ error }

// run is main without the process around it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 0, args[0] == "help", args[0] == "--help", args[0] == "-h":
		_, err = fmt.Fprint(stdout, usage)
	case args[0] == "version":
		_, err = fmt.Fprintln(stdout, "diskvlog", server.Version)
	case args[0] == "recover":
		err = recoverGroup(args[1:], stdin, stdout)
	default:
		err = usageError{fmt.Errorf("unknown command %q: there are recover, version and help", args[0])}
	}
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		_, _ = fmt.Fprintf(stderr, "diskvlog: %v (see diskvlog --help)\n", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(stderr, "diskvlog: %v\n", err)
		return exitFailure
	}
}

// recoverGroup is diskvlog recover.
func recoverGroup(args []string, stdin io.Reader, stdout io.Writer) error {
	f := flag.NewFlagSet("diskvlog recover", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	force := f.Bool("force-new-group", false, "")
	dir := f.String("dir", "", "")
	out := f.String("out", "", "")
	install := f.String("install", "", "")
	index := f.Int("index", -1, "")
	read := f.String("read", "quorum", "")
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = fmt.Fprint(stdout, usage)
		return err
	case err != nil:
		return usageError{err}
	case f.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q", f.Arg(0))}
	case *force == (*install != ""):
		return usageError{errors.New("recover: give either --force-new-group or --install FILE")}
	case *dir == "":
		return usageError{errors.New("recover: give the data directory with --dir")}
	case *force && *out == "":
		return usageError{errors.New("recover --force-new-group: give the file to write with --out")}
	case *read != "quorum" && *read != "lease":
		return usageError{fmt.Errorf("--read %q: must be quorum or lease", *read)}
	case *force:
		return forceNewGroup(*dir, *out, stdin, stdout)
	}
	if err := server.InstallGenesis(*install, *dir, *index, *read == "lease"); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s is the directory of member %d of the new group.\n", *dir, *index)
	return err
}

// forceNewGroup says what a survivor holds and what may be lost, and writes the
// genesis of a new group if the operator confirms.
func forceNewGroup(dir, out string, stdin io.Reader, stdout io.Writer) error {
	s, err := server.OpenSurvivor(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	id := s.Identity
	_, err = fmt.Fprintf(stdout, `%s is of member %d of %d of group %d in cluster %v.

It holds everything up to slot %d, last written at %s: %s.
%d of these slots are not known to have been chosen; they are kept.

What may be lost: every write that was acknowledged by a majority without this
member, which is anything after slot %d. Nobody can tell how much that is. If the
directory of another member can be put back, do that instead.

The new group is another cluster. Members of the old one can never join it, and
must not be started any more. To go on, type the id of the old cluster (%v): `,
		dir, id.Index, id.Size, id.Group, id.Cluster, s.Slot, s.LogTime.Format(time.RFC3339), s.Holds,
		s.Undecided, s.Slot, id.Cluster)
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
