package kv

import (
	"fmt"

	"diskv/internal/resp"
)

// setOptions are what may follow SET key value and GETEX key.
type setOptions struct {
	nx, xx, get, keep, persist bool

	unit  string // of the time that is given: EX, PX, EXAT, PXAT; empty: none is
	given []byte
}

// set is SET key value [NX | XX] [GET] [EX n | PX n | EXAT n | PXAT n | KEEPTTL].
func set(c *call) {
	o, ok := c.setOptions(3, false)
	if !ok {
		return
	}
	at, ok := c.timeOf("set", o.unit, o.given)
	if !ok || !c.fits(len(c.args[2])) || c.checking() {
		return
	}
	key := c.args[1]
	expiry, ok := c.expiry(at)
	if !ok {
		c.fail(badExpireTime("set"))
		return
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
		c.ok()
	}
}

// setOptions reads the options of SET or GETEX, from an argument on. If they are wrong
// it fails and returns false. The time is not looked at yet.
func (c *call) setOptions(from int, getex bool) (o setOptions, ok bool) {
	for i := from; i < len(c.args); i++ {
		arg := c.args[i]
		// A unit may be given twice, the later number counts; two units may not.
		free := func(word string) bool {
			return is(arg, word) && !o.keep && !o.persist && (o.unit == "" || o.unit == word)
		}
		switch {
		case is(arg, "NX") && !o.xx && !getex:
			o.nx = true
			continue
		case is(arg, "XX") && !o.nx && !getex:
			o.xx = true
			continue
		case is(arg, "GET") && !getex:
			o.get = true
			continue
		case is(arg, "KEEPTTL") && o.unit == "" && !getex:
			o.keep = true
			continue
		case is(arg, "PERSIST") && o.unit == "" && getex:
			o.persist = true
			continue
		case i+1 == len(c.args):
			c.fail(errSyntax)
			return o, false
		case free("EX"):
			o.unit = "EX"
		case free("PX"):
			o.unit = "PX"
		case free("EXAT"):
			o.unit = "EXAT"
		case free("PXAT"):
			o.unit = "PXAT"
		default:
			c.fail(errSyntax)
			return o, false
		}
		i++
		o.given = c.args[i]
	}
	return o, true
}

// timeOf reads the time that a command that sets a value is given in a unit; no unit:
// for ever. If it is wrong it fails and returns false.
func (c *call) timeOf(command, unit string, given []byte) (at moment, ok bool) {
	if unit == "" {
		return moment{}, true
	}
	n, ok := resp.ParseInt(given)
	if !ok {
		c.fail(errNotInteger)
		return moment{}, false
	}
	ms, ok := millis(n, unit == "EX" || unit == "EXAT")
	if !ok || ms <= 0 {
		c.fail(badExpireTime(command))
		return moment{}, false
	}
	return moment{given: ms, relative: unit == "EX" || unit == "PX"}, true
}

func badExpireTime(command string) string {
	return fmt.Sprintf("ERR invalid expire time in '%s' command", command)
}

// setNX is SETNX key value.
func setNX(c *call) {
	if !c.fits(len(c.args[2])) || c.checking() {
		return
	}
	_, found := c.get(c.args[1])
	if !found {
		c.store(c.args[1], c.args[2], 0)
	}
	c.yes(!found)
}

// setEX is SETEX key seconds value.
func setEX(c *call) { c.setFor("setex", "EX") }

// pSetEX is PSETEX key milliseconds value.
func pSetEX(c *call) { c.setFor("psetex", "PX") }

// setFor sets a value for a time.
func (c *call) setFor(command, unit string) {
	at, ok := c.timeOf(command, unit, c.args[2])
	if !ok || !c.fits(len(c.args[3])) || c.checking() {
		return
	}
	expiry, ok := c.expiry(at)
	if !ok {
		c.fail(badExpireTime(command))
		return
	}
	c.store(c.args[1], c.args[3], expiry)
	c.ok()
}

// getSet is GETSET key value.
func getSet(c *call) {
	if !c.fits(len(c.args[2])) || c.checking() {
		return
	}
	old, found := c.get(c.args[1])
	c.bulk(old, found)
	c.store(c.args[1], c.args[2], 0)
}

// getDel is GETDEL key.
func getDel(c *call) {
	if c.checking() {
		return
	}
	old, found := c.get(c.args[1])
	c.bulk(old, found)
	c.s.remove(c.shard, c.args[1])
}

// getEX is GETEX key [EX n | PX n | EXAT n | PXAT n | PERSIST]. As in Redis a time that
// is wrong is an error only if there is such a key.
func getEX(c *call) {
	o, ok := c.setOptions(2, true)
	if !ok || c.checking() {
		return
	}
	it, found := c.get(c.args[1])
	if !found || o.unit == "" && !o.persist {
		c.bulk(it, found)
		return
	}
	expiry := int64(0)
	if !o.persist {
		at, ok := c.timeOf("getex", o.unit, o.given)
		if !ok {
			return
		}
		if expiry, ok = c.expiry(at); !ok {
			c.fail(badExpireTime("getex"))
			return
		}
	}
	c.bulk(it, true)
	c.live(it, expiry)
}

// mset is MSET key value ...
func mset(c *call) {
	if c.pairs("mset") && !c.checking() {
		c.storePairs()
		c.ok()
	}
}

// msetNX is MSETNX key value ...
func msetNX(c *call) {
	if !c.pairs("msetnx") || c.checking() {
		return
	}
	for i := 1; i < len(c.args); i += 2 {
		if _, found := c.get(c.args[i]); found {
			c.yes(false)
			return
		}
	}
	c.storePairs()
	c.yes(true)
}

// pairs fails and returns false if the arguments are not keys and values.
func (c *call) pairs(command string) bool {
	if len(c.args)%2 == 0 {
		c.fail(wrongArguments(command))
		return false
	}
	for i := 2; i < len(c.args); i += 2 {
		if !c.fits(len(c.args[i])) {
			return false
		}
	}
	return true
}

func (c *call) storePairs() {
	for i := 1; i < len(c.args); i += 2 {
		c.store(c.args[i], c.args[i+1], 0)
	}
}
