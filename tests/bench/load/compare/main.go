// Command compare puts the same loads on three members of diskv, three members of etcd
// and one Redis, in interleaved rounds on the same disk, and writes what came out.
//
//	go run ./compare --out ../../../docs                           # make bench-compare
//	go run ./compare --out /tmp --rounds 1 --duration 2s           # to try it
//	go run ./compare --out ../../../docs --render                  # the page again, from the numbers
//	go run ./compare --out /tmp --rounds 1 --profiles /tmp/where   # and where diskvd spends its time
//
// It builds diskvd from this tree, etcd from its module, and takes the redis-server
// that is installed. All of them run all the time and are loaded one at a time, each by
// the load program as a process of its own. Of every load it keeps what the load
// program reports; ratios are of figures of one round, and what is shown is the median
// over the rounds, with the lowest and the highest.
//
// It writes performance.json (every number), and made from that performance.md and
// performance.svg. Whatever happens, every process that it has started is ended by its
// process id, and its directory removed.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() {
	// The processes end with the thread that has started them.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, say io.Writer) error {
	var s settings
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(say)
	out := f.String("out", "", "`directory` of performance.json, .md and .svg")
	dir := f.String("dir", ".", "`directory` below which the systems keep their data; on a disk")
	f.IntVar(&s.Rounds, "rounds", 5, "`number` of rounds")
	f.DurationVar(&s.Duration, "duration", 10*time.Second, "how `long` each load is measured")
	f.DurationVar(&s.Warmup, "warmup", 2*time.Second, "how `long` each load is there before")
	f.IntVar(&s.Keys, "keys", 100_000, "`number` of keys")
	f.IntVar(&s.ValueBytes, "value-bytes", 100, "length of a value in `bytes`")
	profiles := f.String("profiles", "", "`directory` for processor profiles of diskvd under each load, taken after the rounds; none: no profiles")
	render := f.Bool("render", false, "measure nothing: make the page and the chart from performance.json")
	switch err := f.Parse(args); {
	case err != nil:
		return err
	case f.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: every setting is a flag", f.Arg(0))
	case *out == "":
		return errors.New("no --out: name the directory that the results go to")
	case s.Rounds < 1 || s.Duration <= 0 || s.Warmup < 0:
		return errors.New("--rounds and --duration must be above 0, --warmup must not be negative")
	}
	if *render {
		r, err := readResults(*out)
		if err != nil {
			return err
		}
		return r.write(*out)
	}
	// What is wrong with it is better known before than after a quarter of an hour.
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	r, err := compare(ctx, s, *dir, *profiles, say)
	if r != nil {
		err = errors.Join(err, r.write(*out))
	}
	return err
}

// The names of what is written.
const (
	numbersFile = "performance.json"
	pageFile    = "performance.md"
	chartFile   = "performance.svg"
)

func readResults(dir string) (*results, error) {
	b, err := os.ReadFile(filepath.Join(dir, numbersFile))
	if err != nil {
		return nil, err
	}
	r := &results{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, numbersFile), err)
	}
	return r, nil
}

// write writes the numbers, the page and the chart.
func (r *results) write(dir string) error {
	numbers, err := json.Marshal(r)
	if err != nil {
		return err
	}
	// A line for each load, so that differences can be read. No string has these bytes.
	numbers = bytes.ReplaceAll(numbers, []byte(`},{`), []byte("},\n{"))
	page, err := r.page()
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{
		numbersFile: append(numbers, '\n'), pageFile: page, chartFile: r.chart(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
