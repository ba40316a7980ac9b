package kv

import (
	"bytes"

	"github.com/google/btree"

	"diskv/shard"
)

// shardData is what one shard holds: a tree of its own, so that a shard is frozen,
// installed and dropped in no time, whatever its size and that of the others.
//
// An image shares it. The store changes it only while its generation is the
// store's, and else a clone of it; of the fields, an image looks at items and bytes
// only.
//
// What a look-up needs on its way to the tree's first node is here, in one line of the
// processor's cache: among many keys it is waiting for memory that a command costs.
type shardData struct {
	items      btree.BTreeG[item]
	deadlines  *btree.BTreeG[deadline] // of the items with an expiry
	bytes      int64                   // of the items
	earliest   int64                   // ms: the first of deadlines, as the store's index has it; 0: not there
	generation uint64
}

// shardArray has what every shard holds; nil: nothing.
type shardArray [shard.Count]*shardData

// ascend calls visit with items in the order of (shard, key), from a key of a
// shard on, until it returns false.
func (a *shardArray) ascend(from shard.ID, key []byte, visit func(id shard.ID, it item) bool) {
	for id := from; id < shard.Count; id++ {
		if d := a[id]; d != nil {
			more := true
			d.items.AscendGreaterOrEqual(at(key), func(it item) bool {
				more = visit(id, it)
				return more
			})
			if !more {
				return
			}
		}
		key = nil
	}
}

// removals has for every shard the slot at which a key of it was last removed, or at
// which it was installed; 0: never.
type removals [shard.Count]uint64

// ascendPrefix calls visit with the items of some shards whose keys begin with a prefix,
// in the order of (shard, key), until it returns false.
func (a *shardArray) ascendPrefix(first, last shard.ID, prefix []byte, visit func(it item) bool) {
	more := true
	for id := first; more && id <= last; id++ {
		if a[id] == nil {
			continue
		}
		a[id].items.AscendGreaterOrEqual(at(prefix), func(it item) bool {
			if !bytes.HasPrefix(it.key(), prefix) {
				return false
			}
			more = visit(it)
			return more
		})
	}
}

// shardDeadline says when the first key of a shard expires.
type shardDeadline struct {
	at    int64 // ms since the Unix epoch
	shard shard.ID
}

func shardDeadlineLess(a, b shardDeadline) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.shard < b.shard
}

// empty are the empty trees that those of all shards are copies of. So they have one
// list of nodes that can be used again, which would be larger than most of them, and one
// mark by which a tree knows its own nodes: two shards never come to share a node but by
// Clone, which gives both trees other marks.
type empty struct {
	items     btree.BTreeG[item]
	deadlines btree.BTreeG[deadline]
}

func newEmpty() empty {
	return empty{items: *btree.NewG(degree, itemLess), deadlines: *btree.NewG(degree, deadlineLess)}
}

// newShard returns an empty shard that the store may change.
func (s *Store) newShard() *shardData {
	deadlines := s.empty.deadlines
	return &shardData{items: s.empty.items, deadlines: &deadlines, generation: s.generation}
}

// mutable returns the shard, for a change. The first change behind an image costs a
// clone, which copies what is changed and nothing else.
func (s *Store) mutable(id shard.ID) *shardData {
	d := s.shards[id]
	if d == nil {
		d = s.newShard()
	}
	d = s.own(d)
	s.shards[id] = d
	return d
}

// own returns d, or a clone if images share it. D is not used any more then.
func (s *Store) own(d *shardData) *shardData {
	if d.generation == s.generation {
		return d
	}
	clone := *d
	clone.items = *d.items.Clone()
	clone.generation = s.generation
	d.deadlines = nil // they go along: no image looks at them
	return &clone
}

// get returns the item of a key, also of one whose time has come.
func (s *Store) get(id shard.ID, key []byte) (item, bool) {
	d := s.shards[id]
	if d == nil {
		return item{}, false
	}
	return d.items.Get(at(key))
}

