package kv

import "diskv/internal/resp"

// del is DEL key ...
func del(c *call) {
	if c.checking() {
		return
	}
	n := int64(0)
	for _, key := range c.args[1:] {
		if _, ok := c.get(key); ok {
			n++
		}
		c.s.remove(c.shard, key)
	}
	c.out = resp.AppendInt(c.out, n)
}

// exists is EXISTS key ...; a key that is named twice counts twice.
func exists(c *call) {
	if c.checking() {
		return
	}
	n := int64(0)
	for _, key := range c.args[1:] {
		if _, ok := c.get(key); ok {
			n++
		}
	}
	c.out = resp.AppendInt(c.out, n)
}

// typeOf is TYPE key.
func typeOf(c *call) {
	if c.checking() {
		return
	}
	name := "none"
	if _, ok := c.get(c.args[1]); ok {
		name = "string"
	}
	c.out = resp.AppendSimple(c.out, name)
}

// dbsize is DBSIZE. Keys whose time has come do not count, removed or not.
func dbsize(c *call) {
	if c.checking() {
		return
	}
	n := c.s.keys
	c.s.ascendExpired(c.now, func(d deadline) bool {
		c.alive(d.at) // which it is not; but does log time say so?
		n--
		return !c.open
	})
	c.out = resp.AppendInt(c.out, int64(n))
}
