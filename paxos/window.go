package paxos

import "fmt"

// window is the part of a replica's log that is in memory: every accepted
// entry that is not applied yet, and behind it as many applied ones as the
// budget allows, for members that lag a little.
//
// Invariants:
//  1. entries are consecutive: entries[i] is of slot first+i
//  2. bytes is the sum of their costs
type window struct {
	first   Slot // slot of entries[0], or of the next entry when there is none
	entries []heldEntry
	bytes   int
}

// heldEntry is an accepted entry and the number of the sync that makes it
// durable. What was read from the disk has sync 0.
type heldEntry struct {
	Entry
	sync uint64
}

// last returns the highest slot held, or first-1 when there is none.
func (w *window) last() Slot { return w.first + Slot(len(w.entries)) - 1 }

// get returns the entry of slot s, or nil if it is not in memory. The result
// is valid until the window changes.
func (w *window) get(s Slot) *heldEntry {
	if s < w.first || s > w.last() {
		return nil
	}
	return &w.entries[s-w.first]
}

// put stores e, in place of what its slot held or behind the last entry.
func (w *window) put(e heldEntry) {
	switch {
	case e.Slot >= w.first && e.Slot <= w.last():
		old := &w.entries[e.Slot-w.first]
		w.bytes += e.cost() - old.cost()
		*old = e
	case e.Slot == w.last()+1:
		w.entries = append(w.entries, e)
		w.bytes += e.cost()
	default:
		panic(fmt.Sprintf("paxos: entry of slot %d put into the window %d to %d", e.Slot, w.first, w.last()))
	}
}

// slice returns copies of the entries from slot s on, up to slot end and to
// limit bytes, but at least one if slot s is in memory.
func (w *window) slice(s, end Slot, limit int) []Entry {
	var out []Entry
	for size := 0; s <= end; s++ {
		e := w.get(s)
		if e == nil {
			break
		}
		size += e.cost()
		if len(out) > 0 && size > limit {
			break
		}
		out = append(out, e.Entry)
	}
	return out
}

// trim drops entries from the front while the window is above budget, but
// none above slot applied.
func (w *window) trim(applied Slot, budget int) {
	n := 0
	for n < len(w.entries) && w.bytes > budget && w.first+Slot(n) <= applied {
		w.bytes -= w.entries[n].cost()
		w.entries[n] = heldEntry{} // let go of the value
		n++
	}
	w.entries = w.entries[n:]
	w.first += Slot(n)
}

// dropThrough drops every entry up to slot s. The window then begins at s+1 or
// where it began already.
func (w *window) dropThrough(s Slot) {
	if s < w.first {
		return
	}
	if s >= w.last() {
		*w = window{first: s + 1}
		return
	}
	n := int(s - w.first + 1)
	for i := range w.entries[:n] {
		w.bytes -= w.entries[i].cost()
		w.entries[i] = heldEntry{}
	}
	w.entries = w.entries[n:]
	w.first = s + 1
}
