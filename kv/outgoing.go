package kv

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/btree"

	"diskv/internal/resp"
	"diskv/shard"
)

// Outgoing is a batch of shards that a group keeps for another one: it lost them to it
// with a config and froze them together, as they were then. It never changes, and any
// goroutine may read it.
type Outgoing struct {
	config       uint64
	from         shard.GroupID
	to           shard.Group
	batch        uint32                 // from 0 on
	final        bool                   // there is none behind it
	logTime      int64                  // ns: when the shards were frozen
	sessions     *btree.BTreeG[session] // all of that moment
	sessionBytes int64
	shards       []leavingShard // in the order of the stream
	moved        shardSet       // the same
	bytes        int64          // of their items
}

type leavingShard struct {
	id    shard.ID
	data  *shardData // nil: empty
	bytes int64      // the same as in data
}

// add adds a shard. [Outgoing.sort] has to follow.
func (o *Outgoing) add(id shard.ID, d *shardData) {
	l := leavingShard{id: id, data: d}
	if d != nil {
		l.bytes = d.bytes
	}
	o.shards = append(o.shards, l)
	o.moved.add(id)
	o.bytes += l.bytes
}

// sort puts the shards into the order of the stream: small ones first, so that most
// are served soon, and those of one size by their number.
func (o *Outgoing) sort() {
	slices.SortFunc(o.shards, func(a, b leavingShard) int {
		return cmp.Or(cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.id, b.id))
	})
}

// find returns where in the stream a shard is.
func (o *Outgoing) find(id shard.ID) (int, bool) {
	i := slices.IndexFunc(o.shards, func(l leavingShard) bool { return l.id == id })
	return i, i >= 0
}

// Outgoing returns a batch that was frozen for a group with a config and not released
// yet.
func (s *Store) Outgoing(config uint64, to shard.GroupID, batch uint32) (*Outgoing, bool) {
	i, ok := s.findOutgoing(config, to, batch)
	if !ok {
		return nil, false
	}
	return s.outgoing[i], true
}

func (s *Store) findOutgoing(config uint64, to shard.GroupID, batch uint32) (int, bool) {
	return slices.BinarySearchFunc(s.outgoing, Outgoing{config: config, to: shard.Group{ID: to}, batch: batch},
		func(o *Outgoing, want Outgoing) int { return compareOutgoing(o, &want) })
}

// batches returns where the batches of a config and a group are in s.outgoing.
func (s *Store) batches(config uint64, to shard.GroupID) (first, end int) {
	first, _ = s.findOutgoing(config, to, 0)
	for end = first; end < len(s.outgoing) && s.outgoing[end].leadsTo(config, to); end++ {
	}
	return first, end
}

func (o *Outgoing) leadsTo(config uint64, to shard.GroupID) bool {
	return o.config == config && o.to.ID == to
}

func compareOutgoing(a, b *Outgoing) int {
	return cmp.Or(cmp.Compare(a.config, b.config), cmp.Compare(a.to.ID, b.to.ID), cmp.Compare(a.batch, b.batch))
}

// release drops what is kept for a group.
func (s *Store) release(dst []byte, config uint64, to shard.GroupID) []byte {
	if _, waiting := s.findLeaving(to); waiting && config == s.config.Num {
		return resp.AppendError(dst, fmt.Sprintf("%s shards have yet to leave for group %d with config %d", CodeTooEarly, to, config))
	}
	if first, end := s.batches(config, to); first < end {
		for _, o := range s.outgoing[first:end] {
			s.bytes -= o.bytes + o.sessionBytes
		}
		s.outgoing = append(slices.Clone(s.outgoing[:first]), s.outgoing[end:]...) // images share the slice
		s.handoverChanged()
	}
	return resp.AppendSimple(dst, "OK")
}

// Chunk returns the part of the stream behind a cursor: an empty one, or one that
// the head of a chunk of this stream had as Next; it has to be one of this batch
// ([CursorBatch]). It has at most limit bytes, unless a single entry has more, and at
// most [MaxChunk] in that sense. The stream of a batch is, in this order: the sessions,
// by their ids; the shards, small ones first, the keys of each ascending and then the
// mark that it is complete. The next batch follows.
//
// The error is that the cursor is not one of this batch.
func (o *Outgoing) Chunk(cursor []byte, limit int) ([]byte, error) {
	at, err := readCursor(cursor)
	if err == nil && !o.contains(at) {
		err = errCursorElsewhere
	}
	if err != nil {
		return nil, fmt.Errorf("batch %d of config %d to group %d: %w", o.batch, o.config, o.to.ID, err)
	}
	w := chunkWriter{limit: min(limit, MaxChunk) - chunkFixed - len(cursor), at: at}
	complete := o.write(&w)
	if complete && !o.final {
		w.at = w.at.next()
	}
	head := ChunkHead{
		Config: o.config, From: o.from, To: o.to.ID, LogTime: o.logTime,
		Start: cursor, Next: w.at.append(nil), Last: complete && o.final,
	}
	return appendChunk(nil, &head, w.entries), nil
}

// contains tells whether a position is one of this batch.
func (o *Outgoing) contains(p position) bool {
	switch {
	case p.batch != o.batch:
		return false
	case p.kind == atStart:
		return true
	case p.kind == behindSession:
		return o.sessions.Has(session{id: p.session})
	}
	i, ok := o.find(p.shard)
	if !ok || p.kind == behindShard {
		return ok
	}
	return o.shards[i].data != nil && o.shards[i].data.items.Has(at(p.key))
}

// write writes the entries from w's position on, and tells whether these are all.
func (o *Outgoing) write(w *chunkWriter) bool {
	next := 0
	switch w.at.kind {
	case behindItem:
		next, _ = o.find(w.at.shard)
	case behindShard:
		next, _ = o.find(w.at.shard)
		next++
	default:
		more := true
		after := w.at.session
		o.sessions.AscendGreaterOrEqual(session{id: after}, func(e session) bool {
			if e.id != after {
				more = w.session(&e, o.moved.has(e.shard))
			}
			return more
		})
		if !more {
			return false
		}
	}
	for ; next < len(o.shards); next++ {
		if !o.writeShard(w, &o.shards[next]) {
			return false
		}
	}
	return true
}

func (o *Outgoing) writeShard(w *chunkWriter, l *leavingShard) bool {
	more := true
	if l.data != nil {
		var after []byte // none is empty and there, so that the empty key is met
		if w.at.kind == behindItem && w.at.shard == l.id {
			after = w.at.key
		}
		l.data.items.AscendGreaterOrEqual(at(after), func(it item) bool {
			if after == nil || itemLess(at(after), it) {
				more = w.item(l.id, &it)
			}
			return more
		})
	}
	return more && w.mark(l.id)
}
