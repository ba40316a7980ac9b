package wal

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// node is a file or directory on a disk that can lose power: what is surely on
// the medium, and what was done since and may be there or not.
type node struct {
	dir bool

	stable map[string]*node // of a directory
	since  []entries        // each of them all or nothing

	disk  []byte // of a file
	cache []byte // what a process reads
	dirty []extent
	trim  int // of a file that was cut since, behind everything in dirty; else negative
}

// entries are names that one change gives to nodes, or takes away (nil).
type entries map[string]*node

type extent struct {
	off  int
	data []byte
}

func newNode(dir bool) *node { return &node{dir: dir, stable: map[string]*node{}, trim: -1} }

// current returns the entries of a directory as a process sees them.
func (n *node) current() map[string]*node {
	out := maps.Clone(n.stable)
	for _, e := range n.since {
		apply(out, e)
	}
	return out
}

func apply(to map[string]*node, e entries) {
	for name, child := range e {
		if to[name] = child; child == nil {
			delete(to, name)
		}
	}
}

func (n *node) write(e extent) {
	n.cache = overlay(n.cache, e, 0, e.off+len(e.data))
	n.dirty = append(n.dirty, e)
}

// overlay puts the part of e that is in [from, to) onto b.
func overlay(b []byte, e extent, from, to int) []byte {
	from, to = max(from, e.off), min(to, e.off+len(e.data))
	if from >= to {
		return b
	}
	if len(b) < to {
		b = append(b, make([]byte, to-len(b))...)
	}
	copy(b[from:to], e.data[from-e.off:])
	return b
}

// settle ends the doubt about a file that was cut. What it had behind that was zeros, so a
// write that follows would make no other state of the one that it had before.
func (n *node) settle() {
	if n.trim >= 0 {
		n.disk, n.trim = n.disk[:n.trim:n.trim], -1
	}
}

func (n *node) sync() {
	if n.dir {
		n.stable, n.since = n.current(), nil
		return
	}
	for _, e := range n.dirty {
		n.disk = overlay(n.disk, e, 0, e.off+len(e.data))
	}
	n.dirty = nil
	n.settle()
}

// event is a step of a trace: a change of files, or what the log promised.
type event struct {
	change
	data   []byte // of a changeWrite
	lost   bool   // a changeSync that failed: its pages count as clean from now on
	ack    uint64 // OnDurable
	drop   uint64 // DropThrough was called
	opened bool   // Create has returned
}

// trace records every change below a directory.
type trace struct {
	mu     sync.Mutex
	base   string
	start  *node
	events []event
	tb     testing.TB
	broken func(change) error // faults
}

// newTrace begins a trace with what is in base now, all of it on the medium.
func newTrace(tb testing.TB, base string) *trace {
	tb.Helper()
	tr := &trace{base: base, tb: tb, start: newNode(true)}
	load(tb, base, tr.start)
	return tr
}

func load(tb testing.TB, path string, n *node) {
	tb.Helper()
	names, err := os.ReadDir(path)
	require.NoError(tb, err)
	for _, e := range names {
		child := newNode(e.IsDir())
		n.stable[e.Name()] = child
		if e.IsDir() {
			load(tb, filepath.Join(path, e.Name()), child)
			continue
		}
		child.disk, err = os.ReadFile(filepath.Join(path, e.Name()))
		require.NoError(tb, err)
		child.cache = bytes.Clone(child.disk)
	}
}

// options returns options of a log whose doings go into the trace.
func (tr *trace) options() Options {
	o := quiet()
	o.disk.before = func(c change) error {
		if tr.broken == nil {
			return nil
		}
		err := tr.broken(c)
		if err != nil && (c.kind == changeSync || c.kind == changeSyncDir) {
			tr.add(event{change: c, lost: true})
		}
		return err
	}
	o.disk.after = func(c change) {
		e := event{change: c}
		if c.kind == changeWrite {
			f, err := os.Open(c.path)
			if err == nil {
				e.data = make([]byte, c.n)
				_, err = f.ReadAt(e.data, c.off)
				_ = f.Close()
			}
			if err != nil {
				tr.tb.Error(err)
			}
		}
		tr.add(e)
	}
	return o
}

func (tr *trace) add(e event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.events = append(tr.events, e)
}

