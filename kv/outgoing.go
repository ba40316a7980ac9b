package kv

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/btree"

	"diskv/internal/resp"
	"diskv/shard"
)

// departure is what all that leaves a group with one config has in common.
type departure struct {
	config   uint64
	logTime  int64                  // ns: when the shards were frozen
	sessions *btree.BTreeG[session] // all of that moment
	bytes    int64                  // of the sessions
}

// departure returns the present state of the sessions, for shards that leave now.
func (s *Store) departure() *departure {
	s.bytes += s.sessionBytes
	return &departure{config: s.config.Num, logTime: s.logTime, sessions: s.sessions.Clone(), bytes: s.sessionBytes}
}

// Outgoing is what a group keeps for another one: the shards that it lost to it with
// a config, as they were then. It never changes, and any goroutine may read it.
type Outgoing struct {
	*departure
	from   shard.GroupID
	to     shard.Group
	shards []leavingShard // in the order of the stream
	moved  shardSet       // the same
	bytes  int64          // of their items
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

// Outgoing returns what left for a group with a config and was not released yet.
func (s *Store) Outgoing(config uint64, to shard.GroupID) (*Outgoing, bool) {
	i, ok := s.findOutgoing(config, to)
	if !ok {
		return nil, false
	}
	return s.outgoing[i], true
}

func (s *Store) findOutgoing(config uint64, to shard.GroupID) (int, bool) {
	type key struct {
		config uint64
		to     shard.GroupID
	}
	return slices.BinarySearchFunc(s.outgoing, key{config, to}, func(o *Outgoing, k key) int {
		return cmp.Or(cmp.Compare(o.config, k.config), cmp.Compare(o.to.ID, k.to))
	})
}

// release drops what is kept for a group.
func (s *Store) release(dst []byte, config uint64, to shard.GroupID) []byte {
	if i, ok := s.findOutgoing(config, to); ok {
		o := s.outgoing[i]
		s.outgoing = append(slices.Clone(s.outgoing[:i]), s.outgoing[i+1:]...) // images share the slice
		s.bytes -= o.bytes
		if !slices.ContainsFunc(s.outgoing, func(other *Outgoing) bool { return other.departure == o.departure }) {
			s.bytes -= o.departure.bytes
		}
		s.handoverChanged()
	}
	return resp.AppendSimple(dst, "OK")
}

// Chunk returns the part of the stream behind a cursor: an empty one, or one that
// the head of a chunk of this stream had as Next. It has at most limit bytes, unless
// a single entry has more, and at most [MaxChunk] in that sense. The stream is, in
// this order: the sessions, by their ids; the shards, small ones first, the keys of
// each ascending and then the mark that it is complete.
//
// The error is that the cursor is not one of this stream.
func (o *Outgoing) Chunk(cursor []byte, limit int) ([]byte, error) {
	at, err := readCursor(cursor)
	if err == nil && !o.contains(at) {
		err = errCursorElsewhere
	}
	if err != nil {
		return nil, fmt.Errorf("stream of config %d to group %d: %w", o.config, o.to.ID, err)
	}
	w := chunkWriter{limit: min(limit, MaxChunk) - chunkFixed - len(cursor), at: at}
	last := o.write(&w)
	head := ChunkHead{
		Config: o.config, From: o.from, To: o.to.ID, LogTime: o.logTime,
		Start: cursor, Next: w.at.append(nil), Last: last,
	}
	return appendChunk(nil, &head, w.entries), nil
}

// contains tells whether a position is one of this stream.
func (o *Outgoing) contains(p position) bool {
	switch p.kind {
	case atStart:
		return true
	case behindSession:
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
