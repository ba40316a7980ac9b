package kv

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"diskv/internal/resp"
	"diskv/internal/wire"
	"diskv/shard"
)

// incoming is a stream of shards from another group, as far as it has come.
type incoming struct {
	from    shard.Group // as the config before has it
	cursor  []byte      // where it stands; never changed in place
	awaited shardSet    // what is not served yet; never empty
	// partial is what has come of the shard that arrives now, apart from the live
	// state; nil: nothing. It is shared with images in the way of live shards.
	partial *shardData
	shard   shard.ID // of partial
}

var (
	errNotAwaited = errors.New("shard is not awaited from this group")
	errNext       = errors.New("entries do not end where the next chunk begins")
	errMissing    = errors.New("shards are missing at the end of the stream")
	errNoEnd      = errors.New("every shard is there and it is not the end of the stream")
	errHead       = errors.New("chunk of another stream")
)

// install takes a chunk into the state, if it is the next one of its stream: all of
// it or nothing.
func (s *Store) install(dst []byte, config uint64, from shard.GroupID, chunk []byte) []byte {
	i, ok := s.findIncoming(from)
	if !ok || config != s.config.Num {
		return resp.AppendError(dst, fmt.Sprintf("%s this group awaits nothing of group %d with config %d", CodeStaleChunk, from, config))
	}
	in := &s.incoming[i]
	h, entries, err := readChunk(chunk)
	if err == nil && (h.Config != config || h.From != from || h.To != s.group) {
		err = errHead
	}
	if err == nil && !bytes.Equal(h.Start, in.cursor) {
		return resp.AppendError(dst, fmt.Sprintf("%s the stream of config %d from group %d stands elsewhere", CodeStaleChunk, config, from))
	}
	if err == nil {
		err = in.check(&h, entries)
	}
	if err != nil {
		return resp.AppendError(dst, fmt.Sprintf("%s config %d, group %d: %s", CodeBadChunk, config, from, err))
	}

	s.logTime = max(s.logTime, h.LogTime)
	s.installEntries(in, entries)
	in.cursor = bytes.Clone(h.Next)
	if h.Last {
		s.incoming = slices.Delete(s.incoming, i, i+1)
	}
	s.handoverChanged()
	return resp.AppendSimple(dst, "OK")
}

// check tells what is wrong with the entries of a chunk, before any of them has
// changed anything: a chunk that was damaged on its way must not end the group.
func (in *incoming) check(h *ChunkHead, entries []byte) error {
	p, err := readCursor(in.cursor)
	if err != nil {
		panic(fmt.Sprintf("kv: the cursor of a stream from group %d: %v", in.from.ID, err)) // it was checked as Next
	}
	awaited := in.awaited
	r := wire.NewReader(entries)
	for r.Len() > 0 && r.Err() == nil {
		e := readEntry(r)
		switch {
		case r.Err() != nil:
		case !p.before(&e.at):
			r.Fail(errOrder)
		case e.at.kind == behindSession:
		case !awaited.has(e.at.shard):
			r.Fail(errNotAwaited)
		case e.at.kind == behindShard:
			awaited.remove(e.at.shard)
		}
		e.at.batch = p.batch
		p = e.at
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	if next := p.next(); p.kind == behindShard && !h.Last && bytes.Equal(next.append(nil), h.Next) {
		p = next
	}
	switch {
	case len(entries) == 0, !bytes.Equal(p.append(nil), h.Next):
		return errNext
	case h.Last && awaited != shardSet{}:
		return errMissing
	case !h.Last && awaited == shardSet{}:
		return errNoEnd
	}
	return nil
}

// next returns the beginning of the next batch.
func (p *position) next() position { return position{batch: p.batch + 1} }

// before tells whether an entry that leads to next may follow at p. That a shard does
// not come twice is not seen here.
func (p *position) before(next *position) bool {
	switch next.kind {
	case behindSession:
		return p.kind == atStart || p.kind == behindSession && p.session.Compare(next.session) < 0
	case behindItem:
		return p.kind != behindItem || p.shard == next.shard && bytes.Compare(p.key, next.key) < 0
	}
	return p.kind != behindItem || p.shard == next.shard
}

// installEntries takes entries that were checked into the state.
func (s *Store) installEntries(in *incoming, entries []byte) {
	var memory slab
	now := s.now()
	for r := wire.NewReader(entries); r.Len() > 0; {
		e := readEntry(r)
		switch e.at.kind {
		case behindSession:
			if !e.session.id.expired(now) {
				s.merge(e.session)
			}
		case behindItem:
			d := s.mutablePartial(in, e.at.shard)
			it := memory.item(e.at.key, e.value, e.expiry)
			it.changed = s.slot // the giver's slots are of another log
			if _, replaced := d.put(it); replaced {
				panic(fmt.Sprintf("kv: a key of shard %d came twice from group %d", e.at.shard, in.from.ID))
			}
			s.bytes += it.size()
		case behindShard:
			d := in.partial
			if d != nil {
				d = s.mutablePartial(in, e.at.shard)
			}
			in.partial = nil
			in.awaited.remove(e.at.shard)
			s.serve(e.at.shard, d)
		}
	}
}

// merge takes in what another group remembers of a session. The later operation
// counts; of one operation, which was executed there or here, the reply.
func (s *Store) merge(e session) {
	own, known := s.sessions.Get(e)
	if known && (own.seq > e.seq || own.seq == e.seq && (own.reply != nil || e.reply == nil)) {
		return
	}
	e.reply = bytes.Clone(e.reply)
	s.remember(e)
}

// mutablePartial returns what has come of a shard, for a change.
func (s *Store) mutablePartial(in *incoming, id shard.ID) *shardData {
	if in.partial == nil {
		in.partial, in.shard = s.newShard(), id
	}
	if in.shard != id {
		panic(fmt.Sprintf("kv: shard %d arrives from group %d while %d is not complete", id, in.from.ID, in.shard))
	}
	in.partial = s.own(in.partial)
	return in.partial
}
