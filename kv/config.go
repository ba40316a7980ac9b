package kv

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"diskv/internal/resp"
	"diskv/shard"
)

// NewSharded returns the empty store of a group that shares the shards with others.
// It serves none until it has taken a config.
func NewSharded(group shard.GroupID) *Store {
	if group == 0 {
		panic("kv: group 0 is nobody")
	}
	s := New()
	s.group = group
	clear(s.states[:]) // Elsewhere
	s.headBytes = s.handoverHeadBytes()
	return s
}

// shardSet is a set of shards.
type shardSet [shard.Count / 64]uint64

func (t *shardSet) has(id shard.ID) bool { return t[id/64]&(1<<(id%64)) != 0 }
func (t *shardSet) add(id shard.ID)      { t[id/64] |= 1 << (id % 64) }
func (t *shardSet) remove(id shard.ID)   { t[id/64] &^= 1 << (id % 64) }

func (t *shardSet) len() int {
	n := 0
	for _, word := range t {
		n += bits.OnesCount64(word)
	}
	return n
}

// all yields the shards, ascending.
func (t *shardSet) all(yield func(shard.ID) bool) {
	for i, word := range t {
		for ; word != 0; word &= word - 1 {
			if !yield(shard.ID(i*64 + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}

func (s *Store) decodeAndTake(dst, encoded, encodedPrevious []byte) []byte {
	config, err := shard.DecodeConfig(encoded)
	var previous *shard.Config
	if err == nil && len(encodedPrevious) > 0 {
		previous, err = shard.DecodeConfig(encodedPrevious)
	}
	if err != nil {
		return resp.AppendError(dst, "ERR malformed config in the log: "+err.Error())
	}
	if refusal := s.take(config, previous); refusal != "" {
		return resp.AppendError(dst, refusal)
	}
	return resp.AppendSimple(dst, "OK")
}

// take makes a config the store's, if that is possible.
func (s *Store) take(config, previous *shard.Config) (refusal string) {
	previous, refusal = s.before(config, previous)
	if refusal != "" {
		return refusal
	}
	for id, owner := range config.Owner {
		if owner == 0 && previous.Owner[id] != 0 {
			return fmt.Sprintf("ERR config %d gives shard %d of group %d to nobody", config.Num, id, previous.Owner[id])
		}
	}
	s.freezeRest()
	s.config = config
	for i, owner := range config.Owner {
		id, was := shard.ID(i), previous.Owner[i]
		switch {
		case was == owner:
		case was == s.group:
			s.leave(owner, id)
		case owner != s.group:
		case was == 0:
			s.states[id] = Served
		default:
			s.await(previous, was, id)
		}
	}
	s.handoverChanged()
	return ""
}

// before returns the config before the one that is to be taken. A group that owns
// nothing may go on from a later config than its own: one that had left and is
// back, when what was in between is no longer kept. Nobody gave it anything there.
func (s *Store) before(config, previous *shard.Config) (*shard.Config, string) {
	switch own := s.config; {
	case len(s.incoming) > 0:
		return nil, fmt.Sprintf("%s this group still awaits shards of config %d", CodeStaleConfig, own.Num)
	case own != nil && config.Num == own.Num+1:
		return own, ""
	case own != nil && (config.Num <= own.Num || previous == nil):
		return nil, fmt.Sprintf("%s this group has config %d; the next one is not %d", CodeStaleConfig, own.Num, config.Num)
	case own != nil && own.Held(s.group) > 0:
		return nil, fmt.Sprintf("%s this group owns shards in config %d; it has to take the one that follows, not %d", CodeStaleConfig, own.Num, config.Num)
	case previous == nil && config.Num == 1:
		return &shard.Config{}, ""
	case previous == nil:
		return nil, fmt.Sprintf("%s this group has no config; with its first, %d, has to come the one before", CodeStaleConfig, config.Num)
	case config.Num == 0 || previous.Num != config.Num-1:
		return nil, fmt.Sprintf("%s config %d is not the one before %d", CodeStaleConfig, previous.Num, config.Num)
	case previous.Held(s.group) > 0:
		return nil, fmt.Sprintf("%s this group owned shards in config %d; it has to begin with an older one", CodeStaleConfig, previous.Num)
	}
	return previous, ""
}

// takeOut ends the service of a shard and returns what it holds, which nobody changes
// any more; nil: nothing.
func (s *Store) takeOut(id shard.ID) *shardData {
	if s.states[id] != Leaving {
		panic(fmt.Sprintf("kv: shard %d of group %d is %s and is to be frozen", id, s.group, s.states[id]))
	}
	d := s.shards[id]
	s.shards[id] = nil
	s.setRemoved(id, 0)
	s.changedAll()
	s.states[id] = Elsewhere
	if d == nil {
		return nil
	}
	s.keys -= d.items.Len()
	s.expires -= d.deadlines.Len()
	if d.earliest != 0 {
		s.deadlines.Delete(shardDeadline{d.earliest, id})
	}
	d.deadlines, d.earliest = nil, 0 // nothing expires while it is kept
	if d.items.Len() == 0 {
		return nil
	}
	return d
}

// serve begins the service of a shard that holds d; nil: nothing. The store's bytes
// have it already.
func (s *Store) serve(id shard.ID, d *shardData) {
	if s.states[id] != Awaited || s.shards[id] != nil {
		panic(fmt.Sprintf("kv: shard %d of group %d is %s and has been installed", id, s.group, s.states[id]))
	}
	s.states[id] = Served
	s.changedAll()
	s.noteRemoved(id) // what was watched here in an earlier time of the shard counts no more
	if d == nil {
		return
	}
	s.shards[id] = d
	s.keys += d.items.Len()
	s.expires += d.deadlines.Len()
	s.index(id, d)
	if d.earliest != 0 {
		s.due = min(s.due, d.earliest)
	}
}

// await expects a shard from its owner in the config before.
func (s *Store) await(previous *shard.Config, from shard.GroupID, id shard.ID) {
	i, ok := s.findIncoming(from)
	if !ok {
		group, _ := previous.Group(from)
		s.incoming = slices.Insert(s.incoming, i, incoming{from: group})
	}
	s.incoming[i].awaited.add(id)
	s.states[id] = Awaited
}

func (s *Store) findIncoming(from shard.GroupID) (int, bool) {
	i := sort.Search(len(s.incoming), func(i int) bool { return s.incoming[i].from.ID >= from })
	return i, i < len(s.incoming) && s.incoming[i].from.ID == from
}
