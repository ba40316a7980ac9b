package kv

import "diskv/internal/resp"

// objectSubcommands are those of OBJECT.
var objectSubcommands = []*Spec{
	{"encoding", 3, ReadOnly, 2, 2, 1, "generic", "2.2.3", "O(1)", "Inspect the internal encoding of a Redis object", nil, objectEncoding},
	{"freq", 3, ReadOnly, 2, 2, 1, "generic", "4.0.0", "O(1)", "Get the logarithmic access frequency counter of a Redis object", nil, objectFreq},
	{"help", 2, ReadOnly | Loading | Stale, 0, 0, 0, "generic", "6.2.0", "O(1)", "Show helpful text about the different subcommands", nil, objectHelp},
	{"idletime", 3, ReadOnly, 2, 2, 1, "generic", "2.2.3", "O(1)", "Get the time since a Redis object was last accessed", nil, objectIdleTime},
	{"refcount", 3, ReadOnly, 2, 2, 1, "generic", "2.2.3", "O(1)", "Get the number of references to the value of the key", nil, objectRefCount},
}

// What Redis has for values: short strings beside their header, and numbers up to
// sharedNumbers once for all keys.
const (
	embeddedString  = 44 // bytes
	sharedNumbers   = 10_000
	sharedReference = 1<<31 - 1 // how often a shared number is referred to
)

// object answers null, or whatever is said of a key that is there.
func (c *call) object(say func(it item)) {
	if c.checking() {
		return
	}
	it, found := c.get(c.args[2])
	if !found {
		c.out = resp.AppendNull(c.out)
		return
	}
	say(it)
}

// objectEncoding is OBJECT ENCODING key: what Redis would make of a value that is set.
func objectEncoding(c *call) {
	c.object(func(it item) {
		_, number := resp.ParseInt(it.value())
		name := "raw"
		switch {
		case number:
			name = "int"
		case len(it.value()) <= embeddedString:
			name = "embstr"
		}
		c.out = resp.AppendBulkString(c.out, name)
	})
}

// objectRefCount is OBJECT REFCOUNT key.
func objectRefCount(c *call) {
	c.object(func(it item) {
		count := int64(1)
		if n, number := resp.ParseInt(it.value()); number && n >= 0 && n < sharedNumbers {
			count = sharedReference
		}
		c.out = resp.AppendInt(c.out, count)
	})
}

// objectFreq is OBJECT FREQ key.
func objectFreq(c *call) {
	c.object(func(item) { c.fail(errNoLFU) })
}

// objectIdleTime is OBJECT IDLETIME key. Reads leave nothing behind, so nobody knows.
func objectIdleTime(c *call) {
	c.object(func(item) { c.fail(errNoIdleTime) })
}

// objectHelp is OBJECT HELP.
func objectHelp(c *call) {
	if c.checking() {
		return
	}
	lines := []string{
		"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"ENCODING <key>",
		"    Return the kind of internal representation used in order to store the value",
		"    associated with a <key>.",
		"FREQ <key>",
		"    Return the access frequency index of the <key>. The returned integer is",
		"    proportional to the logarithm of the recent access frequency of the key.",
		"IDLETIME <key>",
		"    Return the idle time of the <key>, that is the approximated number of",
		"    seconds elapsed since the last access to the key.",
		"REFCOUNT <key>",
		"    Return the number of references of the value associated with the specified",
		"    <key>.",
		"HELP",
		"    Prints this help.",
	}
	c.out = resp.AppendArray(c.out, len(lines))
	for _, line := range lines {
		c.out = resp.AppendSimple(c.out, line)
	}
}

// memorySubcommands are those of MEMORY that need the state. A server has the others.
var memorySubcommands = []*Spec{
	{"usage", -3, ReadOnly, 2, 2, 1, "server", "4.0.0", "O(1)", "Estimate the memory usage of a key", nil, memoryUsage},
}

// What a key takes beside its bytes: its item in a node of the tree, which is two thirds
// full on the average, and the same in the index of deadlines.
const (
	itemMemory     = 80
	deadlineMemory = 48
)

// memoryUsage is MEMORY USAGE key [SAMPLES n].
func memoryUsage(c *call) {
	for i := 3; i < len(c.args); i += 2 {
		if !is(c.args[i], "SAMPLES") || i+1 == len(c.args) {
			c.fail(errSyntax)
			return
		}
		n, ok := c.integer(i + 1)
		if !ok {
			return
		}
		if n < 0 {
			c.fail(errSyntax)
			return
		}
	}
	c.object(func(it item) {
		n := itemMemory + len(it.data)
		if it.expiry != 0 {
			n += deadlineMemory
		}
		c.out = resp.AppendInt(c.out, int64(n))
	})
}
