package kv

import (
	"encoding/binary"
	"slices"

	"diskv/internal/wire"
	"diskv/shard"
)

// handoverImage is the part of an image that only a sharded group has.
type handoverImage struct {
	group    shard.GroupID // 0: there is nothing
	config   *shard.Config
	incoming []incoming
	leaving  []leaving
	outgoing []*Outgoing
}

func (s *Store) handoverImage() handoverImage {
	return handoverImage{
		group: s.group, config: s.config, incoming: slices.Clone(s.incoming), leaving: slices.Clone(s.leaving), outgoing: s.outgoing,
	}
}

// write adds the records.
func (m *handoverImage) write(w *recordWriter) {
	if m.group == 0 {
		return
	}
	w.beginGroup(m.group, m.config)
	w.flush()
	for i := range m.incoming {
		in := &m.incoming[i]
		w.beginIncoming(in)
		w.flush()
		if in.partial != nil {
			in.partial.items.Ascend(w.item)
			w.flush()
		}
	}
	for i := range m.leaving {
		w.beginLeaving(&m.leaving[i])
		w.flush()
	}
	for _, o := range m.outgoing {
		w.beginOutgoing(o)
		w.flush()
		o.sessions.Ascend(w.session)
		w.flush()
		var byNumber shardArray
		for _, l := range o.shards {
			byNumber[l.id] = l.data
		}
		byNumber.ascend(0, nil, func(_ shard.ID, it item) bool { return w.item(it) })
		w.flush()
	}
}

func (w *recordWriter) beginGroup(group shard.GroupID, config *shard.Config) {
	w.begin(recordGroup)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(group))
	if config == nil {
		w.buf = wire.AppendBytes(w.buf, nil)
		return
	}
	w.buf = wire.AppendBytes(w.buf, config.Append(nil))
}

func (w *recordWriter) beginIncoming(in *incoming) {
	w.begin(recordIncoming)
	w.group(&in.from)
	w.buf = wire.AppendBytes(w.buf, in.cursor)
	w.shards(&in.awaited)
}

func (w *recordWriter) beginLeaving(l *leaving) {
	w.begin(recordLeaving)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(l.to))
	w.shards(&l.waiting)
}

func (w *recordWriter) beginOutgoing(o *Outgoing) {
	w.begin(recordOutgoing)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, o.config)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(o.logTime))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, o.batch)
	w.group(&o.to)
	w.shards(&o.moved)
}

// group adds the id and the addresses of a group.
func (w *recordWriter) group(g *shard.Group) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(g.ID))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(g.Servers)))
	for _, address := range g.Servers {
		w.buf = wire.AppendBytes(w.buf, []byte(address))
	}
}

// shards adds shards, the number of which is the record's count.
func (w *recordWriter) shards(t *shardSet) {
	for id := range t.all {
		w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(id))
		w.count++
	}
}

// handoverHeadBytes returns what these records have beside keys and sessions.
func (s *Store) handoverHeadBytes() int64 {
	if s.group == 0 {
		return 0
	}
	n := int64(0)
	w := recordWriter{add: func(record []byte) error {
		n += int64(len(record))
		return nil
	}}
	m := s.handoverImage()
	heads := handoverImage{group: m.group, config: m.config}
	heads.write(&w)
	for i := range m.incoming {
		w.beginIncoming(&m.incoming[i])
		w.flush()
	}
	for i := range m.leaving {
		w.beginLeaving(&m.leaving[i])
		w.flush()
	}
	for _, o := range m.outgoing {
		w.beginOutgoing(o)
		w.flush()
	}
	return n
}

// counts returns how many keys and sessions the records have.
func (m *handoverImage) counts() (keys, sessions int) {
	for i := range m.incoming {
		if d := m.incoming[i].partial; d != nil {
			keys += d.items.Len()
		}
	}
	for _, o := range m.outgoing {
		sessions += o.sessions.Len()
		for _, l := range o.shards {
			if l.data != nil {
				keys += l.data.items.Len()
			}
		}
	}
	return keys, sessions
}
