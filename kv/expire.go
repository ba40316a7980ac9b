package kv

import (
	"fmt"

	"diskv/internal/resp"
)

// expire is EXPIRE key seconds [NX | XX | GT | LT].
func expire(c *call) { c.expire("expire", true, true) }

// pexpire is PEXPIRE key milliseconds [NX | XX | GT | LT].
func pexpire(c *call) { c.expire("pexpire", false, true) }

// expireAt is EXPIREAT key seconds [NX | XX | GT | LT], since the Unix epoch.
func expireAt(c *call) { c.expire("expireat", true, false) }

// pexpireAt is PEXPIREAT key milliseconds [NX | XX | GT | LT], since the Unix epoch.
func pexpireAt(c *call) { c.expire("pexpireat", false, false) }

// expireOptions are the conditions under which EXPIRE changes anything.
type expireOptions struct{ nx, xx, gt, lt bool }

// expire sets how long a key is to live, from now on, or until when.
func (c *call) expire(command string, seconds, relative bool) {
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
		ms, ok = c.expiry(moment{given: ms, relative: relative})
	}
	if !ok {
		c.fail(badExpireTime(command))
		return
	}
	if c.checking() {
		return
	}
	it, found := c.get(c.args[1])
	found = found && o.allow(it.expiry, ms)
	if found && ms <= 0 {
		c.s.remove(c.shard, it.key()) // before the epoch; 0 must not be never
	} else if found {
		c.live(it, ms)
	}
	c.yes(found)
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
	ok = ok && it.expiry != 0
	if ok {
		c.live(it, 0)
	}
	c.yes(ok)
}

// ttl is TTL key: seconds, rounded.
func ttl(c *call) { c.left(1000, true) }

// pttl is PTTL key: milliseconds.
func pttl(c *call) { c.left(1, true) }

// expireTime is EXPIRETIME key: seconds since the Unix epoch, rounded.
func expireTime(c *call) { c.left(1000, false) }

// pexpireTime is PEXPIRETIME key: milliseconds since the Unix epoch.
func pexpireTime(c *call) { c.left(1, false) }

// left answers how long a key has to live, or until when, in units of so many ms; -1
// if for ever, -2 if there is no such key.
func (c *call) left(unit int64, relative bool) {
	if c.checking() {
		return
	}
	it, ok := c.get(c.args[1])
	n := int64(-2)
	switch {
	case ok && it.expiry == 0:
		n = -1
	case ok:
		n = it.expiry
		if relative {
			n -= c.now
		}
		n = n/unit + (n%unit+unit/2)/unit
	}
	c.out = resp.AppendInt(c.out, n)
}
