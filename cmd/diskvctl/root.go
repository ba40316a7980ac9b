package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diskv/client"
	"diskv/internal/cli"
)

// app is one run of the program: its streams and the flags that all commands have.
type app struct {
	env      func(string) (string, bool)
	in       io.Reader
	out, err io.Writer

	addr    string
	timeout time.Duration
	json    bool
}

func (a *app) root() *cobra.Command {
	root := cli.Root(&cobra.Command{
		Use:   "diskvctl",
		Short: "Look at a diskv cluster while it runs, and change it",
		Long: `diskvctl looks at a diskv cluster while it runs, and changes it.

Exit status: 0 done, 1 failure, 2 wrong usage, 3 no such key or config, 4 a write
whose outcome is not known, 5 the change is made but data still moves, 6 status
found something that needs attention.`,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.environment(cmd) },
	})
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&a.addr, "addr", "127.0.0.1:7379", "`addresses` of any members, host:port or unix:/path, with commas between (DISKV_ADDR)")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long a request may take, such as 500ms or 1m (DISKV_TIMEOUT)")
	f.BoolVar(&a.json, "json", false, "print JSON (DISKV_JSON)")
	root.AddCommand(a.status(), a.shard(), a.get(), a.set(), a.append(), a.del(), a.scan(), a.completion(), a.version())
	return root
}

// environment takes from the environment what the command line does not set.
func (a *app) environment(cmd *cobra.Command) error {
	var fault error
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		name := "DISKV_" + strings.ToUpper(f.Name)
		v, ok := a.env(name)
		if !ok || f.Changed || fault != nil {
			return
		}
		if err := f.Value.Set(v); err != nil {
			fault = cli.Usage("environment variable %s: invalid value %q", name, v)
		}
	})
	if fault == nil && a.timeout <= 0 {
		fault = cli.Usage("--timeout %v: must be above 0", a.timeout)
	}
	return fault
}

// addrs returns what --addr names.
func (a *app) addrs() []string {
	var out []string
	for s := range strings.SplitSeq(a.addr, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// open connects to the cluster. The context that it returns is that of one request.
func (a *app) open(ctx context.Context) (*client.Client, context.Context, func(), error) {
	request, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("nothing decided within %v (--timeout)", a.timeout))
	c, err := client.Open(request, a.addrs()...)
	if err != nil {
		cancel()
		return nil, nil, nil, a.unreachable(err)
	}
	return c, request, func() { c.Close(); cancel() }, nil
}

// unreachable adds to the error of a cluster that does not answer what to do.
func (a *app) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w (--addr %s)", err, a.addr)
}
