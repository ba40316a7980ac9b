package kv

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

// RequireInvariants holds a store to what Store's comment says of it.
func RequireInvariants(t *testing.T, s *Store) {
	t.Helper()
	bytes, keys, expires, indexed, due := int64(0), 0, 0, 0, int64(math.MaxInt64)
	for i, d := range s.shards {
		if d == nil {
			continue
		}
		id, before, beforeExpires := shard.ID(i), bytes, expires
		first := int64(0)
		d.items.Ascend(func(it item) bool {
			keys++
			bytes += it.size()
			require.LessOrEqual(t, it.changed, s.slot)
			require.Equal(t, id, shard.Of(it.key()))
			if it.expiry != 0 {
				expires++
				at, ok := d.deadlines.Get(it.deadline())
				require.True(t, ok)
				require.Same(t, &it.data[:1][0], &at.key[:1][0], "the index holds no memory of its own")
				if first == 0 || it.expiry < first {
					first = it.expiry
				}
				due = min(due, it.expiry)
			}
			return true
		})
		require.Equal(t, bytes-before, d.bytes)
		require.Equal(t, expires-beforeExpires, d.deadlines.Len())
		require.Equal(t, first, d.earliest)
		require.LessOrEqual(t, d.generation, s.generation)
		if first != 0 {
			indexed++
			require.True(t, s.deadlines.Has(shardDeadline{first, id}))
		}
	}
	for id, slot := range s.removed {
		if slot == 0 {
			continue
		}
		bytes += removalBytes
		if slot > s.slot || !s.states[id].Serves() {
			require.Fail(t, "removed", "shard %d at slot %d", id, slot)
		}
	}
	require.Equal(t, indexed, s.deadlines.Len())
	require.Equal(t, keys, s.keys)
	sessionBytes := int64(0)
	s.sessions.Ascend(func(e session) bool {
		sessionBytes += e.size()
		due = min(due, e.id.end())
		return true
	})
	require.Equal(t, sessionBytes, s.sessionBytes)
	require.Equal(t, expires, s.expires)
	require.Equal(t, bytes+sessionBytes+requireHandover(t, s), s.bytes)
	require.LessOrEqual(t, s.due, due)
	requireRestores(t, s)
}

// requireHandover holds a store to what Store's comment says of the hand-over, and
// returns the bytes of what arrives and leaves.
func requireHandover(t *testing.T, s *Store) int64 {
	t.Helper()
	bytes := int64(0)
	var awaited shardSet
	for i := range s.incoming {
		in := &s.incoming[i]
		require.NotZero(t, in.awaited.len())
		for id := range in.awaited.all {
			if awaited.has(id) || s.config.Owner[id] != s.group {
				require.Fail(t, "awaited", "shard %d", id)
			}
			awaited.add(id)
		}
		if i > 0 {
			require.Less(t, s.incoming[i-1].from.ID, in.from.ID)
		}
		if d := in.partial; d != nil {
			require.True(t, in.awaited.has(in.shard))
			sum := int64(0)
			d.items.Ascend(func(it item) bool {
				require.Equal(t, in.shard, shard.Of(it.key()))
				sum += it.size()
				require.Equal(t, it.expiry != 0, d.deadlines.Has(it.deadline()))
				return true
			})
			require.Equal(t, sum, d.bytes)
			require.Zero(t, d.earliest, "nothing of it expires yet")
			bytes += sum
		}
	}
	var leaves shardSet
	for i := range s.leaving {
		l := &s.leaving[i]
		require.NotZero(t, l.waiting.len())
		for id := range l.waiting.all {
			if s.config.Owner[id] != l.to || l.to == s.group {
				require.Fail(t, "leaving", "shard %d", id)
			}
			leaves.add(id)
		}
		if i > 0 {
			require.Less(t, s.leaving[i-1].to, l.to)
		}
	}
	for i := range s.states {
		id := shard.ID(i)
		want := Elsewhere
		switch {
		case s.group == 0:
			want = Served
		case awaited.has(id):
			want = Awaited
		case s.config != nil && s.config.Owner[id] == s.group:
			want = Served
		case leaves.has(id):
			want = Leaving
		}
		if s.states[id] != want || !want.Serves() && s.shards[id] != nil {
			require.Equal(t, want, s.states[id], "shard %d", id)
		}
	}
	for i, o := range s.outgoing {
		next := uint32(0)
		if i > 0 {
			require.Negative(t, compareOutgoing(s.outgoing[i-1], o))
			if last := s.outgoing[i-1]; last.leadsTo(o.config, o.to.ID) {
				next = last.batch + 1
			}
		}
		require.Equal(t, next, o.batch)
		_, more := s.findLeaving(o.to.ID)
		more = more && o.config == s.config.Num || i+1 < len(s.outgoing) && s.outgoing[i+1].leadsTo(o.config, o.to.ID)
		require.Equal(t, !more, o.final)
		sum := int64(0)
		o.sessions.Ascend(func(e session) bool {
			sum += e.size()
			return true
		})
		require.Equal(t, sum, o.sessionBytes)
		bytes += sum
		sum = 0
		require.NotEmpty(t, o.shards)
		for _, l := range o.shards {
			if !o.moved.has(l.id) || l.data == nil && l.bytes != 0 {
				require.Fail(t, "leaving", "shard %d", l.id)
			}
			if l.data == nil {
				continue
			}
			require.NotZero(t, l.data.items.Len())
			require.Nil(t, l.data.deadlines)
			require.Equal(t, l.data.bytes, l.bytes)
			sum += l.bytes
		}
		require.Len(t, o.shards, o.moved.len())
		require.Equal(t, sum, o.bytes)
		bytes += sum
	}
	require.Equal(t, s.handoverHeadBytes(), s.headBytes)
	return bytes
}