// put stores an item in place of what its key had, as changed now.
func (s *Store) put(id shard.ID, it item) {
	it.changed = s.slot
	s.changed(it.key())
	d := s.mutable(id)
	before := d.bytes
	old, replaced := d.put(it)
	s.bytes += d.bytes - before
	if !replaced {
		s.keys++
	}
	if replaced && old.expiry != 0 {
		s.expires--
	}
	if it.expiry != 0 {
		s.expires++
		s.due = min(s.due, it.expiry)
	}
	if old.expiry != it.expiry {
		s.index(id, d)
	}
}

// put stores an item in place of what its key had, and returns that.
func (d *shardData) put(it item) (old item, replaced bool) {
	old, replaced = d.items.ReplaceOrInsert(it)
	if replaced {
		d.bytes -= old.size()
		if old.expiry != 0 && old.expiry != it.expiry {
			d.deadlines.Delete(old.deadline())
		}
	}
	d.bytes += it.size()
	if it.expiry != 0 {
		// Also when the time is the same: the entry must not hold the memory of the
		// old item.
		d.deadlines.ReplaceOrInsert(it.deadline())
	}
	return old, replaced
}

// remove takes a key out, if it is there.
func (s *Store) remove(id shard.ID, key []byte) {
	d := s.shards[id]
	if d == nil {
		return
	}
	if d.generation != s.generation {
		if !d.items.Has(at(key)) {
			return // there is nothing to clone the shard for
		}
		d = s.mutable(id)
	}
	old, ok := d.items.Delete(at(key))
	if !ok {
		return
	}
	d.bytes -= old.size()
	s.bytes -= old.size()
	s.keys--
	s.noteRemoved(id)
	s.changed(old.key())
	if old.expiry != 0 {
		d.deadlines.Delete(old.deadline())
		s.expires--
		s.index(id, d)
	}
}

// noteRemoved notes that a key of the shard is not there any more, or that the shard
// has begun to be served here: a watched key that is not there may have changed.
func (s *Store) noteRemoved(id shard.ID) { s.setRemoved(id, s.slot) }

// setRemoved sets when a key of the shard was removed last; 0: never.
func (s *Store) setRemoved(id shard.ID, slot uint64) {
	if s.removed[id] != 0 {
		s.bytes -= removalBytes
	}
	if slot != 0 {
		s.bytes += removalBytes
	}
	s.removed[id] = slot
}

// removeAll takes all keys out of a shard, at once: the tree is dropped, whatever its
// size. Images that share it keep it.
func (s *Store) removeAll(id shard.ID) {
	d := s.shards[id]
	if d == nil || d.items.Len() == 0 {
		return
	}
	s.bytes -= d.bytes
	s.keys -= d.items.Len()
	s.expires -= d.deadlines.Len()
	if d.earliest != 0 {
		s.deadlines.Delete(shardDeadline{d.earliest, id})
	}
	s.shards[id] = nil
	s.noteRemoved(id)
	s.changedAll()
}

// index has the store's index say when the first key of a shard expires.
func (s *Store) index(id shard.ID, d *shardData) {
	first, _ := d.deadlines.Min() // 0 if there is none
	if first.at == d.earliest {
		return
	}
	if d.earliest != 0 {
		s.deadlines.Delete(shardDeadline{d.earliest, id})
	}
	if first.at != 0 {
		s.deadlines.ReplaceOrInsert(shardDeadline{first.at, id})
	}
	d.earliest = first.at
}

// ascendExpired calls visit with every deadline at or before now, shard by shard,
// until it returns false.
func (s *Store) ascendExpired(now int64, visit func(d deadline) bool) {
	s.deadlines.Ascend(func(first shardDeadline) bool {
		return first.at <= now && s.shards[first.shard].ascendExpired(now, visit)
	})
}

// ascendExpired calls visit with every deadline at or before now, until it returns
// false, and returns whether it never did.
func (d *shardData) ascendExpired(now int64, visit func(d deadline) bool) bool {
	more := true
	d.deadlines.Ascend(func(d deadline) bool {
		if d.at > now {
			return false
		}
		more = visit(d)
		return more
	})
	return more
}

// itemLess and deadlineLess order within a shard.
func itemLess(a, b item) bool { return bytes.Compare(a.data[:a.keyLen], b.data[:b.keyLen]) < 0 }

func deadlineLess(a, b deadline) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return bytes.Compare(a.key, b.key) < 0
}
