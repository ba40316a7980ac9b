package kv

import (
	"slices"
	"strconv"
)

// Words returns the command as a client sends it: one of a session in DISKV.ONCE.
// They alias its arguments.
func (c *Command) Words() [][]byte {
	if !c.Session.IsValid() {
		return c.Args
	}
	var key []byte
	if spec, ok := Find(c.Args); ok {
		if keys := spec.Keys(c.Args); len(keys) > 0 {
			key = keys[0]
		}
	}
	once := [][]byte{[]byte("DISKV.ONCE"), key, []byte(c.Session.String()), strconv.AppendUint(nil, c.Seq, 10)}
	return slices.Concat(once, c.Args)
}