// requireRestores requires that a store made from an image is the same.
func requireRestores(t *testing.T, s *Store) {
	t.Helper()
	var records [][]byte
	total := 0
	require.NoError(t, s.Image().Records(func(record []byte) error {
		records = append(records, append([]byte(nil), record...))
		total += len(record)
		return nil
	}))
	require.InDelta(t, total, s.Bytes(), float64(16+32*len(s.incoming)+64*len(s.outgoing)+total/100))
	back, err := Restore(func() ([]byte, error) {
		if len(records) == 0 {
			return nil, io.EOF
		}
		r := records[0]
		records = records[1:]
		return r, nil
	})
	require.NoError(t, err)
	require.Equal(t, s.Digest(), back.Digest())
	require.Equal(t, s.Handover(), back.Handover())
	require.Equal(t, s.states, back.states)
	require.Equal(t, s.removed, back.removed)
	require.Equal(t, []int64{s.bytes, s.sessionBytes, s.headBytes, int64(s.keys), int64(s.expires)},
		[]int64{back.bytes, back.sessionBytes, back.headBytes, int64(back.keys), int64(back.expires)})
	for i, o := range s.outgoing {
		require.Equal(t, []any{o.batch, o.final, o.sessionBytes}, []any{back.outgoing[i].batch, back.outgoing[i].final, back.outgoing[i].sessionBytes})
		require.Len(t, back.outgoing[i].shards, len(o.shards))
		for j := range o.shards {
			if o.shards[j].id != back.outgoing[i].shards[j].id {
				require.Fail(t, "another order of the stream")
			}
		}
	}
}

func TestInvariantsHoldAfterEveryCommand(t *testing.T) {
	s := New()
	now := int64(1_700_000_000_000) * nanosPerMilli
	id := NewSessionID(now, 1)
	commands := []string{
		"SET k$1 v PX $2", "APPEND k$1 $2", "PEXPIRE k$1 $2", "SET k$1 $2", "SET k$1 $2 KEEPTTL", "SET k$1 x EXAT $2", "INCRBY k$1 $2",
		"SET k$1 v PX $2", "DEL {k}$1 {k}$2", "SETRANGE k$1 $2 abc", "GETEX k$1 PX $2", "RENAME {k}$1 {k}$2", "COPY {k}$1 {k}$2 REPLACE",
		"INCRBYFLOAT k$1 0.$2", "SETEX {k}$1 $2 v", "PEXPIREAT {k}$1 17000000000$2", "GETDEL k$1", "FLUSHALL", "MSETNX {k}$1 a {k}$2 b",
	}
	for i := range 3000 {
		s.Begin(uint64(i), now)
		c := Command{MaxValue: 1000}
		line := strings.NewReplacer("$1", strconv.Itoa(i%5), "$2", strconv.Itoa(1+i%13)).Replace(commands[i*7%len(commands)])
		for word := range strings.FieldsSeq(line) {
			c.Args = append(c.Args, []byte(word))
		}
		if i%3 == 0 {
			c.Session, c.Seq = id, uint64(i+1)
		}
		if i%5 == 0 {
			s.Image()
		}
		s.Apply(nil, c.Append(nil))
		RequireInvariants(t, s)
		now += int64(i%3) * nanosPerMilli
	}
}

