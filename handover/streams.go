package handover

import (
	"bytes"
	"slices"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// stream is the way of the shards that one config moves here from one group.
type stream struct {
	config uint64
	from   shard.GroupID
	ask    ask

	applied  []byte        // where the group's own log stands in the stream
	movedAt  time.Duration // when that last changed
	next     []byte        // what to ask for next
	ended    bool          // the last chunk has been proposed
	proposed [][]byte      // where the chunks end that are proposed and not applied
}

// Bounds of the time between two questions for a chunk that is not there yet. The
// first is short: what is waited for is that the other group applies the config, or
// freezes the batch, and from then on nobody serves its shards.
const (
	pullAgainFirst = 5 * time.Millisecond
	pullAgainLast  = 200 * time.Millisecond
)

// stepStreams asks for further chunks of every stream, as far as the window goes.
func (m *Mover) stepStreams() {
	m.streams = slices.DeleteFunc(m.streams, func(s *stream) bool {
		ended := !slices.ContainsFunc(m.state.Incoming, s.is)
		if ended {
			m.forget(&s.ask)
		}
		return ended
	})
	for _, in := range m.state.Incoming {
		i := slices.IndexFunc(m.streams, func(s *stream) bool { return s.is(in) })
		if i < 0 {
			i = len(m.streams)
			m.streams = append(m.streams, &stream{
				config: in.Config, from: in.From.ID, applied: in.Cursor, next: in.Cursor, movedAt: m.now,
			})
		}
		s := m.streams[i]
		s.observe(m.now, in.Cursor)
		if !s.ended && len(s.proposed) < m.opts.Window && m.due(&s.ask) {
			m.pull(s, in.From.Servers)
		}
	}
}

// is tells whether s is a stream of the group's state.
func (s *stream) is(in kv.Incoming) bool { return s.config == in.Config && s.from == in.From.ID }

// observe notes where the group's log stands. If that is not on the way that was
// gone here, or if nothing has moved for long, the stream goes on from there.
func (s *stream) observe(now time.Duration, cursor []byte) {
	moved := !bytes.Equal(cursor, s.applied)
	if moved {
		s.applied, s.movedAt = cursor, now
	}
	at := slices.IndexFunc(s.proposed, func(end []byte) bool { return bytes.Equal(end, cursor) })
	switch {
	case moved && at >= 0:
		s.proposed = s.proposed[at+1:]
	case moved, len(s.proposed) > 0 && now >= s.movedAt+answerTimeout:
		s.next, s.ended, s.proposed, s.movedAt = cursor, false, nil, now
	}
}

// pull asks for the next chunk.
func (m *Mover) pull(s *stream, servers []string) {
	start := s.next
	m.put(&s.ask, servers, func(v resp.Value, err error) {
		if err != nil || !bytes.Equal(start, s.next) {
			m.backOff(&s.ask, pullAgainFirst, pullAgainLast)
			return
		}
		head, err := kv.ReadChunkHead(v.Str)
		if err != nil || head.Config != s.config || head.From != s.from || head.To != m.opts.Group || !bytes.Equal(head.Start, start) {
			m.backOff(&s.ask, pullAgainLast, answerTimeout)
			return
		}
		m.again(&s.ask, 0)
		m.propose(kv.AppendInstall(nil, s.config, s.from, v.Str))
		if len(s.proposed) == 0 {
			s.movedAt = m.now
		}
		s.proposed = append(s.proposed, head.Next)
		s.next, s.ended = head.Next, head.Last
	}, word("DISKV.PULL"), number(s.config), number(m.opts.Group), start, number(m.opts.ChunkBytes))
}
