package faultfs_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/tests/powerloss"
)

// describe names a state: paths, directories with a slash, files with their content,
// of which each row of equal bytes is one letter and how many there are.
func describe(s powerloss.State) string {
	var out []string
	for _, e := range s {
		if e.Dir {
			out = append(out, e.Path+"/")
			continue
		}
		text := e.Path + "="
		for i := 0; i < len(e.Data); {
			n := i
			for n < len(e.Data) && e.Data[n] == e.Data[i] {
				n++
			}
			letter := string(e.Data[i : i+1])
			if e.Data[i] == 0 {
				letter = "0"
			}
			if text += letter; n-i > 1 {
				text += fmt.Sprint(n - i)
			}
			i = n
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// states returns all states that a cut may leave, as far as many seeds find them.
func states(d *powerloss.Disk) []string {
	found := map[string]bool{}
	try := func(v powerloss.Variant) { found[describe(d.State(v))] = true }
	for kind := powerloss.Dropped; kind <= powerloss.Torn; kind++ {
		for n := range 400 {
			switch {
			case kind >= powerloss.Mixed:
				try(powerloss.Variant{Kind: kind, Seed: uint64(n)})
			case n < max(1, d.Pending()):
				try(powerloss.Variant{Kind: kind, N: n})
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func letters(c string, n int) string { return strings.Repeat(c, n) }

// sequences are what a process does, after which every state that a power cut may
// leave is known.
var sequences = []struct {
	name string
	do   func(d *disk)
	want []string
}{
	{
		"nothing is durable by itself",
		func(d *disk) { d.write("f", 0, "a") },
		[]string{"", "f=", "f=0", "f=a"},
	},
	{
		"a synced file without a name",
		func(d *disk) {
			d.write("f", 0, "a")
			d.sync("f")
		},
		[]string{"", "f=a"},
	},
	{
		"a name without content",
		func(d *disk) {
			d.write("f", 0, "a")
			d.sync(".")
		},
		[]string{"f=", "f=0", "f=a"},
	},
	{
		"a file with its name",
		func(d *disk) {
			d.write("f", 0, "a")
			d.sync("f")
			d.sync(".")
		},
		[]string{"f=a"},
	},
	{
		"a directory that is synced and has no name",
		func(d *disk) {
			require.NoError(d.t, os.Mkdir(d.path("d"), 0o700))
			d.write("d/f", 0, "a")
			d.sync("d/f")
			d.sync("d")
		},
		[]string{"", "d/ d/f=a"},
	},
	{
		"a directory with a name, and nothing in it for sure",
		func(d *disk) {
			require.NoError(d.t, os.Mkdir(d.path("d"), 0o700))
			d.sync(".")
			d.write("d/f", 0, "a")
			d.sync("d/f")
		},
		[]string{"d/", "d/ d/f=a"},
	},
	{
		"sectors are kept one by one, and a length on the way",
		func(d *disk) {
			d.write("f", 0, letters("a", 1024))
			d.sync("f")
			d.sync(".")
			d.write("f", 0, letters("b", 1024))
		},
		[]string{"f=a1024", "f=a512b512", "f=b1024", "f=b512a512"},
	},
	{
		"an overwritten sector is old or new or newer",
		func(d *disk) {
			d.write("f", 0, letters("a", 4))
			d.sync("f")
			d.sync(".")
			d.write("f", 1, "b")
			d.write("f", 2, "c")
		},
		// Writes are kept one by one, too: a disk may hold the later one alone.
		[]string{"f=a2ca", "f=a4", "f=aba2", "f=abca"},
	},
	{
		"what is appended may be shorter, and zeros",
		func(d *disk) {
			d.write("f", 0, "a")
			d.sync("f")
			d.sync(".")
			d.write("f", 1, "bb")
		},
		[]string{"f=a", "f=a0", "f=a02", "f=ab", "f=ab2"},
	},
	{
		"a hole is zeros",
		func(d *disk) {
			d.write("f", 0, "a")
			d.sync("f")
			d.sync(".")
			require.NoError(d.t, os.Truncate(d.path("f"), 3))
			d.sync("f")
		},
		[]string{"f=a02"},
	},
	{
		"a truncation is there or not, and takes what it cut off along",
		func(d *disk) {
			d.write("f", 0, "aa")
			d.sync("f")
			d.sync(".")
			require.NoError(d.t, os.Truncate(d.path("f"), 0))
			d.write("f", 0, "b")
		},
		// Written although the old length is there still: only where nobody looks.
		[]string{"f=", "f=0", "f=a2", "f=b", "f=ba"},
	},
	{
		"a rename is atomic",
		func(d *disk) {
			for name, content := range map[string]string{"new": "n", "old": "o"} {
				d.write(name, 0, content)
				d.sync(name)
			}
			d.sync(".")
			require.NoError(d.t, os.Rename(d.path("new"), d.path("old")))
		},
		[]string{"new=n old=o", "old=n"},
	},
	{
		"a rename of what was not synced",
		func(d *disk) {
			d.write("old", 0, "o")
			d.sync("old")
			d.sync(".")
			d.write("new", 0, "n")
			require.NoError(d.t, os.Rename(d.path("new"), d.path("old")))
		},
		[]string{"new= old=o", "new=0 old=o", "new=n old=o", "old=", "old=0", "old=n", "old=o"},
	},
	{
		"a rename, and the directory is synced",
		func(d *disk) {
			d.write("new", 0, "n")
			d.sync("new")
			d.write("old", 0, "o")
			require.NoError(d.t, os.Rename(d.path("new"), d.path("old")))
			d.sync(".")
		},
		[]string{"old=n"},
	},
	{
		"removed names come back",
		func(d *disk) {
			d.write("a", 0, "a")
			d.write("b", 0, "b")
			d.sync("a")
			d.sync("b")
			d.sync(".")
			require.NoError(d.t, os.Remove(d.path("a")))
			require.NoError(d.t, os.Remove(d.path("b")))
		},
		[]string{"", "a=a", "a=a b=b", "b=b"},
	},
	{
		"a rename into another directory leaves at least one name",
		func(d *disk) {
			require.NoError(d.t, os.Mkdir(d.path("d"), 0o700))
			d.write("f", 0, "a")
			d.sync("f")
			d.sync(".")
			require.NoError(d.t, os.Rename(d.path("f"), d.path("d/f")))
		},
		[]string{"d/ d/f=a", "d/ f=a"},
	},
	{
		"a rename into another directory, which is synced",
		func(d *disk) {
			require.NoError(d.t, os.Mkdir(d.path("d"), 0o700))
			d.write("f", 0, "a")
			d.sync("f")
			d.sync(".")
			require.NoError(d.t, os.Rename(d.path("f"), d.path("d/f")))
			d.sync("d")
		},
		[]string{"d/ d/f=a", "d/ d/f=a f=a"},
	},
	{
		"a rename out of a directory, which is synced",
		func(d *disk) {
			require.NoError(d.t, os.Mkdir(d.path("d"), 0o700))
			d.write("d/f", 0, "a")
			d.sync("d/f")
			d.sync("d")
			d.sync(".")
			require.NoError(d.t, os.Rename(d.path("d/f"), d.path("f")))
			d.sync("d")
		},
		[]string{"d/ f=a"},
	},
	{
		"a directory is moved with all that is in it",
		func(d *disk) {
			require.NoError(d.t, os.MkdirAll(d.path("d/e"), 0o700))
			d.write("d/e/f", 0, "a")
			for _, name := range []string{"d/e/f", "d/e", "d", "."} {
				d.sync(name)
			}
			require.NoError(d.t, os.Rename(d.path("d/e"), d.path("g")))
			d.sync(".")
		},
		[]string{"d/ d/e/ d/e/f=a g/ g/f=a", "d/ g/ g/f=a"},
	},
}

func TestStatesThatACutMayLeave(t *testing.T) {
	for _, s := range sequences {
		t.Run(s.name, func(t *testing.T) {
			d := newDisk(t)
			s.do(d)
			r := d.Recorded()
			for _, op := range r.Ops {
				r.Start.Apply(op)
			}
			assert.Equal(t, s.want, states(r.Start))

			// The file system itself leaves one of them, whatever the seed.
			seen := describe(d.State())
			assert.Equal(t, seen, describe(r.Start.Seen()))
			for seed := range uint64(4) {
				d.PowerCut(seed)
				_, err := os.Stat(d.path("."))
				require.Error(t, err)
				d.PowerOn()
				left := describe(d.State())
				assert.Contains(t, s.want, left)
				assert.Equal(t, left, describe(onDisk(t, d.Dir())), "what the model says is what is read")
				d.PowerCut(seed + 1)
				d.PowerOn()
				assert.Equal(t, left, describe(d.State()), "nothing more is lost")
			}
		})
	}
}

// onDisk reads a tree.
func onDisk(t *testing.T, dir string) powerloss.State {
	t.Helper()
	var s powerloss.State
	root := os.DirFS(dir)
	require.NoError(t, walk(root, func(path string, isDir bool, data []byte) {
		s = append(s, powerloss.Entry{Path: path, Dir: isDir, Data: data})
	}))
	return s
}
