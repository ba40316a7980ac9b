package kv

import (
	"math/rand/v2"

	"diskv/internal/resp"
	"diskv/shard"
)

// In a shard with more keys than randomExact RANDOMKEY does not count its way to one.
const (
	randomExact = 4096
	randomTries = 100 // before it takes the next key whose time has not come
)

// randomKey is RANDOMKEY. It is a query only, so chance may have a part in it, which
// comes from the time of the query and the number of those before it.
func randomKey(c *call) {
	if c.checking() {
		return
	}
	if it, ok := c.random(); ok {
		c.out = resp.AppendBulk(c.out, it.key())
		return
	}
	c.count() // leaves the answer open if log time does not say that there are none
	c.out = resp.AppendNull(c.out)
}

// random returns one of the keys, if there are any. One whose time may or may not have
// come is passed over: nothing is promised about those that are not answered.
func (c *call) random() (found item, ok bool) {
	live := func(it item) bool { return it.expiry == 0 || it.expiry > c.now }
	c.s.drawn++
	chance := rand.New(rand.NewPCG(uint64(c.now), c.s.drawn))
	for range randomTries {
		if c.s.keys == 0 {
			return item{}, false
		}
		if it := c.s.random(chance); live(it) {
			return it, true
		}
	}
	c.s.shards.ascend(0, nil, func(_ shard.ID, it item) bool {
		found, ok = it, live(it)
		return !ok
	})
	return found, ok
}

// random returns one of the keys, of which there is one at least: each shard as often
// as it has keys.
func (s *Store) random(chance *rand.Rand) item {
	n := chance.IntN(s.keys)
	for _, d := range s.shards {
		if d == nil {
			continue
		}
		if n < d.items.Len() {
			return d.random(chance, n)
		}
		n -= d.items.Len()
	}
	panic("kv: fewer keys than are counted")
}

// random returns a key of a shard: the nth, or, if there are many, one that is found by
// drawing its bytes one by one. Any can come then, some more often than others.
func (d *shardData) random(chance *rand.Rand, n int) (found item) {
	if d.items.Len() <= randomExact {
		d.items.Ascend(func(it item) bool {
			found = it
			n--
			return n >= 0
		})
		return found
	}
	first, _ := d.items.Min()
	last, _ := d.items.Max()
	// The keys from first to last have a beginning in common, of which the next byte is
	// drawn, until one key is left. The number of turns is bounded by what is plenty.
	for range 256 {
		shared := commonPrefix(first.key(), last.key())
		if shared == len(last.key()) {
			break // first and last are one
		}
		low := -1 // first is the beginning itself, a key of its own
		if shared < len(first.key()) {
			low = int(first.key()[shared])
		}
		high := int(last.key()[shared])
		drawn := low + chance.IntN(high-low+1)
		if drawn < 0 {
			return first
		}
		prefix := append(first.key()[:shared:shared], byte(drawn))
		first = d.from(prefix) // it is there: last is not before the prefix
		prefix[shared] = first.key()[shared]
		last = d.lastWith(prefix)
	}
	return first
}

// from returns the first item at or behind a key that is not behind the last one.
func (d *shardData) from(key []byte) (found item) {
	d.items.AscendGreaterOrEqual(at(key), func(it item) bool {
		found = it
		return false
	})
	return found
}

// lastWith returns the last of the items that begin with a prefix, of which there is one.
func (d *shardData) lastWith(prefix []byte) (found item) {
	behind := append([]byte(nil), prefix...)
	for len(behind) > 0 && behind[len(behind)-1] == 0xff {
		behind = behind[:len(behind)-1]
	}
	if len(behind) == 0 {
		found, _ = d.items.Max()
		return found
	}
	behind[len(behind)-1]++
	d.items.DescendLessOrEqual(at(behind), func(it item) bool {
		found = it
		return string(it.key()) == string(behind) // which does not begin so
	})
	return found
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
