package kv

import (
	"math"
	"strconv"

	"diskv/internal/resp"
)

// incr is INCR key.
func incr(c *call) {
	if !c.checking() {
		c.add(1)
	}
}

// decr is DECR key.
func decr(c *call) {
	if !c.checking() {
		c.add(-1)
	}
}

// incrBy is INCRBY key increment.
func incrBy(c *call) {
	if n, ok := c.integer(2); ok && !c.checking() {
		c.add(n)
	}
}

// decrBy is DECRBY key decrement.
func decrBy(c *call) {
	n, ok := c.integer(2)
	if ok && n == math.MinInt64 {
		c.fail(errDecrOverflow)
		return
	}
	if ok && !c.checking() {
		c.add(-n)
	}
}

// add adds n to the number in the first key and answers the sum.
func (c *call) add(n int64) {
	key := c.args[1]
	old := int64(0)
	it, found := c.get(key)
	if found {
		var ok bool
		if old, ok = resp.ParseInt(it.value()); !ok {
			c.fail(errNotInteger)
			return
		}
	}
	if n > 0 && old > math.MaxInt64-n || n < 0 && old < math.MinInt64-n {
		c.fail(errOverflow)
		return
	}
	var digits [20]byte
	c.store(key, strconv.AppendInt(digits[:0], old+n, 10), it.expiry)
	c.out = resp.AppendInt(c.out, old+n)
}

// incrByFloat is INCRBYFLOAT key increment.
func incrByFloat(c *call) {
	n, ok := parseFloat(c.args[2])
	if !ok {
		c.fail(errNotFloat)
		return
	}
	if c.checking() {
		return
	}
	key := c.args[1]
	it, found := c.get(key)
	if found {
		old, ok := parseFloat(it.value())
		if !ok {
			c.fail(errNotFloat)
			return
		}
		if n, ok = addFloats(old, n); !ok {
			c.fail(errNotFinite)
			return
		}
	}
	if n.IsInf() {
		c.fail(errNotFinite)
		return
	}
	sum := appendFloat(nil, n)
	if !c.fits(len(sum)) {
		return
	}
	c.store(key, sum, it.expiry)
	c.out = resp.AppendBulk(c.out, sum)
}
