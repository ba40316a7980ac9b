package powerloss

import (
	"fmt"
	"maps"
	"slices"
)

// Disk is a tree of files of which a part is durable. It is not for several
// goroutines at once.
type Disk struct {
	nodes map[Inode]*node
	last  Inode
	seq   int // operations so far
}

// node is a file or a directory: what processes see, what is on the medium, and
// what was done since and may be there or not.
type node struct {
	dir bool

	names   map[string]Inode // as processes see them
	stable  map[string]Inode // on the medium
	changes []change         // since

	data  []byte // as processes see it
	disk  []byte // on the medium
	dirty []extent
}

// change is what one operation did to the names of a directory, all or nothing.
type change struct {
	seq   int
	names map[string]Inode // 0: gone
	// after is the new directory of a rename between two, of the change that takes
	// the old name away: the new name is on the medium no later.
	after Inode
}

// extent is a write, or a change of the length.
type extent struct {
	seq  int
	off  int64
	data []byte
	size int64 // of a change of the length
	trim bool  // it is one
}

// NewDisk returns an empty disk.
func NewDisk() *Disk {
	d := &Disk{nodes: map[Inode]*node{}, last: Root}
	d.nodes[Root] = newNode(true)
	return d
}

func newNode(dir bool) *node {
	n := &node{dir: dir}
	if dir {
		n.names, n.stable = map[string]Inode{}, map[string]Inode{}
	}
	return n
}

// NewInode returns a number that was not used before.
func (d *Disk) NewInode() Inode {
	d.last++
	return d.last
}

// Clone returns a disk that is the same and changes by itself.
func (d *Disk) Clone() *Disk {
	out := &Disk{nodes: make(map[Inode]*node, len(d.nodes)), last: d.last, seq: d.seq}
	for id, n := range d.nodes {
		c := *n
		c.names, c.stable = maps.Clone(n.names), maps.Clone(n.stable)
		c.changes, c.dirty = slices.Clone(n.changes), slices.Clone(n.dirty)
		c.data, c.disk = slices.Clone(n.data), slices.Clone(n.disk)
		out.nodes[id] = &c
	}
	return out
}

// node returns a node that must be there.
func (d *Disk) node(id Inode, dir bool) *node {
	n := d.nodes[id]
	if n == nil || n.dir != dir {
		panic(fmt.Sprintf("powerloss: inode %d is not there, or not of the right kind", id))
	}
	return n
}

// Lookup returns what a directory has under a name, or 0.
func (d *Disk) Lookup(dir Inode, name string) Inode { return d.node(dir, true).names[name] }

// Has reports whether there is such an inode, with a name or not.
func (d *Disk) Has(id Inode) bool { return d.nodes[id] != nil }

// IsDir reports whether the inode, which must be there, is a directory.
func (d *Disk) IsDir(id Inode) bool { return d.nodes[id].dir }

// Names returns the sorted names in a directory.
func (d *Disk) Names(dir Inode) []string {
	return slices.Sorted(maps.Keys(d.node(dir, true).names))
}

// Data returns the content of a file as processes see it. It must not be changed,
// and is good until the next operation.
func (d *Disk) Data(id Inode) []byte { return d.node(id, false).data }

// Apply does an operation, which must be possible.
func (d *Disk) Apply(op Op) {
	if op.Kind == PowerCut { // it is the same chance as State's, before it
		d.restart(op.Variant)
	}
	d.seq++
	switch op.Kind {
	case Create, Mkdir:
		d.nodes[op.Inode] = newNode(op.Kind == Mkdir)
		d.last = max(d.last, op.Inode)
		d.change(op.Dir, change{names: map[string]Inode{op.Name: op.Inode}})
	case Write:
		d.node(op.Inode, false).write(extent{seq: d.seq, off: op.Off, data: op.Data})
	case Truncate:
		d.node(op.Inode, false).write(extent{seq: d.seq, size: op.Size, trim: true})
	case Rename:
		d.rename(op)
	case Remove:
		d.change(op.Dir, change{names: map[string]Inode{op.Name: 0}})
	case Sync:
		d.sync(op.Inode)
	case PowerCut:
	case FailedSync:
		n := d.nodes[op.Inode]
		n.changes, n.dirty = nil, nil
	default:
		panic(fmt.Sprintf("powerloss: operation of kind %d", op.Kind))
	}
}

