package kv

import (
	"bytes"

	"diskv/internal/resp"
	"diskv/shard"
)

// What one DISKV.RANGE may do, whatever it asks for, so that it keeps nobody waiting.
const (
	rangeDefaultLimit = 1000
	rangeMaxKeys      = 10_000  // looked at
	rangeMaxReply     = 1 << 20 // bytes, after which no further key is looked at
)

// rangeKeys is DISKV.RANGE start end [LIMIT n] [REV]: the keys of one hash tag from start
// up to and without end, with their values, in their order or the reverse. The reply has
// where to go on, or null behind the last key, and then the keys and values in turn: a
// flat array also in RESP3, since clients put maps into an order of their own.
func rangeKeys(c *call) {
	o, ok := c.rangeOptions()
	if !ok || c.checking() {
		return
	}
	start, end := c.args[1], c.args[2]
	// The tag is that of the end that stays: the other one may be where to go on, which
	// is any key of the shard.
	tag := shard.Tag(end)
	if o.reverse {
		tag = shard.Tag(start)
	}
	var found []byte // encoded
	n, looked := 0, 0
	var next, last []byte
	visit := func(it item) bool {
		if n == o.limit || looked == rangeMaxKeys || len(found) > rangeMaxReply {
			next = it.key()
			if o.reverse {
				next = last // takes the place of end, which is not part of the range
			}
			return false
		}
		looked++
		last = it.key()
		if !bytes.Equal(shard.Tag(it.key()), tag) {
			return true // another tag of the same shard
		}
		if c.alive(it.expiry) {
			found = resp.AppendBulk(found, it.key())
			found = resp.AppendBulk(found, it.value())
			n++
		}
		return !c.open
	}
	if d := c.s.shards[c.shard]; d != nil {
		d.visitRange(start, end, o.reverse, visit)
	}
	c.out = resp.AppendArray(c.out, 2)
	if next == nil {
		c.out = resp.AppendNull(c.out)
	} else {
		c.out = resp.AppendBulk(c.out, next)
	}
	c.out = append(resp.AppendArray(c.out, 2*n), found...)
}

// visitRange calls visit with the items whose keys are from start up to and without end,
// in their order or the reverse, until it returns false.
func (d *shardData) visitRange(start, end []byte, reverse bool, visit func(it item) bool) {
	if !reverse {
		d.items.AscendRange(at(start), at(end), visit)
		return
	}
	d.items.DescendLessOrEqual(at(end), func(it item) bool {
		switch {
		case bytes.Compare(it.key(), start) < 0:
			return false
		case bytes.Equal(it.key(), end):
			return true
		}
		return visit(it)
	})
}

type rangeOptions struct {
	limit   int // of keys that are answered
	reverse bool
}

// rangeOptions reads the options of DISKV.RANGE. If they are wrong it fails and returns
// false.
func (c *call) rangeOptions() (o rangeOptions, ok bool) {
	o.limit = rangeDefaultLimit
	for i := 3; i < len(c.args); i++ {
		switch {
		case is(c.args[i], "REV"):
			o.reverse = true
		case is(c.args[i], "LIMIT") && i+1 < len(c.args):
			i++
			n, ok := c.integer(i)
			if !ok {
				return o, false
			}
			if n < 1 {
				c.fail(errRangeLimit)
				return o, false
			}
			o.limit = int(min(n, rangeMaxKeys))
		default:
			c.fail(errSyntax)
			return o, false
		}
	}
	return o, true
}
