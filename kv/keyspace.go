package kv

import (
	"bytes"
	"fmt"

	"diskv/internal/resp"
	"diskv/shard"
)

// dbsize is DBSIZE. Keys whose time has come do not count, removed or not.
func dbsize(c *call) {
	if !c.checking() {
		c.out = resp.AppendInt(c.out, int64(c.count()))
	}
}

// count returns how many keys the group has.
func (c *call) count() int {
	n := c.s.keys
	c.s.ascendExpired(c.now, func(d deadline) bool {
		c.alive(d.at) // which it is not; but does log time say so?
		n--
		return !c.open
	})
	return n
}

// flush is FLUSHALL [ASYNC | SYNC] and FLUSHDB: both remove all keys of the group, in
// the time that its shards take, however many keys there are.
func flush(c *call) {
	if len(c.args) > 2 || len(c.args) == 2 && !is(c.args[1], "ASYNC") && !is(c.args[1], "SYNC") {
		c.fail(errSyntax)
		return
	}
	if c.checking() {
		return
	}
	// Shards that are not served are not touched: what is kept for another group is
	// that one's, and what arrives is still its giver's.
	for id := range c.s.shards {
		c.s.removeAll(shard.ID(id))
	}
	c.ok()
}

// What KEYS may do, so that it keeps nobody waiting for more than some tens of
// milliseconds: who has more keys than that wants SCAN. Every replica has to agree, since
// it may be part of a transaction: changing the numbers is a new format.
const (
	keysMaxLooked = 200_000  // keys
	keysMaxReply  = 16 << 20 // bytes
)

var errTooManyKeys = fmt.Sprintf("ERR KEYS looks at no more than %d keys and answers no more than %d bytes: use SCAN", keysMaxLooked, keysMaxReply)

// keys is KEYS pattern. Only what begins like the pattern, up to its first wildcard, is
// looked at.
func keys(c *call) {
	if c.checking() {
		return
	}
	pattern := c.args[1]
	prefix := literal(pattern)
	first, last := shard.ID(0), shard.ID(shard.Count-1)
	if len(shard.Tag(prefix)) < len(prefix) || len(prefix) == len(pattern) {
		first = shard.Of(prefix) // all that begins so is there
		last = first
	}
	var found []byte // encoded
	n, looked := 0, 0
	tooMany := false
	g := glob{pattern: pattern, steps: maxMatchSteps}
	c.s.shards.ascendPrefix(first, last, prefix, func(it item) bool {
		looked++
		tooMany = looked > keysMaxLooked || len(found) > keysMaxReply
		if !tooMany && g.match(it.key()) && c.alive(it.expiry) {
			found = resp.AppendBulk(found, it.key())
			n++
		}
		return !tooMany && !c.open && !g.spent()
	})
	switch {
	case tooMany:
		c.fail(errTooManyKeys)
		return
	case g.spent():
		c.fail(errPattern)
		return
	}
	c.out = append(resp.AppendArray(c.out, n), found...)
}

// literal returns what every string that matches a pattern begins with.
func literal(pattern []byte) []byte {
	if i := bytes.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}
