package powerloss

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// VariantKind says how a cut treats what was not synced.
type VariantKind uint8

// The kinds of variants.
const (
	Dropped VariantKind = iota // nothing of it is there
	Kept                       // all of it
	First                      // the N oldest operations, as a journal leaves it
	Except                     // all but the N-th oldest
	Only                       // the N-th oldest and no other
	Names                      // names and lengths, but zeros for data
	Mixed                      // each operation or not, each sector or not; by chance
	Torn                       // all names, any sectors; by chance
)

var variantNames = [...]string{"dropped", "kept", "first", "except", "only", "names", "mixed", "torn"}

// Variant is one of the states that a cut may leave.
type Variant struct {
	Kind VariantKind
	N    int    // of First, Except and Only, from 0
	Seed uint64 // of Mixed and Torn
}

// String is what [ParseVariant] reads.
func (v Variant) String() string {
	switch v.Kind {
	case First, Except, Only:
		return fmt.Sprintf("%s-%d", variantNames[v.Kind], v.N)
	case Mixed, Torn:
		return fmt.Sprintf("%s-%d", variantNames[v.Kind], v.Seed)
	}
	return variantNames[v.Kind]
}

// ParseVariant is the opposite of [Variant.String].
func ParseVariant(s string) (Variant, error) {
	for kind, name := range variantNames {
		v := Variant{Kind: VariantKind(kind)}
		if s == name && s == v.String() {
			return v, nil
		}
		var n uint64
		if _, err := fmt.Sscanf(s, name+"-%d", &n); err != nil {
			continue
		}
		if v.Kind >= Mixed {
			v.Seed = n
		} else {
			v.N = int(n)
		}
		if v.String() == s {
			return v, nil
		}
	}
	return Variant{}, fmt.Errorf("%q is not a variant: dropped, kept, names, first-N, except-N, only-N, mixed-SEED or torn-SEED", s)
}

// Pending returns how many operations are not durable as a whole: the N of a
// variant is below it.
func (d *Disk) Pending() int { return len(d.pending()) }

// pending returns the numbers of the operations that are not durable, oldest first.
func (d *Disk) pending() []int {
	var out []int
	for id := range d.reached() {
		n := d.nodes[id]
		for _, c := range n.changes {
			out = append(out, c.seq)
		}
		for _, e := range n.dirty {
			out = append(out, e.seq)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// cut is a variant at work.
type cut struct {
	seq int // of the disk: chance is another one behind every operation
	Variant
	keep map[int]bool // the operations that are on the medium as a whole
}

func (d *Disk) cut(v Variant) *cut {
	c := &cut{seq: d.seq, Variant: v, keep: map[int]bool{}}
	rng := rand.New(rand.NewPCG(v.Seed, uint64(d.seq)))
	for i, seq := range d.pending() {
		switch v.Kind {
		case Dropped:
		case Kept, Torn, Names:
			c.keep[seq] = true
		case First:
			c.keep[seq] = i < v.N
		case Except:
			c.keep[seq] = i != v.N
		case Only:
			c.keep[seq] = i == v.N
		case Mixed:
			c.keep[seq] = rng.IntN(2) == 0
		}
	}
	return c
}

// names returns the entries of a directory after the cut.
func (c *cut) names(n *node) map[string]Inode {
	left := maps.Clone(n.stable)
	for _, ch := range n.changes {
		if c.keep[ch.seq] {
			merge(left, ch.names)
		}
	}
	return left
}

// data returns the content of a file after the cut, which may be the disk's own.
func (c *cut) data(id Inode, n *node) []byte {
	if len(n.dirty) == 0 || c.Kind == Dropped {
		return n.disk
	}
	b := slices.Clone(n.disk)
	switch c.Kind {
	case Mixed, Torn:
		return c.sectors(id, b, n.dirty)
	case Names:
		for _, e := range n.dirty {
			if !e.trim {
				e.size, e.trim = max(int64(len(b)), e.off+int64(len(e.data))), true
			}
			b = e.apply(b)
		}
		return b
	}
	for _, e := range n.dirty {
		if c.keep[e.seq] {
			b = e.apply(b)
		}
	}
	return b
}

// sectors returns a content of which each sector is as it was, or as one of the
// writes to it has left it, and a length on the way to the last one. Up to a
// truncation that is on the medium, writes are there or not as a whole.
func (c *cut) sectors(id Inode, b []byte, dirty []extent) []byte {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(id)<<32^uint64(c.seq)))
	trims := []int{0} // behind how many extents it may have stopped
	for i, e := range dirty {
		if e.trim {
			trims = append(trims, i+1)
		}
	}
	era := rng.IntN(len(trims))
	if c.Kind == Torn {
		era = len(trims) - 1
	}
	for _, e := range dirty[:trims[era]] {
		if e.trim || rng.IntN(2) == 0 {
			b = e.apply(b)
		}
	}
	dirty = dirty[trims[era]:]
	if i := slices.IndexFunc(dirty, func(e extent) bool { return e.trim }); i >= 0 {
		dirty = dirty[:i]
	}
	old, full := int64(len(b)), int64(len(b))
	touched := map[int64][]extent{} // by sector
	for _, e := range dirty {
		end := e.off + int64(len(e.data))
		full = max(full, end)
		for s := e.off / SectorSize; s*SectorSize < end; s++ {
			touched[s] = append(touched[s], e)
		}
	}
	b = resize(b, full)
	for _, s := range slices.Sorted(maps.Keys(touched)) {
		for _, e := range touched[s][:rng.IntN(len(touched[s])+1)] {
			from := max(e.off, s*SectorSize)
			to := min(e.off+int64(len(e.data)), (s+1)*SectorSize)
			copy(b[from:to], e.data[from-e.off:to-e.off])
		}
	}
	if c.Kind == Torn || rng.IntN(3) == 0 {
		full = old + rng.Int64N(full-old+1)
	}
	return b[:full]
}

// restart makes the disk what a power cut leaves: what processes see then is what is
// on the medium. Inodes keep their numbers.
func (d *Disk) restart(v Variant) {
	c := d.cut(v)
	old := d.nodes
	d.nodes = map[Inode]*node{}
	var move func(id Inode) Inode
	move = func(id Inode) Inode {
		n := old[id]
		if d.nodes[id] != nil {
			if !n.dir {
				return id
			}
			id = d.NewInode() // a directory that a rename left under two names
		}
		moved := newNode(n.dir)
		d.nodes[id] = moved
		if !n.dir {
			moved.disk = slices.Clone(c.data(id, n))
			moved.data = slices.Clone(moved.disk)
			return id
		}
		names := c.names(n)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			moved.stable[name] = move(names[name])
		}
		moved.names = maps.Clone(moved.stable)
		return id
	}
	move(Root)
}
