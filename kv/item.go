package kv

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
	data    []byte // key, then value
	expiry  int64  // ms since the Unix epoch, > 0; 0: never
	changed uint64 // slot of the group's log at which it was put here
	keyLen  uint32
}

// newItem copies key and value, which belong to others, into one piece.
func newItem(key, value []byte, expiry int64) item {
	it := newItemOf(key, len(value), expiry)
	copy(it.value(), value)
	return it
}

// newItemOf copies key, and has room for a value of n bytes, which is zero and may be
// written until the item is stored.
func newItemOf(key []byte, n int, expiry int64) item {
	data := make([]byte, len(key)+n)
	copy(data, key)
	return item{data: data, expiry: expiry, keyLen: uint32(len(key))}
}

// at returns what stands for a key in a look-up. It aliases key.
func at(key []byte) item {
	return item{data: key, keyLen: uint32(len(key))}
}

func (it *item) key() []byte   { return it.data[:it.keyLen:it.keyLen] }
func (it *item) value() []byte { return it.data[it.keyLen:] }

// size is what the item takes in the records of an image.
func (it *item) size() int64 { return int64(len(it.data)) + entryOverhead }

// deadline is an entry of the expiry index. Its key aliases that of the item.
type deadline struct {
	at  int64 // ms since the Unix epoch
	key []byte
}

func (it *item) deadline() deadline {
	return deadline{at: it.expiry, key: it.key()}
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
