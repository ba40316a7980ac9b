package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/server"
)

// flags is a flag set whose flags have twins in the environment.
type flags struct {
	*flag.FlagSet
	usage string
}

func newFlags(name, usage string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), usage: usage}
	f.SetOutput(io.Discard) // faults are reported once, by run
	return f
}

// parse reads the environment and then the command line, which wins.
func (f *flags) parse(args []string, env func(string) (string, bool), stdout io.Writer) error {
	var fault error
	f.VisitAll(func(fl *flag.Flag) {
		fl.Value = wanted{fl.Value}
		name := envName(fl.Name)
		if v, ok := env(name); ok && fault == nil {
			if err := f.Set(fl.Name, v); err != nil {
				fault = usageError{fmt.Errorf("environment variable %s: invalid value %q: %w", name, v, err)}
			}
		}
	})
	if fault != nil {
		return fault
	}
	switch err := f.Parse(args); {
	case err == flag.ErrHelp: //nolint:errorlint // the package returns it unwrapped, as it says
		f.help(stdout)
		return err
	case err != nil:
		return usageError{err}
	case f.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q: every setting is a flag", f.Arg(0))}
	}
	return nil
}

// wanted is the value of a flag that says what it takes when it is given something else.
type wanted struct{ flag.Value }

func (v wanted) Set(s string) error {
	err := v.Value.Set(s)
	if err == nil {
		return nil
	}
	getter, _ := v.Value.(flag.Getter)
	switch getter.Get().(type) {
	case bool:
		return errors.New("must be true or false")
	case time.Duration:
		return errors.New("must be a time with its unit, such as 100ms or 5s")
	case int, int64, uint64:
		return errors.New("must be a whole number, without a unit")
	}
	return err
}

