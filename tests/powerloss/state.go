package powerloss

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// State is a tree of files as a cut has left it.
type State []Entry

// Entry is a file or a directory of a state. A directory stands before what is in
// it, and the names in one are sorted.
type Entry struct {
	Path string // below the root, with slashes
	Dir  bool
	Data []byte // of a file; not to be changed
}

// State returns what a cut would leave in one variant. It shares bytes with the
// disk and is good until the next operation.
func (d *Disk) State(v Variant) State {
	c := d.cut(v)
	return d.state(c.names, c.data)
}

// Seen returns what processes see.
func (d *Disk) Seen() State {
	return d.state(func(n *node) map[string]Inode { return n.names }, func(_ Inode, n *node) []byte { return n.data })
}

func (d *Disk) state(namesOf func(*node) map[string]Inode, dataOf func(Inode, *node) []byte) State {
	var out State
	var walk func(id Inode, path string)
	walk = func(id Inode, path string) {
		names := namesOf(d.nodes[id])
		for _, name := range slices.Sorted(maps.Keys(names)) {
			child := names[name]
			n := d.nodes[child]
			e := Entry{Path: path + name, Dir: n.dir}
			if !n.dir {
				e.Data = dataOf(child, n)
			}
			out = append(out, e)
			if n.dir {
				walk(child, e.Path+"/")
			}
		}
	}
	walk(Root, "")
	return out
}

// Sub returns the part of the state below a directory, or nil if it is not there.
func (s State) Sub(dir string) State {
	var out State
	for _, e := range s {
		if len(e.Path) > len(dir) && e.Path[:len(dir)+1] == dir+"/" {
			e.Path = e.Path[len(dir)+1:]
			out = append(out, e)
		}
	}
	return out
}

// Digest is the same for two states exactly if they are.
func (s State) Digest() [32]byte {
	h := sha256.New()
	for _, e := range s {
		var head [17]byte
		binary.LittleEndian.PutUint64(head[:], uint64(len(e.Path)))
		binary.LittleEndian.PutUint64(head[8:], uint64(len(e.Data)))
		if e.Dir {
			head[16] = 1
		}
		h.Write(head[:])
		h.Write([]byte(e.Path))
		h.Write(e.Data)
	}
	return [32]byte(h.Sum(nil))
}

// Build makes the state in a directory, which must be there and empty.
func (s State) Build(dir string) error {
	for _, e := range s {
		path := filepath.Join(dir, filepath.FromSlash(e.Path))
		var err error
		if e.Dir {
			err = os.Mkdir(path, 0o750)
		} else {
			err = os.WriteFile(path, e.Data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("build what a power cut leaves: %w", err)
		}
	}
	return nil
}
