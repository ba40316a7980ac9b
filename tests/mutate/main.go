// Command mutate checks the checks: it switches off one safety rule at a time
// and shows that a test, a story or the simulation notices.
//
//	go run ./tests/mutate                  every mutation
//	go run ./tests/mutate -run 'lease|read'    those whose name matches
//	go run ./tests/mutate -list            what there is, without running anything
//	go run ./tests/mutate -all             do not stop at the first command that fails
//
// The code under test has no switches. A mutation is a change of its text, made
// in a copy of the module in a temporary directory, which is built and then
// tested with the commands that the table gives for it, cheapest first, until one
// fails. Every command is run on the unchanged copy before its failure counts, once
// for all mutations that use it.
//
// Exit status 0 means that every mutation was caught. It is 1 if one survived or
// if the check itself is broken: a mutation that no longer fits the source or
// does not compile, a command that fails on the unchanged source, runs no test or
// exceeds its time. What a mutation survives by such a fault is not counted as
// caught.
//
// The program guarantees that the working tree is only read. It leaves to the
// tests that it runs what is right: it sees exit statuses and names, no more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "mutate: %v\n", err)
		}
		stop()
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	match   *regexp.Regexp
	list    bool
	all     bool
	verbose bool
	module  string
	limit   time.Duration
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("mutate", flag.ContinueOnError)
	set.SetOutput(errs)
	match := set.String("run", "", "only mutations whose name matches this `expression`")
	set.BoolVar(&o.list, "list", false, "list the mutations and run nothing")
	set.BoolVar(&o.all, "all", false, "run every command of a mutation, not only until the first fails")
	set.BoolVar(&o.verbose, "v", false, "print the end of what the failing command printed")
	set.StringVar(&o.module, "module", ".", "the module's `directory`")
	set.DurationVar(&o.limit, "limit", 5*time.Minute, "longest time of one command")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q: -run takes the names of mutations, -list prints them", set.Arg(0))
	}
	var err error
	if o.match, err = regexp.Compile(*match); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	var chosen []mutation
	for _, m := range table() {
		if o.match.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no mutation has a name that matches %q: -list prints them", o.match)
	}
	if o.list {
		return list(out, chosen)
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.close()

	began := time.Now()
	verdicts := make([]verdict, 0, len(chosen))
	for i, m := range chosen {
		v := b.try(ctx, m)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped: %w", err)
		}
		fmt.Fprintf(errs, "%2d/%d %s\n", i+1, len(chosen), v)
		if o.verbose || v.fault != nil || !v.caught() {
			fmt.Fprint(errs, indent(v.output))
		}
		verdicts = append(verdicts, v)
	}
	return report(out, verdicts, time.Since(began))
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") + "\n"
}

// list prints the table as it is.
func list(out io.Writer, ms []mutation) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MUTATION\tIN\tRULE THAT IT SWITCHES OFF\tSECTION OF docs/protocol.md")
	for _, m := range ms {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.name, strings.Join(m.files(), ", "), m.rule, m.section)
	}
	return w.Flush()
}

// report prints the outcome as a table that docs/testing-mutate.md can take.
func report(out io.Writer, vs []verdict, took time.Duration) error {
	var survived, faulty int
	fmt.Fprintln(out, "| mutation | caught by | seconds | seeds |\n|---|---|---|---|")
	for _, v := range vs {
		switch {
		case v.fault != nil:
			faulty++
			fmt.Fprintf(out, "| %s | NO VERDICT: %s | | |\n", v.name, firstLine(v.fault.Error()))
		case !v.caught():
			survived++
			fmt.Fprintf(out, "| %s | NOTHING | %.1f | |\n", v.name, v.took.Seconds())
		default:
			for i, c := range v.catches {
				name := v.name
				if i > 0 {
					name = ""
				}
				fmt.Fprintf(out, "| %s | %s | %.1f | %s |\n", name, c.by, c.took.Seconds(), c.seeds)
			}
		}
	}
	fmt.Fprintf(out, "\n%d mutations, %d caught, %d survived, %d without a verdict, %.0f seconds\n",
		len(vs), len(vs)-survived-faulty, survived, faulty, took.Seconds())
	if survived+faulty > 0 {
		return fmt.Errorf("%d mutations survived, %d have no verdict", survived, faulty)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