// IsBoolFlag tells the flag package that the flag may be given without a value.
func (v wanted) IsBoolFlag() bool {
	b, ok := v.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// envName returns the environment's twin of a flag.
func envName(flag string) string {
	return "DISKV_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (f *flags) help(w io.Writer) {
	_, _ = fmt.Fprint(w, f.usage, "\nFlags (each has a twin in the environment, --dir is DISKV_DIR):\n\n")
	f.VisitAll(func(fl *flag.Flag) {
		arg, text := flag.UnquoteUsage(fl)
		line := "  --" + fl.Name
		if arg != "" {
			line += " " + arg
		}
		if fl.DefValue != "" && fl.DefValue != "false" && fl.DefValue != "0" {
			text += " (default " + fl.DefValue + ")"
		}
		_, _ = fmt.Fprintf(w, "%-32s %s\n", line, text)
	})
}

const serveUsage = `diskvd runs one replica of diskv, a replicated, persistent key/value server that
speaks the Redis protocol. An OK means: on the disks of a majority.

  diskvd                                    a single node: ./diskv-data, 127.0.0.1:7379
  diskvd --dir D --listen A --peers A0,A1,A2 --index I --bootstrap
                                            a member of a group that has never run;
                                            later starts need no --bootstrap
  diskvd --shardmasters M0,M1,M2 ...        a member of one of several groups, which serves
                                            the shards that the shardmasters give its group
  diskvd shardmaster ...                    a member of the group that says which group
                                            owns which shard
  diskvd dev --replicas 3                   a whole group in one process, to try things
  diskvd version
`

// serveOptions are the flags of a replica.
type serveOptions struct {
	opts         server.Options
	peers        string
	shardmasters string
	read         string
	logFormat    string
	snapshot     int64
}

func serveFlags(f *flags) *serveOptions {
	o := &serveOptions{}
	memberFlags(f, o, "./diskv-data", "127.0.0.1:7379")
	valueFlags(f, o)
	f.Uint64Var(&o.opts.Group, "group", 1, "`number` of the replica group, from 1")
	forwardFlag(f, o, false)
	f.StringVar(&o.shardmasters, "shardmasters", "", "`addresses` of the shardmasters, with commas between; none: the group serves every shard")
	return o
}

// memberFlags are the flags of a member of any group.
func memberFlags(f *flags, o *serveOptions, dir, listen string) {
	f.StringVar(&o.opts.Dir, "dir", dir, "data `directory`")
	f.StringVar(&o.opts.Listen, "listen", listen, "`address` for clients and peers: host:port or unix:/path")
	f.StringVar(&o.peers, "peers", "", "`addresses` of all members of the group, by index, with commas between; none: a single node")
	f.IntVar(&o.opts.Index, "index", 0, "this member's `place` in --peers, from 0")
	f.BoolVar(&o.opts.Bootstrap, "bootstrap", false, "format an empty directory for a group that has never run; harmless afterwards")
	tuningFlags(f, o)
	f.StringVar(&o.opts.HTTP, "http", "", "`address` for the status page, /metrics, /livez and /readyz; none: no HTTP")
	f.BoolVar(&o.opts.Pprof, "pprof", false, "serve Go profiles at /debug/pprof/ of --http")
}

// valueFlags are the flags of what holds keys.
func valueFlags(f *flags, o *serveOptions) {
	f.IntVar(&o.opts.MaxValueBytes, "max-value-bytes", 8<<20, "longest key or value in `bytes`")
}

// forwardFlag is the flag of what passes commands on.
func forwardFlag(f *flags, o *serveOptions, on bool) {
	f.BoolVar(&o.opts.Forward, "forward", on, "pass commands on to the member that has to execute them, for clients that do not follow redirects")
}

// tuningFlags are the flags that all replicas of a process share.
func tuningFlags(f *flags, o *serveOptions) {
	f.StringVar(&o.read, "read", "quorum", "how reads are made linearizable, `quorum|lease`; the same on every member")
	f.Int64Var(&o.snapshot, "snapshot-min-bytes", 32<<20, "`bytes` of log below which no snapshot is taken")
	f.IntVar(&o.opts.MaxClients, "max-clients", 10_000, "highest `number` of client connections")
	f.Int64Var(&o.opts.MinFreeBytes, "min-free-bytes", 256<<20, "free `bytes` of disk below which writes are refused")
	f.DurationVar(&o.opts.SlowSync, "slow-sync", 100*time.Millisecond, "`time` of a sync of the log above which there is a warning, if one in a hundred is slower; 0: never")
	f.StringVar(&o.logFormat, "log", "text", "format of the log on standard error, `text|json`")
}

// options returns the server's options, or what is wrong with the flags.
func (o *serveOptions) options(logger *slog.Logger) (server.Options, error) {
	out := o.opts
	out.Logger = logger
	out.Replica = replica.Options{SnapshotMinBytes: o.snapshot}
	switch o.read {
	case "quorum":
	case "lease":
		out.Lease = true
	default:
		return out, fmt.Errorf("--read %q: must be quorum or lease", o.read)
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		return out, fmt.Errorf("--log %q: must be text or json", o.logFormat)
	}
	if o.snapshot < 1 {
		return out, fmt.Errorf("--snapshot-min-bytes %d: must be above 0", o.snapshot)
	}
	if o.opts.MinFreeBytes < 1 {
		return out, fmt.Errorf("--min-free-bytes %d: must be above 0", o.opts.MinFreeBytes)
	}
	if o.opts.MaxClients < 1 {
		return out, fmt.Errorf("--max-clients %d: must be above 0", o.opts.MaxClients)
	}
	out.Peers, out.Shardmasters = addresses(o.peers), addresses(o.shardmasters)
	if len(out.Shardmasters) > 0 {
		out.Service = paxos.ServiceSharded
	}
	return out, nil
}

// addresses splits what has commas between.
func addresses(list string) []string {
	if list == "" {
		return nil
	}
	var out []string
	for a := range strings.SplitSeq(list, ",") {
		out = append(out, strings.TrimSpace(a))
	}
	return out
}
