package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"

	"diskv/internal/resp"
	"diskv/shard"
)

// What one SCAN may do, whatever it asks for, so that it keeps nobody waiting.
const (
	scanDefaultCount = 10
	scanMaxKeys      = 10_000  // keys looked at
	scanMaxReply     = 1 << 20 // bytes, after which no further key is looked at
)

// scan is SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]: keys in the order of
// (shard, key), from where the cursor says.
func scan(c *call) {
	o, ok := c.scanOptions()
	if !ok || c.checking() {
		return
	}
	var keys []byte // of the reply, encoded
	n, looked := 0, int64(0)
	next := uint64(0)
	last := shard.ID(0)
	from, key := c.s.cursors.position(o.cursor)
	g := glob{pattern: o.pattern, steps: maxMatchSteps}
	c.s.shards.ascend(from, key, func(id shard.ID, it item) bool {
		if looked == o.count || len(keys) > scanMaxReply {
			if id != last {
				next = shardCursor(id)
			} else {
				next = c.s.cursors.remember(id, it.key())
			}
			return false
		}
		looked++
		last = id
		// What expires between log time and now leaves the answer of a look-up open,
		// but a SCAN promises nothing of what changes while it runs.
		if it.expiry != 0 && it.expiry <= c.now {
			return true
		}
		if o.anyType && (o.pattern == nil || g.match(it.key())) {
			keys = resp.AppendBulk(keys, it.key())
			n++
		}
		return !g.spent()
	})
	if g.spent() {
		c.fail(errPattern)
		return
	}
	c.out = resp.AppendArray(c.out, 2)
	c.out = resp.AppendBulkString(c.out, strconv.FormatUint(next, 10))
	c.out = resp.AppendArray(c.out, n)
	c.out = append(c.out, keys...)
}

type scanOptions struct {
	cursor  uint64
	pattern []byte // nil: all
	count   int64
	anyType bool // strings are asked for, the only type there is
}

// scanOptions reads the arguments of SCAN. If they are wrong it fails and returns
// false.
func (c *call) scanOptions() (o scanOptions, ok bool) {
	cursor, err := strconv.ParseUint(string(c.args[1]), 10, 64)
	if err != nil {
		c.fail(errCursor)
		return o, false
	}
	o = scanOptions{cursor: cursor, count: scanDefaultCount, anyType: true}
	for i := 2; i < len(c.args); i += 2 {
		if i+1 == len(c.args) {
			c.fail(errSyntax)
			return o, false
		}
		value := c.args[i+1]
		switch {
		case is(c.args[i], "MATCH"):
			o.pattern = value
		case is(c.args[i], "COUNT"):
			n, ok := c.integer(i + 1)
			if !ok {
				return o, false
			}
			if n < 1 {
				c.fail(errSyntax)
				return o, false
			}
			o.count = min(n, scanMaxKeys)
		case is(c.args[i], "TYPE"):
			o.anyType = is(value, "STRING")
		default:
			c.fail(errSyntax)
			return o, false
		}
	}
	return o, true
}

// A cursor is 14 bits of shard and, above them, 39 bits that name a key in it: 0
// for the shard's beginning, else a digest of the key. Together that is 53 bits,
// since some clients keep cursors in floating-point numbers.
//
// A shard's beginning needs no memory. Keys are remembered by the process that
// gave out the cursor; another one, after a change of leader, or this one, when it
// has forgotten, begins the shard again, so that SCAN returns some keys twice, as
// it may, and never leaves one out. Since the same key has the same cursor
// everywhere, a cursor of one leader means nothing else to the next.
const (
	cursorShardBits = 14
	cursorKeyBits   = 39
	maxCursors      = 4096
	maxCursorBytes  = 4 << 20
)

// cursors remembers the keys that cursors stand for, the newest ones.
type cursors struct {
	keys  map[uint64][]byte
	order []uint64 // oldest first
	bytes int      // of the keys
}

func shardCursor(id shard.ID) uint64 { return uint64(id) }

// position returns where a cursor points to: the first item of the shard from the
// key on is the next one.
func (t *cursors) position(cursor uint64) (shard.ID, []byte) {
	return shard.ID(cursor % shard.Count), t.keys[cursor]
}

// remember returns a cursor for a key, which it copies.
func (t *cursors) remember(id shard.ID, key []byte) uint64 {
	digest := sha256.Sum256(key)
	name := binary.LittleEndian.Uint64(digest[:]) >> (64 - cursorKeyBits)
	for {
		if name == 0 || name > math.MaxUint64>>(64-cursorKeyBits) {
			name = 1
		}
		cursor := name<<cursorShardBits | uint64(id)
		known, taken := t.keys[cursor]
		switch {
		case !taken:
			t.add(cursor, append([]byte(nil), key...))
			return cursor
		case string(known) == string(key):
			return cursor
		}
		name++ // a digest that another key has: rare, but it must not lose keys
	}
}

func (t *cursors) add(cursor uint64, key []byte) {
	if t.keys == nil {
		t.keys = make(map[uint64][]byte)
	}
	for len(t.order) > 0 && (len(t.order) >= maxCursors || t.bytes+len(key) > maxCursorBytes) {
		t.bytes -= len(t.keys[t.order[0]])
		delete(t.keys, t.order[0])
		t.order = t.order[1:]
	}
	t.keys[cursor] = key
	t.order = append(t.order, cursor)
	t.bytes += len(key)
}
