package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mutation is one safety rule switched off.
type mutation struct {
	name    string
	rule    string // in words
	section string // of docs/protocol.md, or of the document that it names
	edits   []edit
	// catch must fail, at least one of them; cheapest first.
	catch []command
}

// edit replaces a piece of text that occurs exactly once in a file.
type edit struct {
	file string // from the module's root
	old  string
	new  string
}

// command is a run of go test.
type command struct {
	pkg   string   // from the module's root, with ./
	tests string   // for -run
	flags []string // of the test binary
}

// named is the command for tests by name.
func named(pkg, tests string) command { return command{pkg: pkg, tests: tests} }

// story is the command for a story of package paxos.
func story(name string) command {
	return named("./paxos", "^TestStories$/^"+name+"$")
}

// simulation is the command for the first seeds of the simulation. Runs are as
// long as in make sim.
func simulation(seeds int) command {
	return command{pkg: "./tests/sim", tests: "^TestSim$", flags: []string{fmt.Sprintf("-sim.seeds=%d", seeds), "-sim.ops=500"}}
}

// groups is the command for the first seeds of the simulation of several groups.
func groups() command {
	return command{pkg: "./tests/sim", tests: "^TestGroups$", flags: []string{"-sim.groupseeds=150", "-sim.ops=500"}}
}

// crashStates is the command for a share of the states that a power cut may leave of
// a node's disk.
func crashStates() command {
	return named("./tests/crashstates", "^(TestSingleNode|TestMemberOfAGroup)$")
}

// args are the arguments of the go command. Paths are trimmed so that every
// copy of the module shares what the build cache has of unchanged packages.
func (c command) args(limit time.Duration) []string {
	args := []string{"test", "-trimpath", "-count=1", "-timeout", limit.String(), "-run", c.tests, c.pkg}
	return append(args, c.flags...)
}

// String names the command as one would type it.
func (c command) String() string {
	s := "go test " + c.pkg + " -run '" + c.tests + "'"
	if len(c.flags) > 0 {
		s += " " + strings.Join(c.flags, " ")
	}
	return s
}

func (m *mutation) files() []string {
	var out []string
	for _, e := range m.edits {
		if !slices.Contains(out, e.file) {
			out = append(out, e.file)
		}
	}
	return out
}

// packages are those that the edits are in, as the go command names them.
func (m *mutation) packages() []string {
	var out []string
	for _, f := range m.files() {
		if p := "./" + path.Dir(f); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// apply makes the edits in the module at root and returns what undoes them. With
// an error nothing is changed.
func (m *mutation) apply(root string) (undo func() error, err error) {
	before := make(map[string]string)
	after := make(map[string]string)
	for _, e := range m.edits {
		if _, read := after[e.file]; !read {
			text, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, fmt.Errorf("mutation %s is out of date: %w", m.name, err)
			}
			before[e.file], after[e.file] = string(text), string(text)
		}
		if n := strings.Count(before[e.file], e.old); n != 1 || strings.Count(after[e.file], e.old) != 1 {
			return nil, fmt.Errorf("mutation %s is out of date: the text that it replaces occurs %d times in %s and not once; fit the table in tests/mutate to the source:\n%s",
				m.name, n, e.file, e.old)
		}
		after[e.file] = strings.Replace(after[e.file], e.old, e.new, 1)
	}
	undo = func() error { return writeFiles(root, before) }
	if err := writeFiles(root, after); err != nil {
		return nil, err
	}
	return undo, nil
}

func writeFiles(root string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("change the copy of the module: %w", err)
		}
	}
	return nil
}

// copyModule copies what a build and the tests need of the module at from: Go
// files, test data and the module's own files. Hidden directories, built
// programs and what tests leave behind stay.
func copyModule(from, to string) error {
	if _, err := os.Stat(filepath.Join(from, "go.mod")); err != nil {
		return fmt.Errorf("%s is no module: run this from the root of the source, or give -module: %w", from, err)
	}
	return filepath.WalkDir(from, func(file string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, name), 0o750)
		}
		if !needed(name) || !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o600)
	})
}

// needed reports whether a build or a test reads the file.
func needed(name string) bool {
	switch filepath.Ext(name) {
	case ".go", ".mod", ".sum", ".s", ".html": // pages are embedded
		return true
	}
	return strings.Contains(filepath.ToSlash(name), "/testdata/")
}
