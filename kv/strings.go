package kv

import (
	"fmt"
	"math"
	"strconv"

	"diskv/internal/resp"
)

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

// mset is MSET key value ...
func mset(c *call) {
	if len(c.args)%2 == 0 {
		c.fail(wrongArguments("mset"))
		return
	}
	for i := 2; i < len(c.args); i += 2 {
		if !c.fits(len(c.args[i])) {
			return
		}
	}
	if c.checking() {
		return
	}
	for i := 1; i < len(c.args); i += 2 {
		c.store(c.args[i], c.args[i+1], 0)
	}
	c.out = resp.AppendSimple(c.out, "OK")
}

// setOptions are what may follow SET key value.
type setOptions struct {
	nx, xx, get, keep bool
	expires           bool
	at                moment
}

// set is SET key value [NX | XX] [GET] [EX n | PX n | EXAT n | PXAT n | KEEPTTL].
func set(c *call) {
	o, ok := c.setOptions()
	if !ok || !c.fits(len(c.args[2])) || c.checking() {
		return
	}
	key := c.args[1]
	expiry := int64(0)
	if o.expires {
		if expiry, ok = c.expiry(o.at); !ok {
			c.fail(badExpireTime("set"))
			return
		}
	}
	var old item
	var found bool
	if o.nx || o.xx || o.get || o.keep {
		old, found = c.get(key)
	}
	if o.get {
		c.bulk(old, found)
	}
	if o.nx && found || o.xx && !found {
		if !o.get {
			c.out = resp.AppendNull(c.out)
		}
		return
	}
	if o.keep {
		expiry = old.expiry
	}
	c.store(key, c.args[2], expiry)
	if !o.get {
		c.out = resp.AppendSimple(c.out, "OK")
	}
}

// setOptions reads the options of SET. If they are wrong it fails and returns
// false.
func (c *call) setOptions() (o setOptions, ok bool) {
	var unit string
	var given []byte
	for i := 3; i < len(c.args); i++ {
		arg := c.args[i]
		// A unit may be given twice, the later number counts; two units may not.
		free := func(word string) bool { return is(arg, word) && !o.keep && (unit == "" || unit == word) }
		switch {
		case is(arg, "NX") && !o.xx:
			o.nx = true
			continue
		case is(arg, "XX") && !o.nx:
			o.xx = true
			continue
		case is(arg, "GET"):
			o.get = true
			continue
		case is(arg, "KEEPTTL") && unit == "":
			o.keep = true
			continue
		case i+1 == len(c.args):
			c.fail(errSyntax)
			return o, false
		case free("EX"):
			unit = "EX"
		case free("PX"):
			unit = "PX"
		case free("EXAT"):
			unit = "EXAT"
		case free("PXAT"):
			unit = "PXAT"
		default:
			c.fail(errSyntax)
			return o, false
		}
		i++
		given = c.args[i]
	}
	if unit == "" {
		return o, true
	}
	n, ok := resp.ParseInt(given)
	if !ok {
		c.fail(errNotInteger)
		return o, false
	}
	ms, ok := millis(n, unit == "EX" || unit == "EXAT")
	if !ok || ms <= 0 {
		c.fail(badExpireTime("set"))
		return o, false
	}
	o.expires = true
	o.at = moment{given: ms, relative: unit == "EX" || unit == "PX"}
	return o, true
}

func badExpireTime(command string) string {
	return fmt.Sprintf("ERR invalid expire time in '%s' command", command)
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
