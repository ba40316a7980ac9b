package kv

import (
	"fmt"

	"diskv/internal/resp"
)

// expire is EXPIRE key seconds [NX | XX | GT | LT].
func expire(c *call) { c.expire("expire", true) }

// pexpire is PEXPIRE key milliseconds [NX | XX | GT | LT].
func pexpire(c *call) { c.expire("pexpire", false) }

// expireOptions are the conditions under which EXPIRE changes anything.
type expireOptions struct{ nx, xx, gt, lt bool }

// expire sets how long a key is to live, from now on.
func (c *call) expire(command string, seconds bool) {
	o, ok := c.expireOptions()
	if !ok {
		return
	}
	n, ok := c.integer(2)
	if !ok {
		return
	}
	ms, ok := millis(n, seconds)
	if ok && !c.checking() {
		ms, ok = c.expiry(moment{given: ms, relative: true})
	}
	if !ok {
		c.fail(badExpireTime(command))
		return
	}
	if c.checking() {
		return
	}
	it, found := c.get(c.args[1])
	if !found || !o.allow(it.expiry, ms) {
		c.out = resp.AppendInt(c.out, 0)
		return
	}
	if ms <= c.now {
		c.s.remove(c.shard, it.key())
	} else {
		it.expiry = ms
		c.s.put(c.shard, it)
	}
	c.out = resp.AppendInt(c.out, 1)
}

// expireOptions reads what follows the time. If it is wrong it fails and returns
// false.
func (c *call) expireOptions() (o expireOptions, ok bool) {
	for _, arg := range c.args[3:] {
		switch {
		case is(arg, "NX"):
			o.nx = true
		case is(arg, "XX"):
			o.xx = true
		case is(arg, "GT"):
			o.gt = true
		case is(arg, "LT"):
			o.lt = true
		default:
			c.fail(fmt.Sprintf("ERR Unsupported option %s", cut(arg, 128)))
			return o, false
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		c.fail(errExpireNX)
		return o, false
	case o.gt && o.lt:
		c.fail(errExpireGTLT)
		return o, false
	}
	return o, true
}

// allow tells whether an expiry, 0 being never, may become another one.
func (o expireOptions) allow(old, expiry int64) bool {
	switch {
	case o.nx && old != 0, o.xx && old == 0:
		return false
	case o.gt && (old == 0 || expiry <= old):
		return false
	case o.lt && old != 0 && expiry >= old:
		return false
	}
	return true
}

// persist is PERSIST key.
func persist(c *call) {
	if c.checking() {
		return
	}
	it, ok := c.get(c.args[1])
	if !ok || it.expiry == 0 {
		c.out = resp.AppendInt(c.out, 0)
		return
	}
	it.expiry = 0
	c.s.put(c.shard, it)
	c.out = resp.AppendInt(c.out, 1)
}

// ttl is TTL key: seconds, rounded.
func ttl(c *call) { c.left(1000) }

// pttl is PTTL key: milliseconds.
func pttl(c *call) { c.left(1) }

// left answers how long a key has to live, in units of so many ms; -1 if for ever,
// -2 if there is no such key.
func (c *call) left(unit int64) {
	if c.checking() {
		return
	}
	it, ok := c.get(c.args[1])
	n := int64(-2)
	switch {
	case ok && it.expiry == 0:
		n = -1
	case ok:
		n = (it.expiry - c.now + unit/2) / unit
	}
	c.out = resp.AppendInt(c.out, n)
}
