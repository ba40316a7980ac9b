package kv

import "diskv/internal/resp"

// get is GET key.
func get(c *call) {
	if c.checking() {
		return
	}
	it, ok := c.get(c.args[1])
	c.bulk(it, ok)
}

// bulk appends the value of an item, or null.
func (c *call) bulk(it item, ok bool) {
	if !ok {
		c.out = resp.AppendNull(c.out)
		return
	}
	c.out = resp.AppendBulk(c.out, it.value())
}

// strlen is STRLEN key.
func strlen(c *call) {
	if c.checking() {
		return
	}
	n := 0
	if it, ok := c.get(c.args[1]); ok {
		n = len(it.value())
	}
	c.out = resp.AppendInt(c.out, int64(n))
}

// mget is MGET key ...
func mget(c *call) {
	if c.checking() {
		return
	}
	c.out = resp.AppendArray(c.out, len(c.args)-1)
	for _, key := range c.args[1:] {
		it, ok := c.get(key)
		c.bulk(it, ok)
	}
}

// appendValue is APPEND key value.
func appendValue(c *call) {
	if c.checking() {
		return
	}
	key, more := c.args[1], c.args[2]
	it, ok := c.get(key)
	n := len(it.value()) + len(more)
	if !c.fits(n) {
		return
	}
	if ok {
		// Behind what images know of the value, if there is room: see item.
		it.data = append(it.data, more...)
		c.s.put(c.shard, it)
	} else {
		c.store(key, more, 0)
	}
	c.out = resp.AppendInt(c.out, int64(n))
}

// getRange is GETRANGE key start end, and SUBSTR, its older name: the bytes from
// start up to and including end, negative positions counting from the end.
func getRange(c *call) {
	start, ok := c.integer(2)
	if !ok {
		return
	}
	end, ok := c.integer(3)
	if !ok || c.checking() {
		return
	}
	it, _ := c.get(c.args[1])
	c.out = resp.AppendBulk(c.out, part(it.value(), start, end))
}

// part returns the bytes of b from start up to and including end.
func part(b []byte, start, end int64) []byte {
	if start < 0 && end < 0 && start > end {
		return nil
	}
	n := int64(len(b))
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end = max(end+n, 0)
	}
	end = min(end, n-1)
	if start > end {
		return nil
	}
	return b[start : end+1]
}

// setRange is SETRANGE key offset value. What lies between the end of the old value
// and the offset becomes zero bytes.
func setRange(c *call) {
	offset, ok := c.integer(2)
	if !ok {
		return
	}
	if offset < 0 {
		c.fail(errOffset)
		return
	}
	if c.checking() {
		return
	}
	key, more := c.args[1], c.args[3]
	old, _ := c.get(key)
	n := int64(len(old.value()))
	if len(more) > 0 {
		if offset > int64(c.maxValue-len(more)) {
			c.fail(errValueTooLarge)
			return
		}
		n = max(n, offset+int64(len(more)))
		it := newItemOf(key, int(n), old.expiry)
		value := it.value()
		copy(value, old.value())
		copy(value[offset:], more)
		c.s.put(c.shard, it)
	}
	c.out = resp.AppendInt(c.out, n)
}
