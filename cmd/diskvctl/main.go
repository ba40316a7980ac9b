// Command diskvctl looks at a diskv cluster while it runs, and changes it: which
// group owns which shard, and keys.
//
//	diskvctl status
//	diskvctl shard join 2 10.0.0.4:7379 10.0.0.5:7379 10.0.0.6:7379
//	diskvctl get greeting
//
// --addr, or DISKV_ADDR, names any members. What it prints is for people; with
// --json it is for programs. The exit statuses are in docs/diskvctl.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"diskv/client"
	"diskv/internal/cli"
)

// Exit statuses. They are documented: do not change them.
const (
	exitOK        = 0
	exitFailure   = 1
	exitUsage     = 2
	exitNotFound  = 3 // there is no such key or config
	exitUnknown   = 4 // a write may or may not have been executed
	exitUnsettled = 5 // the change was made; data still moved when the time was over
	exitUnhealthy = 6 // status: something needs attention
)

var (
	errNotFound  = errors.New("not found")
	errUnsettled = errors.New("the change is made, but data still moves")
	errUnhealthy = errors.New("something needs attention")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, in: stdin, out: stdout, err: stderr}
	err := cli.Execute(ctx, a.root(), args, stdin, stdout, stderr)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUnhealthy): // it was told already
		return exitUnhealthy
	case errors.As(err, new(cli.UsageError)):
		_, _ = fmt.Fprintf(stderr, "diskvctl: %v (see diskvctl --help)\n", err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "diskvctl: %v\n", err)
	switch {
	case errors.Is(err, errNotFound):
		return exitNotFound
	case errors.Is(err, client.ErrUnknownOutcome):
		return exitUnknown
	case errors.Is(err, errUnsettled):
		return exitUnsettled
	}
	return exitFailure
}
