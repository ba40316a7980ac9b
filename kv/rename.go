package kv

import (
	"bytes"
	"math"

	"diskv/internal/resp"
)

// rename is RENAME key newkey. The time to live goes along.
func rename(c *call) {
	if c.checking() {
		return
	}
	it, found := c.get(c.args[1])
	if !found {
		c.fail(errNoSuchKey)
		return
	}
	c.rename(it)
	c.ok()
}

// renameNX is RENAMENX key newkey.
func renameNX(c *call) {
	if c.checking() {
		return
	}
	it, found := c.get(c.args[1])
	if !found {
		c.fail(errNoSuchKey)
		return
	}
	_, taken := c.get(c.args[2])
	if !taken {
		c.rename(it)
	}
	c.yes(!taken)
}

// rename gives an item the key of the second argument.
func (c *call) rename(it item) {
	if to := c.args[2]; !bytes.Equal(to, it.key()) {
		c.store(to, it.value(), it.expiry)
		c.s.remove(c.shard, it.key())
	}
}

// copyKey is COPY source destination [DB n] [REPLACE]. The time to live goes along.
func copyKey(c *call) {
	replace, ok := c.copyOptions()
	if !ok {
		return
	}
	from, to := c.args[1], c.args[2]
	if bytes.Equal(from, to) {
		c.fail(errSameKey)
		return
	}
	if c.checking() {
		return
	}
	it, found := c.get(from)
	if found && !replace {
		_, taken := c.get(to)
		found = !taken
	}
	if found {
		c.store(to, it.value(), it.expiry)
	}
	c.yes(found)
}

// copyOptions reads the options of COPY. If they are wrong it fails and returns false.
func (c *call) copyOptions() (replace, ok bool) {
	for i := 3; i < len(c.args); i++ {
		switch {
		case is(c.args[i], "REPLACE"):
			replace = true
		case is(c.args[i], "DB") && i+1 < len(c.args):
			i++
			n, ok := resp.ParseInt(c.args[i])
			switch {
			case !ok:
				c.fail(errNotInteger)
				return false, false
			case n < math.MinInt32 || n > math.MaxInt32:
				c.fail(errNotInt32)
				return false, false
			case n != 0:
				c.fail(errDBIndex)
				return false, false
			}
		default:
			c.fail(errSyntax)
			return false, false
		}
	}
	return replace, true
}
