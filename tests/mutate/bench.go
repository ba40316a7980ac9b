package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// bench is a copy of the module on which mutations are tried, one at a time.
type bench struct {
	root  string
	limit time.Duration
	all   bool
	sound map[string]error // commands that were run on the unchanged copy
}

func newBench(o options) (*bench, error) {
	root, err := os.MkdirTemp("", "diskv-mutate-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the copy: %w", err)
	}
	b := &bench{root: root, limit: o.limit, all: o.all, sound: make(map[string]error)}
	if err := copyModule(o.module, root); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.root) }

// catch is a command that failed on a mutation.
type catch struct {
	by    string
	took  time.Duration
	seeds string // of the simulation: how many it took
}

// verdict is what became of a mutation.
type verdict struct {
	name    string
	catches []catch
	took    time.Duration // of building and all commands on the mutation
	fault   error         // why nothing can be said
	output  string        // the end of what the last command printed
}

func (v verdict) caught() bool { return len(v.catches) > 0 }

func (v verdict) String() string {
	switch {
	case v.fault != nil:
		return fmt.Sprintf("%s: no verdict: %v", v.name, v.fault)
	case !v.caught():
		return fmt.Sprintf("%s: SURVIVED, %.1f s", v.name, v.took.Seconds())
	}
	by := make([]string, len(v.catches))
	for i, c := range v.catches {
		by[i] = c.by
		if c.seeds != "" {
			by[i] += " (" + c.seeds + " seeds)"
		}
	}
	return fmt.Sprintf("%s: caught by %s, %.1f s", v.name, strings.Join(by, " and "), v.took.Seconds())
}

// try runs the commands of a mutation until one fails.
func (b *bench) try(ctx context.Context, m mutation) (v verdict) {
	v.name = m.name
	for _, c := range m.catch {
		if v.fault = b.passes(ctx, c); v.fault != nil {
			return v
		}
		v.fault = b.attack(ctx, m, c, &v)
		if v.fault != nil || v.caught() && !b.all {
			return v
		}
	}
	return v
}

// attack runs one command on a mutation.
func (b *bench) attack(ctx context.Context, m mutation, c command, v *verdict) (err error) {
	undo, err := m.apply(b.root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	began := time.Now()
	defer func() { v.took += time.Since(began) }()
	if text, err := b.goCommand(ctx, append([]string{"build", "-trimpath"}, m.packages()...)...); err != nil {
		v.output = tail(text)
		return fmt.Errorf("mutation %s does not compile: %w", m.name, err)
	}
	tested := time.Now()
	text, failed := b.goCommand(ctx, c.args(b.limit)...)
	v.output = tail(text)
	if err := noVerdict(c, text); err != nil {
		return err
	}
	if failed != nil {
		v.catches = append(v.catches, catch{by: culprit(c, text), took: time.Since(tested), seeds: seeds(c, text)})
	}
	return nil
}

// passes makes sure, once, that a command passes on the unchanged copy.
func (b *bench) passes(ctx context.Context, c command) error {
	key := c.String()
	if err, known := b.sound[key]; known {
		return err
	}
	text, err := b.goCommand(ctx, c.args(b.limit)...)
	if fault := noVerdict(c, text); fault != nil {
		err = fault
	} else if err != nil {
		err = fmt.Errorf("%s fails on the unchanged source: %w\n%s", c, err, tail(text))
	}
	b.sound[key] = err
	return err
}

// goCommand runs the go command in the copy and returns what it printed.
func (b *bench) goCommand(ctx context.Context, args ...string) (string, error) {
	// The test binary ends itself at the limit; building it comes on top.
	ctx, cancel := context.WithTimeout(ctx, 2*b.limit+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+b.root)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go hands it on to what it runs
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
		out.WriteString("\n" + timedOut + "\n")
	}
	return out.String(), err
}

const timedOut = "test timed out after"

// noVerdict returns why the output of a command says nothing about what was
// tested, if it does not.
func noVerdict(c command, text string) error {
	switch {
	case strings.Contains(text, "[build failed]"), strings.Contains(text, "[setup failed]"):
		return fmt.Errorf("%s does not compile:\n%s", c, tail(text))
	case strings.Contains(text, "no tests to run"), strings.Contains(text, "[no test files]"):
		return fmt.Errorf("%s runs no test: the table in tests/mutate is out of date", c)
	case strings.Contains(text, timedOut):
		return fmt.Errorf("%s takes too long: raise -limit", c)
	}
	return nil
}

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	failedSeed = regexp.MustCompile(`-sim\.seed=(\d+)`)
	panicLine  = regexp.MustCompile(`(?m)^\s*panic: .*broken invariant`)
)

// culprit names the deepest test that failed, and whether an invariant of the
// code itself spoke first.
func culprit(c command, text string) string {
	name := ""
	for _, m := range failedTest.FindAllStringSubmatch(text, -1) {
		if name == "" || strings.HasPrefix(m[1], name+"/") {
			name = m[1]
		}
	}
	if name == "" {
		name = c.tests
	}
	by := filepath.ToSlash(strings.TrimPrefix(c.pkg, "./")) + " `" + name + "`"
	if panicLine.MatchString(text) {
		by += ", by an invariant"
	}
	return by
}

// seeds returns how many seeds a simulation ran until one failed. The seeds that
// run beside each other may end in another order: so it is about that many.
func seeds(c command, text string) string {
	if c.pkg != "./tests/sim" {
		return ""
	}
	low := 0
	for _, m := range failedSeed.FindAllStringSubmatch(text, -1) {
		if n, err := strconv.Atoi(m[1]); err == nil && (low == 0 || n < low) {
			low = n
		}
	}
	if low == 0 {
		return "?"
	}
	return strconv.Itoa(low)
}

// tail returns the end of an output.
func tail(text string) string {
	const most = 3000
	if len(text) > most {
		text = "..." + text[len(text)-most:]
	}
	return text
}