// find returns the node of a path and that of the directory it is in.
func (tr *trace) find(path string) (n, parent *node, name string) {
	rel, err := filepath.Rel(tr.base, path)
	require.NoError(tr.tb, err)
	n = tr.start
	if rel == "." {
		return n, nil, ""
	}
	for _, name = range strings.Split(rel, string(filepath.Separator)) {
		if parent = n; n == nil {
			return nil, nil, ""
		}
		n = n.current()[name]
	}
	return n, parent, name
}

// step does e to the disk.
func (tr *trace) step(e event) {
	if e.kind == 0 {
		return
	}
	n, parent, name := tr.find(e.path)
	switch e.kind {
	case changeTruncate, changeSync:
		if n == nil {
			return // of a segment that was dropped before it was closed
		}
	default:
		require.True(tr.tb, n != nil || parent != nil, "%s is in no directory that the log made", e.path)
	}
	switch e.kind {
	case changeMkdir:
		parent.since = append(parent.since, entries{name: newNode(true)})
	case changeCreate:
		if n == nil {
			parent.since = append(parent.since, entries{name: newNode(false)})
		} else {
			// Truncation: the worst is that it is on the medium at once.
			n.disk, n.cache, n.dirty = nil, nil, nil
		}
	case changeWrite:
		n.settle()
		n.write(extent{off: int(e.off), data: e.data})
	case changeAllocate:
		n.settle()
		if grow := e.n - len(n.cache); grow > 0 { // as good as zeros that were written
			n.write(extent{off: len(n.cache), data: make([]byte, grow)})
		}
	case changeTruncate:
		require.Empty(tr.tb, n.dirty, "what is cut is synced")
		n.cache, n.trim = n.cache[:e.n:e.n], e.n
	case changeSync, changeSyncDir:
		if e.lost {
			n.dirty = nil
		} else {
			n.sync()
		}
	case changeRename:
		to := filepath.Base(e.to)
		parent.since = append(parent.since, entries{name: nil, to: n})
	case changeRemove:
		if n != nil {
			parent.since = append(parent.since, entries{name: nil})
		}
	}
}

// survival says what of the changes that were not synced is on the medium.
type survival int

const (
	nothing survival = iota
	everything
	cached // all of it, and what a failed sync lost, as a process sees it
	someSectors
	torn
)

// restore makes the directory path what a crash may leave of n.
func restore(tb testing.TB, n *node, path string, what survival, rng *rand.Rand) {
	tb.Helper()
	if !n.dir {
		require.NoError(tb, os.WriteFile(path, n.survivor(what, rng), 0o600))
		return
	}
	require.NoError(tb, os.Mkdir(path, 0o750))
	left := maps.Clone(n.stable)
	for _, e := range n.since {
		if what == everything || what == cached || (what != nothing && rng.IntN(2) == 0) {
			apply(left, e)
		}
	}
	for name, child := range left {
		restore(tb, child, filepath.Join(path, name), what, rng)
	}
}

// survivor returns what a crash may leave of a file.
func (n *node) survivor(what survival, rng *rand.Rand) []byte {
	switch what {
	case nothing:
		return n.disk
	case cached:
		return n.cache
	}
	b, full := bytes.Clone(n.disk), bytes.Clone(n.disk)
	first := len(full)
	for _, e := range n.dirty {
		full = overlay(full, e, 0, e.off+len(e.data))
		first = min(first, e.off)
	}
	trimmed := n.trim >= 0 && (what == everything || rng.IntN(2) == 0)
	if what == everything || trimmed {
		if trimmed {
			full = full[:n.trim]
		}
		return full
	}
	// The length is one on the way to the last; of the sectors that were written to, those
	// up to a place are there (torn), or any.
	size := len(full)
	if grow := size - len(b); grow > 0 && (what == torn || rng.IntN(3) == 0) {
		size = len(b) + rng.IntN(grow+1)
	}
	whole := first + rng.IntN(max(1, size-first+1))
	b = append(b, make([]byte, max(0, size-len(b)))...)
	for at := 0; at < size; at += 512 {
		end := min(at+512, size)
		if what == torn && (size > len(n.disk) || end <= whole) || what != torn && rng.IntN(2) == 0 {
			copy(b[at:end], full[at:end])
		}
	}
	return b[:size]
}