func TestTheNumberOfSessionsIsLimited(t *testing.T) {
	s := New()
	now := int64(1_700_000_000_000) * nanosPerMilli
	s.Begin(1, now)
	reply := []byte("+OK\r\n")
	for i := range uint64(MaxSessions) {
		s.remember(session{id: NewSessionID(now, i), seq: 1, reply: reply})
	}
	incr := func(random uint64) string {
		c := Command{Session: NewSessionID(now, random), Seq: 2, Args: [][]byte{[]byte("INCR"), []byte("n")}}
		return string(s.Apply(nil, c.Append(nil)))
	}
	require.Contains(t, incr(MaxSessions), "-"+CodeSessionLimit+" ")
	require.Equal(t, ":1\r\n", incr(0), "sessions that are known go on")
	require.Equal(t, MaxSessions, s.Sessions())
}

func TestAppendGrowsInPlaceAndAnImageDoesNotSeeIt(t *testing.T) {
	s := New()
	s.Begin(1, 0)
	c := Command{Args: [][]byte{[]byte("APPEND"), []byte("k"), []byte("0123456789")}}
	encoded := c.Append(nil)
	moved := 0
	var data *byte
	images := make([]*Image, 0, 1000)
	for range 1000 {
		s.Apply(nil, encoded)
		s.shards.ascend(0, nil, func(_ shard.ID, it item) bool {
			if data != &it.data[0] {
				data = &it.data[0]
				moved++
			}
			return true
		})
		images = append(images, s.Image())
	}
	require.Less(t, moved, 40, "a value is not copied for every few bytes")
	for i, image := range images {
		image.shards.ascend(0, nil, func(_ shard.ID, it item) bool {
			require.Len(t, it.value(), (i+1)*10)
			return true
		})
	}
}

func BenchmarkApplySet(b *testing.B) {
	const keys = 1_000_000
	for _, expiring := range []bool{false, true} {
		b.Run(fmt.Sprintf("expiring=%v", expiring), func(b *testing.B) {
			s := New()
			entries := make([][]byte, keys)
			value := make([]byte, 100)
			for i := range entries {
				c := Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i*7919%keys), value}}
				if expiring {
					c.Args = append(c.Args, []byte("EX"), []byte("3600"))
				}
				entries[i] = c.Append(nil)
			}
			var reply []byte
			for i, e := range entries {
				s.Begin(uint64(i), 0)
				reply = s.Apply(reply[:0], e)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Begin(uint64(i), int64(i))
				reply = s.Apply(reply[:0], entries[i%keys])
				i++
			}
		})
	}
}

func BenchmarkQueryGet(b *testing.B) {
	const keys = 1_000_000
	s := New()
	s.Begin(1, 0)
	queries := make([][]byte, keys)
	for i := range keys {
		key := fmt.Appendf(nil, "key:%012d", i)
		set := Command{Args: [][]byte{[]byte("SET"), key, make([]byte, 100)}}
		s.Apply(nil, set.Append(nil))
		get := Command{Args: [][]byte{[]byte("GET"), key}}
		queries[i*7919%keys] = get.Append(nil)
	}
	var reply []byte
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		reply, _ = s.Query(reply[:0], 0, queries[i%keys])
		i++
	}
}

func BenchmarkPrepare(b *testing.B) {
	args := [][]byte{[]byte("SET"), []byte("key:000000000042"), make([]byte, 100)}
	var entry []byte
	b.ReportAllocs()
	for b.Loop() {
		p, _ := Prepare(args)
		entry = p.Command.Append(entry[:0])
	}
}
