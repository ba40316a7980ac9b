package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"diskv/tests/bench/load/loop"
	"diskv/tests/proc"
)

// bench is a comparison that runs.
type bench struct {
	dir     string // where the programs are and the systems run
	systems []*system
	say     io.Writer
	results results
}

// compare measures in a directory below parent, which is gone afterwards. Profiles of
// diskvd go to the directory of that name, if there is one. With an error there are
// results as well if they are complete.
func compare(ctx context.Context, s settings, parent, profiles string, say io.Writer) (_ *results, err error) {
	parent, err = filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	b := &bench{say: say}
	b.results.Settings, b.results.Date = s, time.Now().UTC().Format(time.DateOnly)
	if b.results.Machine, err = thisMachine(parent); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(parent, "bench-compare-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	if b.systems, err = newSystems(profiles != ""); err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range b.systems {
			s.kill()
		}
	}()
	for _, s := range b.systems {
		if err := b.begin(ctx, s); err != nil {
			return nil, err
		}
	}
	for round := range s.Rounds {
		if err := b.round(ctx, round); err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	for _, s := range b.systems {
		f, err := s.footprint(b.dir)
		if err != nil {
			return nil, err
		}
		b.results.Footprints = append(b.results.Footprints, f)
	}
	if profiles != "" {
		err = b.profiles(ctx, profiles)
	}
	return &b.results, err
}

// build builds the programs and asks for their versions.
func (b *bench) build(ctx context.Context) error {
	b.printf("building diskvd, etcd and load\n")
	if _, err := proc.Build(b.dir); err != nil {
		return err
	}
	for name, pkg := range map[string]string{"etcd": "go.etcd.io/etcd/server/v3", "load": "diskv/tests/bench/load"} {
		if _, err := output(ctx, "", "go", "build", "-o", filepath.Join(b.dir, name), pkg); err != nil {
			return err
		}
	}
	commit, err := output(ctx, "", "git", "describe", "--always", "--dirty")
	if err != nil {
		commit = "unknown"
	}
	compiler, err := output(ctx, "", "go", "env", "GOVERSION")
	if err != nil {
		return err
	}
	e, err := output(ctx, b.dir, "./etcd", "--version")
	if err != nil {
		return err
	}
	r, err := output(ctx, b.dir, "redis-server", "--version")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install redis-server)", err)
	}
	number := func(text, before string) string {
		_, after, _ := strings.Cut(text, before)
		word, _, _ := strings.Cut(strings.TrimSpace(after)+" ", " ")
		word, _, _ = strings.Cut(word, "\n")
		return word
	}
	b.results.Versions = []version{
		{diskv, "commit " + commit + ", built with " + compiler},
		{etcd, number(e, "etcd Version:") + ", built with " + compiler},
		{redis, number(r, "v=")},
	}
	return nil
}

// output runs a command and returns what it prints.
func output(ctx context.Context, dir string, line ...string) (string, error) {
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.Env = dir, plainEnvironment()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", commandLine(line), err, errs.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// begin starts a system and sets every key.
func (b *bench) begin(ctx context.Context, s *system) error {
	if err := s.start(ctx, b.dir); err != nil {
		return err
	}
	for _, p := range s.processes {
		b.results.Servers = append(b.results.Servers, command{p.name, commandLine(p.line)})
	}
	r, err := b.load(ctx, s, "--fill", "--clients", "256")
	if err != nil {
		return err
	}
	b.printf("%-6s has %d keys\n", s.name, r.Requests)
	return nil
}

// load runs the load program.
func (b *bench) load(ctx context.Context, s *system, args ...string) (loop.Report, error) {
	var r loop.Report
	out, err := output(ctx, b.dir, b.loadLine(s, args)...)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("what load prints: %w", err)
	}
	return r, s.running()
}

func (b *bench) loadLine(s *system, args []string) []string {
	set := b.results.Settings
	return slices.Concat([]string{"./load"}, s.loadArgs, args, []string{
		"--keys", strconv.Itoa(set.Keys), "--value-bytes", strconv.Itoa(set.ValueBytes), "--json",
	})
}

// rotated returns the systems of a workload in the order of a round: each is first as
// often as the others.
func rotated(names []string, turn int) []string {
	n := turn % len(names)
	return slices.Concat(names[n:], names[:n])
}

// round puts every load on every system.
func (b *bench) round(ctx context.Context, round int) error {
	s, err := probe(b.dir)
	if err != nil {
		return err
	}
	b.results.Syncs = append(b.results.Syncs, s)
	for i, w := range workloads {
		for _, name := range rotated(w.systems, round+i) {
			if err := b.measure(ctx, round, w, name); err != nil {
				return fmt.Errorf("%s on %s: %w", w.title, name, err)
			}
		}
	}
	return nil
}

// settling is what a system is given to end what the load before has left to do.
const settling = time.Second

// settle waits until the machine has nothing left to do.
func (b *bench) settle(ctx context.Context) error {
	syscall.Sync() // nobody pays for what others have written
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settling):
		return nil
	}
}

// args are those of the load program.
func (w workload) args(s settings) []string {
	return []string{
		"--clients", strconv.Itoa(w.clients), "--pipeline", strconv.Itoa(w.pipeline), "--reads", strconv.FormatFloat(w.reads, 'g', -1, 64),
		"--duration", s.Duration.String(), "--warmup", s.Warmup.String(),
	}
}

// measure puts a load on one system while the others have nothing to do.
func (b *bench) measure(ctx context.Context, round int, w workload, name string) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	s := b.systems[slices.IndexFunc(b.systems, func(s *system) bool { return s.name == name })]
	args := w.args(b.results.Settings)
	if round == 0 {
		b.results.Loads = append(b.results.Loads, command{w.name, commandLine(b.loadLine(s, args))})
	}
	before, idleBefore, err := b.processorTimes(s)
	if err != nil {
		return err
	}
	begun := time.Now()
	r, err := b.load(ctx, s, args...)
	if err != nil {
		return err
	}
	m := measured{Round: round, Workload: w.name, System: name, Report: r, Lasted: time.Since(begun).Seconds()}
	after, idleAfter, err := b.processorTimes(s)
	if err != nil {
		return err
	}
	m.Processor, m.Idle = after-before, idleAfter-idleBefore
	b.results.Measured = append(b.results.Measured, m)
	b.printf("round %d  %-34s %-6s %9.0f/s  p50 %7.0f  p99 %7.0f  p99.9 %7.0f us  failed %d\n",
		round+1, w.title, name, r.Throughput, r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Failed())
	return nil
}

// processorTimes returns what a system has used, and what all others have.
func (b *bench) processorTimes(loaded *system) (its, others float64, err error) {
	for _, s := range b.systems {
		t, err := s.processorTime()
		if err != nil {
			return 0, 0, err
		}
		if s == loaded {
			its = t
		} else {
			others += t
		}
	}
	return its, others, nil
}

func (b *bench) printf(format string, args ...any) { _, _ = fmt.Fprintf(b.say, format, args...) }
