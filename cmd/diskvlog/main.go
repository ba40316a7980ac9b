// Command diskvlog looks into data directories of diskv, offline.
//
//	diskvlog info DIR
//	diskvlog dump DIR --slots 100-200 --key greeting
//	diskvlog verify DIR [DIR...]
//	diskvlog stat DIR
//	diskvlog replay DIR --until 10m --resp --out FILE
//	diskvlog repair DIR
//	diskvlog recover --force-new-group --dir DIR --out FILE
//
// All but repair and recover only read, and may be used while diskvd runs. The commands and
// the exit statuses are in docs/diskvlog.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"diskv/inspect"
	"diskv/internal/cli"
	"diskv/server"
)

// Exit statuses. They are documented: do not change them.
const (
	exitOK      = 0
	exitFailure = 1 // the tool could not do it
	exitUsage   = 2
	exitTorn    = 3 // verify, repair --dry-run: the end is torn; diskvd repairs that, and nothing acknowledged is lost
	exitSuspect = 4 // verify, repair: the end is damaged, and something acknowledged may be lost
	exitDamaged = 5 // something that was durable is damaged, or breaks an invariant
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// app is one run of the program: its streams and the flags that all commands have.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
}

// verdictError ends verify or repair with what it found, which was told already.
type verdictError struct{ verdict inspect.Verdict }

func (e verdictError) Error() string { return string(e.verdict) }

// run is main without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: stdout, err: stderr}
	err := cli.Execute(ctx, a.root(), args, stdin, stdout, stderr)
	var verdict verdictError
	var fault *inspect.Fault
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &verdict):
		return map[inspect.Verdict]int{
			inspect.Well: exitOK, inspect.Torn: exitTorn, inspect.Suspect: exitSuspect, inspect.Damaged: exitDamaged,
		}[verdict.verdict]
	case errors.As(err, new(cli.UsageError)):
		_, _ = fmt.Fprintf(stderr, "diskvlog: %v (see diskvlog --help)\n", err)
		return exitUsage
	case errors.As(err, &fault):
		_, _ = fmt.Fprintf(stderr, "diskvlog: %v\n", err)
		return exitDamaged
	}
	_, _ = fmt.Fprintf(stderr, "diskvlog: %v\n", err)
	return exitFailure
}

func (a *app) root() *cobra.Command {
	root := cli.Root(&cobra.Command{
		Use:   "diskvlog",
		Short: "Look into data directories of diskv, and repair them, offline",
		Long: `diskvlog looks into data directories of diskv, offline, and repairs them.

All commands but repair and recover only read. They take no lock, and may be used while diskvd
runs on the directory.

Exit status: 0 done, and all is well; 1 failure; 2 wrong usage; 3 the end of the log
is torn, as a crash leaves it, and diskvd repairs it at its next start; 4 the end of the log
is damaged and may lack what was acknowledged; 5 something else is damaged.`,
	})
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.info(), a.dump(), a.verify(), a.stat(), a.replay(), a.repair(), a.recover(), a.version())
	return root
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cli.Arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return cli.PrintJSON(a.out, map[string]any{"version": server.Version})
			}
			_, err := fmt.Fprintln(a.out, "diskvlog", server.Version)
			return err
		},
	}
}
