package kv

import (
	"math"

	"diskv/internal/resp"
	"diskv/shard"
)

// Errors in the words of Redis 7.0, where Redis has them.
const (
	errSyntax        = "ERR syntax error"
	errNotInteger    = "ERR value is not an integer or out of range"
	errNotFloat      = "ERR value is not a valid float"
	errNotFinite     = "ERR increment would produce NaN or Infinity"
	errOffset        = "ERR offset is out of range"
	errNoSuchKey     = "ERR no such key"
	errSameKey       = "ERR source and destination objects are the same"
	errPattern       = "ERR it takes too long to match keys with the pattern: use a simpler one"
	errRangeLimit    = "ERR LIMIT has to be positive"
	errShard         = "ERR Invalid slot"
	errShardOrCount  = "ERR Invalid slot or number of keys"
	errNoIdleTime    = "ERR idle time is not tracked: reads leave nothing behind"
	errNoLFU         = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	errLCSOptions    = "ERR If you want both the length and indexes, please just use IDX."
	errLCSMemory     = "ERR Insufficient memory, transient memory for LCS exceeds max-value-bytes"
	errNotInt32      = "ERR value is out of range, value must between -2147483648 and 2147483647"
	errDBIndex       = "ERR DB index is out of range"
	errOverflow      = "ERR increment or decrement would overflow"
	errDecrOverflow  = "ERR decrement would overflow"
	errCursor        = "ERR invalid cursor"
	errCrossSlot     = "CROSSSLOT Keys in request don't hash to the same slot"
	errValueTooLarge = "ERR string exceeds maximum allowed size (max-value-bytes)"
	errExpireNX      = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errExpireGTLT    = "ERR GT and LT options at the same time are not compatible"
	errKeyTooLarge   = "ERR key exceeds maximum allowed size (65536 bytes)"
	errNested        = "ERR DISKV.ONCE cannot be nested"
	errOnceNotLogged = "ERR DISKV.ONCE cannot have a command that does not go through the log"
	errQueryOnly     = "ERR internal error: this command cannot go through the log"
	errNotARead      = "ERR internal error: not a read"
	errOnceKeyless   = "ERR DISKV.ONCE needs a command with keys"
	errOnceSeq       = "ERR DISKV.ONCE needs an operation number from 1 on"
)

// call is one execution of a command, or only the check of its arguments.
type call struct {
	s     *Store // nil while only checking
	args  [][]byte
	out   []byte   // the reply is appended here
	shard shard.ID // of all the keys
	// logged: it goes through the log, and is no query.
	logged bool
	// log is log time, now the time that counts: log time too, except in a query,
	// where it may be later. In ms since the Unix epoch.
	log, now int64
	open     bool // the answer depends on whether now has been reached
	maxValue int
}

// checking tells whether the arguments are all that is looked at.
func (c *call) checking() bool { return c.s == nil }

// fail appends an error reply.
func (c *call) fail(text string) { c.out = resp.AppendError(c.out, text) }

// get returns the item of a key unless it is absent or its time has come.
func (c *call) get(key []byte) (item, bool) {
	it, ok := c.s.get(c.shard, key)
	if !ok || !c.alive(it.expiry) {
		return item{}, false
	}
	return it, true
}

// alive tells whether a key with that expiry exists. If log time does not tell,
// the answer is left open.
func (c *call) alive(expiry int64) bool {
	if expiry == 0 || expiry > c.now {
		return true
	}
	if expiry > c.log {
		c.open = true
	}
	return false
}

// store sets a key, unless its time has come already.
func (c *call) store(key, value []byte, expiry int64) {
	if expiry != 0 && expiry <= c.now {
		c.s.remove(c.shard, key)
		return
	}
	c.s.put(c.shard, newItem(key, value, expiry))
}

// live gives an item that the key has another expiry, 0 being never. At or before now
// it removes the key.
func (c *call) live(it item, expiry int64) {
	if expiry != 0 && expiry <= c.now {
		c.s.remove(c.shard, it.key())
		return
	}
	it.expiry = expiry
	c.s.put(c.shard, it)
}

// ok appends OK.
func (c *call) ok() { c.out = resp.AppendSimple(c.out, "OK") }

// yes appends 1, or else 0.
func (c *call) yes(answer bool) {
	n := int64(0)
	if answer {
		n = 1
	}
	c.out = resp.AppendInt(c.out, n)
}

// integer reads argument i. If it is none it fails and returns false.
func (c *call) integer(i int) (int64, bool) {
	n, ok := resp.ParseInt(c.args[i])
	if !ok {
		c.fail(errNotInteger)
	}
	return n, ok
}

// fits fails and returns false if a value of n bytes is larger than allowed.
func (c *call) fits(n int) bool {
	if n > c.maxValue {
		c.fail(errValueTooLarge)
		return false
	}
	return true
}

// moment is a time as a command gives it.
type moment struct {
	given    int64 // in ms
	relative bool  // from now on, else since the Unix epoch
}

// expiry turns m into ms since the Unix epoch; the zero moment is 0, never. It returns
// false if that is out of range.
func (c *call) expiry(m moment) (int64, bool) {
	if !m.relative {
		return m.given, true
	}
	if m.given > math.MaxInt64-c.now {
		return 0, false
	}
	return c.now + m.given, true
}

// millis turns a number in seconds, or in ms already, into ms. It returns false if
// that is out of range.
func millis(n int64, seconds bool) (int64, bool) {
	if !seconds {
		return n, true
	}
	if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
		return 0, false
	}
	return n * 1000, true
}

// is tells whether an argument is a word, given in upper case, in any case.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, b := range arg {
		if b >= 'a' && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != word[i] {
			return false
		}
	}
	return true
}
