// Command diskvd is the diskv server: one replica of a group, or a whole group
// in one process for development.
//
//	diskvd                          a single node: ./diskv-data, 127.0.0.1:7379
//	diskvd --dir D --listen A --peers A0,A1,A2 --index I [--bootstrap]
//	diskvd --shardmasters M0,M1,M2 ...  the same, of one of several groups
//	diskvd shardmaster ...          a member of the group that makes the configs
//	diskvd dev --replicas 3         a group in one process
//
// Every flag has a twin in the environment: --max-clients is DISKV_MAX_CLIENTS.
// The flag wins. The exit status is 0 after a clean stop, 2 for wrong usage and
// 1 for everything else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"diskv/server"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	allowLateTimers()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 && (!strings.HasPrefix(args[0], "-") || args[0] == "--version") {
		name, args = args[0], args[1:]
	}
	var err error
	switch name {
	case "":
		err = serve(ctx, args, env, stdout, stderr)
	case "shardmaster":
		err = shardmaster(ctx, args, env, stdout, stderr)
	case "dev":
		err = dev(ctx, args, env, stdout, stderr)
	case "version", "--version":
		if len(args) > 0 {
			err = usageError{fmt.Errorf("unexpected argument %q", args[0])}
			break
		}
		_, err = fmt.Fprintln(stdout, "diskvd", server.Version)
	case "help":
		err = serve(ctx, []string{"--help"}, env, stdout, stderr)
	default:
		err = usageError{fmt.Errorf("unknown command %q: there are dev, shardmaster, version and help; without a command a replica is started", name)}
	}
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "diskvd: %v (see diskvd --help)\n", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(stderr, "diskvd: %v\n", err)
		return exitFailure
	}
}

// usageError is a fault in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// serve runs one replica.
func serve(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) error {
	f := newFlags("diskvd", serveUsage)
	o := serveFlags(f)
	if err := f.parse(args, env, stdout); err != nil {
		return err
	}
	opts, err := o.options(newLogger(stderr, o.logFormat))
	if err != nil {
		return usageError{err}
	}
	return runNode(ctx, opts)
}

// runNode runs one node until ctx ends.
func runNode(ctx context.Context, opts server.Options) error {
	if err := opts.Validate(); err != nil {
		return usageError{err}
	}
	n, err := server.Open(opts)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

// newLogger returns the operator's log, as text or as JSON lines.
func newLogger(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
