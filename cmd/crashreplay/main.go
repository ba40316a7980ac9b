// Command crashreplay runs real diskvd processes into real crashes, checks everything
// that their clients saw, and says what it found on one page.
//
//	crashreplay run --scenario mixed --members 5 --duration 1h --seed 7
//	crashreplay replay crashreplay-mixed-7     the same faults again
//	crashreplay check crashreplay-mixed-7      the history that was kept, again
//	crashreplay enumerate                      every state that a power cut may leave
//	crashreplay list                           scenarios and kinds of faults
//
// The exit statuses are in docs/crashreplay.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
)

// Exit statuses. They are documented: do not change them.
const (
	exitOK        = 0
	exitFailure   = 1 // the run could not be made, or was interrupted
	exitUsage     = 2
	exitViolation = 3 // something was found that must not be, or not all could be checked
)

// errViolation ends a run that has told what it found.
var errViolation = errors.New("a violation was found")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// app is one run of the program: its streams.
type app struct{ out, err io.Writer }

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout, stderr}
	err := cli.Execute(ctx, a.root(), args, nil, stdout, stderr)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errViolation): // it was told already
		return exitViolation
	case errors.As(err, new(cli.UsageError)):
		_, _ = fmt.Fprintf(stderr, "crashreplay: %v (see crashreplay --help)\n", err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "crashreplay: %v\n", err)
	return exitFailure
}

func (a *app) root() *cobra.Command {
	root := cli.Root(&cobra.Command{
		Use:   "crashreplay",
		Short: "Run real diskvd processes into real crashes, and check what their clients saw",
		Long: `crashreplay runs real diskvd processes into real crashes, checks everything that
their clients saw, and says what it found on one page.

Exit status: 0 passed, 1 the run could not be made, 2 wrong usage, 3 something was
found that must not be.`,
	})
	root.AddCommand(a.runCommand(), a.replay(), a.check(), a.enumerate(), a.list())
	return root
}
