package kv

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

// requireInvariants holds a store to what Store's comment says of it.
func requireInvariants(t *testing.T, s *Store) {
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
	require.Equal(t, indexed, s.deadlines.Len())
	require.Equal(t, keys, s.keys)
	s.sessions.Ascend(func(e session) bool {
		bytes += e.size()
		due = min(due, e.id.end())
		return true
	})
	require.Equal(t, expires, s.expires)
	require.Equal(t, bytes, s.bytes)
	require.LessOrEqual(t, s.due, due)
}

func TestInvariantsHoldAfterEveryCommand(t *testing.T) {
	s := New()
	now := int64(1_700_000_000_000) * nanosPerMilli
	id := NewSessionID(now, 1)
	commands := []string{
		"SET k%d v PX %d", "APPEND k%d %d", "PEXPIRE k%d %d", "SET k%d %d", "SET k%d %d KEEPTTL", "SET k%d x EXAT %d", "INCRBY k%d %d",
		"SET k%d v PX %d", "DEL k%d x%d",
	}
	for i := range 3000 {
		s.Begin(uint64(i), now)
		c := Command{MaxValue: 1000}
		line := fmt.Sprintf(commands[i*7%len(commands)], i%5, 1+i%13)
		word := ""
		for _, r := range line + " " {
			if r == ' ' {
				c.Args = append(c.Args, []byte(word))
				word = ""
				continue
			}
			word += string(r)
		}
		if i%3 == 0 {
			c.Session, c.Seq = id, uint64(i+1)
		}
		if i%5 == 0 {
			s.Image()
		}
		s.Apply(nil, c.Append(nil))
		requireInvariants(t, s)
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
