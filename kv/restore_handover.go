package kv

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"diskv/internal/wire"
	"diskv/shard"
)

var (
	errGroup   = errors.New("group that the config does not have in this place")
	errShards  = errors.New("shards that the config does not have in this place")
	errPartial = errors.New("keys of an incoming shard do not end at the cursor")
)

// group takes the record of the group and its config.
func (r *restorer) group(in *wire.Reader) {
	s := r.s
	s.group = shard.GroupID(in.Uint64())
	encoded := in.Bytes(maxEncodedConfig)
	if in.Err() == nil && s.group == 0 {
		in.Fail(errEntry)
	}
	clear(s.states[:]) // Elsewhere
	if in.Err() != nil || len(encoded) == 0 {
		return
	}
	config, err := shard.DecodeConfig(encoded)
	if err != nil {
		in.Fail(err)
		return
	}
	s.config = config
	for id, owner := range config.Owner {
		if owner == s.group {
			s.states[id] = Served
		}
	}
}

// incoming takes the head of a stream from another group; what has come of a shard
// follows in records of keys.
func (r *restorer) incoming(in *wire.Reader, count uint32) {
	s := r.s
	stream := incoming{from: readGroup(in)}
	cursor := in.Bytes(maxCursor)
	at, err := readCursor(cursor)
	if err != nil {
		in.Fail(err)
	}
	stream.awaited = readShards(in, count)
	if in.Err() == nil && (s.config == nil || stream.from.ID == s.group ||
		len(s.incoming) > 0 && s.incoming[len(s.incoming)-1].from.ID >= stream.from.ID) {
		in.Fail(errGroup)
	}
	for id := range stream.awaited.all {
		if in.Err() == nil && s.states[id] != Served { // by the config alone: see group
			in.Fail(errShards)
		}
		s.states[id] = Awaited
	}
	if in.Err() == nil && at.kind == behindItem && !stream.awaited.has(at.shard) {
		in.Fail(errShards)
	}
	if len(cursor) > 0 {
		stream.cursor = bytes.Clone(cursor)
	}
	s.incoming = append(s.incoming, stream)
}

// leaving takes what the config takes from the group and is not frozen.
func (r *restorer) leaving(in *wire.Reader, count uint32) {
	s := r.s
	l := leaving{to: shard.GroupID(in.Uint64()), waiting: readShards(in, count)}
	if in.Err() == nil && (s.config == nil || l.to == s.group || len(s.leaving) > 0 && s.leaving[len(s.leaving)-1].to >= l.to) {
		in.Fail(errGroup)
	}
	if in.Err() != nil {
		return
	}
	for id := range l.waiting.all {
		if s.config.Owner[id] != l.to {
			in.Fail(errShards)
		}
		s.states[id] = Leaving
	}
	s.leaving = append(s.leaving, l)
}

// outgoing takes the head of a batch that is kept for another group; its sessions and
// keys follow.
func (r *restorer) outgoing(in *wire.Reader, count uint32) {
	s := r.s
	o := &Outgoing{config: in.Uint64(), logTime: in.Int64(), batch: in.Uint32(), from: s.group, to: readGroup(in), sessions: newSessions()}
	o.moved = readShards(in, count)
	next := uint32(0)
	if n := len(s.outgoing); n > 0 {
		last := s.outgoing[n-1]
		if compareOutgoing(last, o) >= 0 {
			in.Fail(errOrder)
		}
		if last.leadsTo(o.config, o.to.ID) {
			next = last.batch + 1
		}
	}
	if in.Err() == nil && (s.config == nil || o.config > s.config.Num || o.to.ID == s.group || o.batch != next) {
		in.Fail(errGroup)
	}
	for id := range o.moved.all {
		o.shards = append(o.shards, leavingShard{id: id})
	}
	s.outgoing = append(s.outgoing, o)
}

// readGroup reads what recordWriter.group wrote.
func readGroup(in *wire.Reader) shard.Group {
	g := shard.Group{ID: shard.GroupID(in.Uint64())}
	n := in.Count(4)
	if n > shard.MaxServers {
		in.Fail(wire.ErrTooLong)
		return g
	}
	for range n {
		g.Servers = append(g.Servers, string(in.Bytes(shard.MaxAddress)))
	}
	if in.Err() == nil && g.ID == 0 {
		in.Fail(errGroup)
	}
	if err := shard.CheckServers(g.Servers); in.Err() == nil && err != nil {
		in.Fail(err)
	}
	return g
}

// readShards reads what recordWriter.shards wrote.
func readShards(in *wire.Reader, count uint32) shardSet {
	var t shardSet
	if in.Err() == nil && (count == 0 || count > shard.Count) {
		in.Fail(errShards)
	}
	last := -1
	for range count {
		id := shard.ID(in.Uint16())
		if in.Err() == nil && (int(id) <= last || id >= shard.Count) {
			in.Fail(errOrder)
		}
		if in.Err() != nil {
			break
		}
		t.add(id)
		last = int(id)
	}
	return t
}

// place returns where the items of a shard belong in the present section.
func (r *restorer) place(id shard.ID) (*shardData, error) {
	switch r.section {
	case sectionIncoming:
		in := &r.s.incoming[len(r.s.incoming)-1]
		if at, err := readCursor(in.cursor); err != nil || at.kind != behindItem || at.shard != id {
			return nil, errPartial
		}
		if in.partial == nil {
			in.partial, in.shard = r.s.newShard(), id
		}
		return in.partial, nil
	case sectionKept:
		o := r.s.outgoing[len(r.s.outgoing)-1]
		// By number until they are sorted.
		i, ok := slices.BinarySearchFunc(o.shards, id, func(l leavingShard, id shard.ID) int { return cmp.Compare(l.id, id) })
		if !ok {
			return nil, errShards
		}
		if o.shards[i].data == nil {
			o.shards[i].data = r.s.newShard()
		}
		return o.shards[i].data, nil
	}
	return r.s.mutable(id), nil
}

// finishHandover checks and completes what all records together have made.
func (r *restorer) finishHandover() error {
	s := r.s
	for id, d := range s.shards {
		if d != nil && !s.states[id].Serves() {
			return fmt.Errorf("%w: shard %d has keys and is %s", errShards, id, s.states[id])
		}
		if s.removed[id] != 0 && !s.states[id].Serves() {
			return fmt.Errorf("%w: shard %d has lost keys and is %s", errShards, id, s.states[id])
		}
	}
	for i := range s.incoming {
		in := &s.incoming[i]
		at, err := readCursor(in.cursor)
		if err != nil {
			return err
		}
		if in.partial == nil {
			if at.kind == behindItem {
				return errPartial
			}
			continue
		}
		if last, _ := in.partial.items.Max(); !bytes.Equal(last.key(), at.key) {
			return errPartial
		}
	}
	for n, o := range s.outgoing {
		_, waiting := s.findLeaving(o.to.ID)
		more := waiting && o.config == s.config.Num || n+1 < len(s.outgoing) && s.outgoing[n+1].leadsTo(o.config, o.to.ID)
		o.final = !more
		for i := range o.shards {
			l := &o.shards[i]
			if l.data != nil {
				l.bytes = l.data.bytes
				l.data.deadlines = nil
				o.bytes += l.bytes
			}
		}
		o.sort()
	}
	s.outgoing = slices.Clip(s.outgoing)
	s.handoverChanged()
	return nil
}
