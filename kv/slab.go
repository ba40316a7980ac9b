package kv

// Small items that arrive by the thousand, in an image or from another group, share
// pieces of memory with their neighbours: they are quicker to make and to keep this
// way. A piece is small enough that an item that outlives its neighbours does not
// hold much.
const (
	slabSize    = 4 << 10
	slabMaxItem = 512
)

// slab is memory for the next small items.
type slab []byte

// item copies key and value, which belong to others.
func (s *slab) item(key, value []byte, expiry int64) item {
	n := len(key) + len(value)
	if n > slabMaxItem {
		return newItem(key, value, expiry)
	}
	if len(*s) < n {
		*s = make([]byte, slabSize)
	}
	data := (*s)[:n:n] // APPEND must not reach the neighbour
	*s = (*s)[n:]
	copy(data[copy(data, key):], value)
	return item{data: data, expiry: expiry, keyLen: uint32(len(key))}
}
