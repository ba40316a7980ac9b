package kv

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"diskv/internal/resp"
	"diskv/shard"
)

// leaving is what the present config takes from the group for another one and is not
// frozen yet: the group serves it as before.
type leaving struct {
	to      shard.GroupID
	waiting shardSet // never empty
}

// leave has a shard leave for a group with the present config.
func (s *Store) leave(to shard.GroupID, id shard.ID) {
	if s.states[id] != Served {
		panic(fmt.Sprintf("kv: shard %d of group %d is %s and has to leave", id, s.group, s.states[id]))
	}
	i, ok := s.findLeaving(to)
	if !ok {
		s.leaving = slices.Insert(s.leaving, i, leaving{to: to})
	}
	s.leaving[i].waiting.add(id)
	s.states[id] = Leaving
}

func (s *Store) findLeaving(to shard.GroupID) (int, bool) {
	i := sort.Search(len(s.leaving), func(i int) bool { return s.leaving[i].to >= to })
	return i, i < len(s.leaving) && s.leaving[i].to == to
}

// freeze freezes the next batch of what leaves for a group.
func (s *Store) freeze(dst []byte, config uint64, to shard.GroupID, batch uint32, target int64) []byte {
	i, ok := s.findLeaving(to)
	if !ok || config != s.config.Num {
		return resp.AppendError(dst, fmt.Sprintf("%s nothing has yet to leave for group %d with config %d", CodeStaleFreeze, to, config))
	}
	l := &s.leaving[i]
	if next := s.nextBatch(to); batch != next {
		return resp.AppendError(dst, fmt.Sprintf("%s the next batch for group %d is %d, not %d", CodeStaleFreeze, to, next, batch))
	}
	s.freezeShards(l, s.choose(l, max(target, s.sessionBytes)))
	if l.waiting == (shardSet{}) {
		s.leaving = slices.Delete(s.leaving, i, i+1)
	}
	s.handoverChanged()
	return resp.AppendSimple(dst, "OK")
}

// nextBatch returns the number of the batch for a group that the present config has
// frozen next.
func (s *Store) nextBatch(to shard.GroupID) uint32 {
	first, end := s.batches(s.config.Num, to)
	return uint32(end - first)
}

// choose returns the shards of the next batch: the smallest ones, as many as have no
// more bytes together than target, and at least one.
func (s *Store) choose(l *leaving, target int64) []shard.ID {
	type candidate struct {
		bytes int64
		id    shard.ID
	}
	candidates := make([]candidate, 0, l.waiting.len())
	for id := range l.waiting.all {
		c := candidate{id: id}
		if d := s.shards[id]; d != nil {
			c.bytes = d.bytes
		}
		candidates = append(candidates, c)
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.id, b.id))
	})
	var chosen []shard.ID
	total := int64(0)
	for _, c := range candidates {
		if total += c.bytes; total > target && len(chosen) > 0 {
			break
		}
		chosen = append(chosen, c.id)
	}
	return chosen
}

// freezeRest freezes all that still has to leave, as a last batch for each group: the
// next config is taken, and a group that takes nothing must not hold it up.
func (s *Store) freezeRest() {
	for i := range s.leaving {
		s.freezeShards(&s.leaving[i], slices.Collect(s.leaving[i].waiting.all))
	}
	s.leaving = nil
}

// freezeShards takes shards out of the live state, as the next batch of what leaves for
// a group, with all sessions of this moment.
func (s *Store) freezeShards(l *leaving, ids []shard.ID) {
	to, _ := s.config.Group(l.to)
	o := &Outgoing{
		config: s.config.Num, from: s.group, to: to, batch: s.nextBatch(l.to),
		logTime: s.logTime, sessions: s.sessions.Clone(), sessionBytes: s.sessionBytes,
	}
	s.bytes += s.sessionBytes
	for _, id := range ids {
		l.waiting.remove(id)
		o.add(id, s.takeOut(id))
	}
	o.final = l.waiting == shardSet{}
	o.sort()
	i, _ := s.findOutgoing(o.config, l.to, o.batch)
	s.outgoing = slices.Insert(slices.Clone(s.outgoing), i, o) // images share the slice
}
