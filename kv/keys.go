package kv

import "diskv/internal/resp"

// del is DEL key ..., and UNLINK, which is as quick here.
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

// exists is EXISTS key ..., and TOUCH, since nobody keeps when a key was used; a key that is named twice counts twice.
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