func (d *Disk) change(dir Inode, c change) {
	n := d.node(dir, true)
	c.seq = d.seq
	merge(n.names, c.names)
	n.changes = append(n.changes, c)
}

// merge gives names to inodes, or takes them away.
func merge(to, names map[string]Inode) {
	for name, id := range names {
		if to[name] = id; id == 0 {
			delete(to, name)
		}
	}
}

func (d *Disk) rename(op Op) {
	id := d.Lookup(op.Dir, op.Name)
	if id == 0 {
		panic("powerloss: rename of " + op.Name + ", which is not there")
	}
	if op.Dir == op.ToDir {
		if op.Name != op.ToName {
			d.change(op.Dir, change{names: map[string]Inode{op.Name: 0, op.ToName: id}})
		}
		return
	}
	d.change(op.ToDir, change{names: map[string]Inode{op.ToName: id}})
	d.change(op.Dir, change{names: map[string]Inode{op.Name: 0}, after: op.ToDir})
}

// write puts a write where processes see it.
func (n *node) write(e extent) {
	n.data = e.apply(n.data)
	n.dirty = append(n.dirty, e)
}

// apply does the write to b, which it may change.
func (e extent) apply(b []byte) []byte {
	if e.trim {
		return resize(b, e.size)
	}
	b = resize(b, max(int64(len(b)), e.off+int64(len(e.data))))
	copy(b[e.off:], e.data)
	return b
}

// resize cuts b, or lengthens it with zeros.
func resize(b []byte, size int64) []byte {
	if grow := size - int64(len(b)); grow > 0 {
		b = slices.Grow(b, int(grow))
		fresh := b[len(b):size]
		clear(fresh)
	}
	return b[:size]
}

func (d *Disk) sync(id Inode) {
	n := d.nodes[id]
	for _, c := range n.changes {
		if c.after != 0 {
			d.settle(c.after, c.seq)
		}
		merge(n.stable, c.names)
	}
	for _, e := range n.dirty {
		n.disk = e.apply(n.disk)
	}
	n.changes, n.dirty = nil, nil
}

// settle makes one change of a directory durable, and no other.
func (d *Disk) settle(dir Inode, seq int) {
	n := d.nodes[dir]
	if n == nil {
		return
	}
	i := slices.IndexFunc(n.changes, func(c change) bool { return c.seq == seq })
	if i < 0 {
		return
	}
	done := n.changes[i].names
	merge(n.stable, done)
	for j := range n.changes[:i] { // those before it must not undo it
		left := maps.Clone(n.changes[j].names)
		maps.DeleteFunc(left, func(name string, _ Inode) bool { _, settled := done[name]; return settled })
		n.changes[j].names = left
	}
	n.changes = slices.Delete(slices.Clone(n.changes), i, i+1)
}

// DropCaches has processes see what the medium holds and what is still to be
// written to it: not what a failed sync has lost.
func (d *Disk) DropCaches() {
	for _, n := range d.nodes {
		if n.dir {
			n.names = maps.Clone(n.stable)
			for _, c := range n.changes {
				merge(n.names, c.names)
			}
			continue
		}
		n.data = slices.Clone(n.disk)
		for _, e := range n.dirty {
			n.data = e.apply(n.data)
		}
	}
}

// Forget drops what no name leads to, now or after any cut, and is not held.
func (d *Disk) Forget(held func(Inode) bool) {
	reached := d.reached()
	maps.DeleteFunc(d.nodes, func(id Inode, _ *node) bool { return !reached[id] && !held(id) })
}

// reached returns what a name leads to, now or after any cut.
func (d *Disk) reached() map[Inode]bool {
	reached := map[Inode]bool{}
	var reach func(id Inode)
	reach = func(id Inode) {
		n := d.nodes[id]
		if n == nil || reached[id] {
			return
		}
		reached[id] = true
		for _, names := range []map[string]Inode{n.names, n.stable} {
			for _, child := range names {
				reach(child)
			}
		}
		for _, c := range n.changes {
			for _, child := range c.names {
				reach(child)
			}
		}
	}
	reach(Root)
	return reached
}
