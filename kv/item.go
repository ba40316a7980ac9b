package kv

import (
	"bytes"

	"github.com/google/btree"

	"diskv/shard"
)

// MaxKey is how many bytes a key can have. It bounds what lies beside values:
// index entries, scan positions, records. The number is part of what every
// replica decides alike; it can only grow, with a new format.
const MaxKey = 64 << 10

// degree of the trees: up to 63 items in a node. Larger nodes cost more per
// insertion and per copy behind an image, smaller ones more per look-up.
const degree = 32

// item is a key with its value. It is never changed once it is in the tree, since
// images share it: a new item replaces it.
//
// APPEND is no exception. It may write behind the value of the item that it
// replaces, into memory that only the newest item of a key can reach: data begins
// with the key, so no two keys share memory, and an image never looks behind the
// length that it knows.
type item struct {
	data   []byte // key, then value
	expiry int64  // ms since the Unix epoch, > 0; 0: never
	keyLen uint32
	shard  shard.ID
}

// newItem copies key and value, which belong to others, into one piece.
func newItem(id shard.ID, key, value []byte, expiry int64) item {
	data := make([]byte, len(key)+len(value))
	copy(data[copy(data, key):], value)
	return item{data: data, expiry: expiry, keyLen: uint32(len(key)), shard: id}
}

// at returns what stands for a key in a look-up. It aliases key.
func at(id shard.ID, key []byte) item {
	return item{data: key, keyLen: uint32(len(key)), shard: id}
}

func (it *item) key() []byte   { return it.data[:it.keyLen:it.keyLen] }
func (it *item) value() []byte { return it.data[it.keyLen:] }

// size is what the item takes in the records of an image.
func (it *item) size() int64 { return int64(len(it.data)) + entryOverhead }

func itemLess(a, b item) bool {
	if a.shard != b.shard {
		return a.shard < b.shard
	}
	return bytes.Compare(a.data[:a.keyLen], b.data[:b.keyLen]) < 0
}

// deadline is an entry of the expiry index. Its key aliases that of the item.
type deadline struct {
	at    int64 // ms since the Unix epoch
	key   []byte
	shard shard.ID
}

func (it *item) deadline() deadline {
	return deadline{at: it.expiry, key: it.key(), shard: it.shard}
}

func compareDeadlines(a, b deadline) int {
	if deadlineLess(a, b) {
		return -1
	}
	if deadlineLess(b, a) {
		return 1
	}
	return 0
}

func deadlineLess(a, b deadline) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	if a.shard != b.shard {
		return a.shard < b.shard
	}
	return bytes.Compare(a.key, b.key) < 0
}

func newItems() *btree.BTreeG[item]         { return btree.NewG(degree, itemLess) }
func newDeadlines() *btree.BTreeG[deadline] { return btree.NewG(degree, deadlineLess) }

// put stores an item in place of what its key had.
func (s *Store) put(it item) {
	old, replaced := s.items.ReplaceOrInsert(it)
	if replaced {
		s.bytes -= old.size()
		if old.expiry != 0 && old.expiry != it.expiry {
			s.deadlines.Delete(old.deadline())
		}
	}
	s.bytes += it.size()
	if it.expiry != 0 {
		// Also when the time is the same: the entry must not hold the memory of the
		// old item.
		s.deadlines.ReplaceOrInsert(it.deadline())
		s.due = min(s.due, it.expiry)
	}
}

// remove takes a key out, if it is there.
func (s *Store) remove(id shard.ID, key []byte) {
	old, ok := s.items.Delete(at(id, key))
	if !ok {
		return
	}
	s.bytes -= old.size()
	if old.expiry != 0 {
		s.deadlines.Delete(old.deadline())
	}
}
