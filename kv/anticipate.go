package kv

import (
	"encoding/binary"

	"diskv/shard"
)

// anticipation is what [Store.Anticipate] uses again.
type anticipation struct {
	ids    []shard.ID
	shards []*shardData
	sum    int64 // of what was looked at, so that it is
}

// Shards of up to smallShard keys are looked at as a whole. Of others only what is on the
// way to every key of them.
const smallShard = 16

// Anticipate looks at what the commands that will be applied next are going to need. It
// changes nothing, and what it sees is not used. Among many keys a command waits for
// memory at every step on its way to its key, for one step after the other; here a step is
// taken for all commands at the same time, which the processor does if there is hardly
// anything else in the loop. So a few dozen commands are best. They may be malformed.
func (s *Store) Anticipate(commands [][]byte) {
	a := &s.anticipation
	a.ids, a.shards = a.ids[:0], a.shards[:0]
	for _, c := range commands {
		if key, ok := likelyKey(c); ok {
			a.ids = append(a.ids, shard.Of(key))
		}
	}
	for _, id := range a.ids {
		if d := s.shards[id]; d != nil {
			a.shards = append(a.shards, d)
		}
	}
	sum := int64(0)
	for _, d := range a.shards {
		sum += d.bytes
	}
	for _, d := range a.shards {
		first, _ := d.items.Min()
		sum += first.expiry
	}
	compared := func(it item) bool {
		if len(it.data) > 0 {
			sum += int64(it.data[0])
		}
		return true
	}
	for _, d := range a.shards {
		if d.items.Len() <= smallShard {
			d.items.Ascend(compared)
		}
	}
	a.sum = sum
	clear(a.shards) // they may be dropped, or cloned
}

// likelyKey returns what follows the name in an encoded command: its first key, in most
// commands.
func likelyKey(command []byte) (key []byte, ok bool) {
	if len(command) < commandHead || command[0] != commandVersion {
		return nil, false
	}
	rest := command[commandHead:]
	if command[1]&commandSession != 0 {
		if len(rest) < commandSessionBytes {
			return nil, false
		}
		rest = rest[commandSessionBytes:]
	}
	if len(rest) < 4 {
		return nil, false
	}
	rest = rest[4:] // the count
	for range 2 {
		if len(rest) < 4 {
			return nil, false
		}
		n := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(n) > uint64(len(rest)) {
			return nil, false
		}
		key, rest = rest[:n], rest[n:]
	}
	return key, true
}
