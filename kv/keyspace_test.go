package kv_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

func TestFlushRemovesAllKeysAndNothingElse(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(epoch, 7)
	once := "DISKV.ONCE {k}n " + id.String() + " 1 INCR {k}n"
	require.Equal(t, ":1\r\n", m.do(once))
	for i := range 1000 {
		m.do(fmt.Sprintf("SET k%d v EX %d", i, 10+i))
	}
	before := m.store.Image()
	want := records(t, before)
	require.Equal(t, "+OK\r\n", m.do("FLUSHALL"))
	require.Equal(t, ":0\r\n", m.do("DBSIZE"))
	require.Zero(t, m.store.Keys())
	require.Zero(t, m.store.Expires())
	require.Equal(t, "_\r\n", m.do("GET k7"))
	require.Equal(t, "*2\r\n$1\r\n0\r\n*0\r\n", m.do("SCAN 0"))
	require.Equal(t, want, records(t, before), "an image stays as it was")
	require.Equal(t, ":1\r\n", m.do(once), "sessions stay: the reply is that of then")
	require.Equal(t, "_\r\n", m.do("GET {k}n"))
	kv.RequireInvariants(t, m.store)
	require.Equal(t, m.store.Digest(), copyOf(t, m.store).Digest())
	m.sleep(time.Hour / 2)
	require.Equal(t, "+OK\r\n", m.do("SET k7 w"))
	require.Equal(t, "$1\r\nw\r\n", m.do("GET k7"), "what was to expire has nothing to do with what comes after it")
}

func TestKeysAndShardsThatAreWatchedAreChangedByWhatMovesThem(t *testing.T) {
	for line, changed := range map[string][]string{
		"FLUSHALL":              {"{k}1", "{k}2"},
		"RENAME {k}1 {k}2":      {"{k}1", "{k}2"},
		"RENAME {k}1 {k}3":      {"{k}1", "{k}3"},
		"RENAMENX {k}1 {k}3":    {"{k}1", "{k}3"},
		"COPY {k}1 {k}3":        {"{k}3"},
		"GETDEL {k}1":           {"{k}1"},
		"GETEX {k}1 EX 10":      {"{k}1"},
		"GETEX {k}1 PXAT 1":     {"{k}1"},
		"SETRANGE {k}1 3 x":     {"{k}1"},
		"MSETNX {k}3 x {k}4 x":  {"{k}3", "{k}4"},
		"INCRBYFLOAT {k}3 1":    {"{k}3"},
		"EXPIREAT {k}1 1":       {"{k}1"},
		"PEXPIREAT {k}1 9e":     {},
		"RENAMENX {k}1 {k}2":    {},
		"RENAME {k}1 {k}1":      {},
		"GETEX {k}1":            {},
		"COPY {k}1 {k}2":        {},
		"MSETNX {k}1 x {k}4 x":  {},
		"SETRANGE {k}1 3 \"\"":  {},
		"GETRANGE {k}1 0 -1":    {},
		"OBJECT REFCOUNT {k}1":  {},
		"LCS {k}1 {k}2":         {},
		"SETNX {k}1 x":          {},
		"INCRBYFLOAT {k}1 junk": {},
	} {
		for _, key := range []string{"{k}1", "{k}2", "{k}3", "{k}4"} {
			m := newMachine(t)
			m.do("MSET {k}1 1 {k}2 2")
			token := read(t, []byte(m.do("DISKV.WATCH "+key))).Str
			m.do(line)
			reply := m.do(fmt.Sprintf("DISKV.EXEC %s 1 %s %s 2 EXISTS %s", key, token, key, key))
			if slices.Contains(changed, key) {
				require.Equal(t, "_\r\n", reply, "%s changes %s", line, key)
			} else if len(changed) == 0 {
				require.NotEqual(t, "_\r\n", reply, "%s does not change %s", line, key)
			}
		}
	}
}

func TestKeysIsBounded(t *testing.T) {
	m := newMachine(t)
	// Long keys, so that it is the bytes that are too many.
	long := strings.Repeat("x", 60<<10)
	for i := range 300 {
		m.do(fmt.Sprintf("SET {a}%d%s v", 1000+i, long))
	}
	require.Contains(t, m.do("KEYS *"), "-ERR KEYS looks at no more than 200000 keys and answers no more than 16777216 bytes: use SCAN\r\n")
	require.Contains(t, m.do("KEYS {a}*"), "use SCAN")
	require.Contains(t, m.do("KEYS {a}10*"), "*100\r\n")
	require.Equal(t, "*0\r\n", m.do("KEYS {b}*"))
}

func TestPatternsAreBounded(t *testing.T) {
	m := newMachine(t)
	for i := range 20 {
		m.doArgs([][]byte{[]byte("SET"), fmt.Appendf(nil, "{a}%d%s", i, strings.Repeat("a", 60<<10)), []byte("v")})
	}
	slow := []byte("*" + strings.Repeat("a", 30<<10) + "b")
	const refused = "-ERR it takes too long to match keys with the pattern: use a simpler one\r\n"
	began := time.Now()
	require.Equal(t, refused, m.doArgs([][]byte{[]byte("KEYS"), slow}))
	require.Equal(t, refused, m.doArgs([][]byte{[]byte("SCAN"), []byte("0"), []byte("MATCH"), slow}))
	class := []byte("*[" + strings.Repeat("b", 1<<20) + "]")
	require.Equal(t, refused, m.doArgs([][]byte{[]byte("KEYS"), class}))
	require.Less(t, time.Since(began), 5*time.Second)
	require.Contains(t, m.do("KEYS *a"), "*20\r\n")
}

func TestKeysLooksOnlyAtWhatBeginsLikeThePattern(t *testing.T) {
	m := newMachine(t)
	for i := range 500 {
		m.do(fmt.Sprintf("SET {tag}%d v", i))
		m.do(fmt.Sprintf("SET other%d v", i))
	}
	for pattern, want := range map[string]int{
		"*": 1000, "{tag}*": 500, "{tag}1*": 111, "{ta*": 500, "{*": 500, "other1": 1, "other1?": 10, "{tag}1": 1, "none": 0, "{}*": 0, `\{tag}1`: 1,
	} {
		require.Len(t, read(t, []byte(m.doArgs([][]byte{[]byte("KEYS"), []byte(pattern)}))).Elems, want, pattern)
	}
}

func TestRandomKeyDrawsFromAllKeys(t *testing.T) {
	draw := func(m *machine, n int) map[string]int {
		drawn := map[string]int{}
		for range n {
			v := read(t, []byte(m.do("RANDOMKEY")))
			require.False(t, v.IsNull())
			drawn[string(v.Str)]++
		}
		return drawn
	}
	t.Run("of many shards", func(t *testing.T) {
		m := newMachine(t)
		for i := range 20 {
			m.do(fmt.Sprintf("SET k%d v", i))
		}
		drawn := draw(m, 2000)
		require.Len(t, drawn, 20)
		for key, n := range drawn {
			require.InDelta(t, 100, n, 60, key)
		}
	})
	t.Run("of a large shard", func(t *testing.T) {
		m := newMachine(t)
		for i := range 10_000 {
			m.do(fmt.Sprintf("SET {k}%05d v", i))
		}
		m.do("SET {k} v")
		m.do(`SET {k}0000 v`)
		m.do("SET {k}00000\xff v")
		require.Greater(t, len(draw(m, 2000)), 1500)
	})
	t.Run("but not from those that have expired", func(t *testing.T) {
		m := newMachine(t)
		for i := range 2000 {
			m.do(fmt.Sprintf("SET k%d v PX 1000", i))
		}
		m.do("SET live v")
		m.sleep(time.Second)
		require.Equal(t, map[string]int{"live": 5}, draw(m, 5))
		m.do("DEL live")
		require.Equal(t, "_\r\n", m.do("RANDOMKEY"))
	})
	t.Run("and says that there are none when the log says so", func(t *testing.T) {
		m := newMachine(t)
		m.do("SET k v PX 1000")
		_, ok := query(t, m.store, epoch+int64(time.Second), "RANDOMKEY")
		require.False(t, ok, "a time entry has to be chosen first")
	})
	t.Run("and never through the log", func(t *testing.T) {
		m := newMachine(t)
		c := kv.Command{Args: args(t, "RANDOMKEY")}
		require.Equal(t, "-ERR internal error: this command cannot go through the log\r\n", m.apply(c.Append(nil)))
	})
}

func TestLCSIsBounded(t *testing.T) {
	m := newMachine(t)
	m.do("SETRANGE {k}1 9997 x")
	m.do("SETRANGE {k}2 1675 x")
	require.Equal(t, ":1676\r\n", m.do("LCS {k}1 {k}2 LEN"), "64 MiB of table")
	require.Contains(t, m.do("LCS {k}1 {k}1 LEN"), "-ERR Insufficient memory")
	m.maxValue = 1 << 20
	require.Contains(t, m.do("LCS {k}1 {k}2"), "-ERR Insufficient memory, transient memory for LCS exceeds max-value-bytes")
}

// BenchmarkKeys shows for how long the largest KEYS keeps everybody waiting.
func BenchmarkKeys(b *testing.B) {
	s := kv.New()
	s.Begin(1, 0)
	for i := range 1_000_000 {
		c := kv.Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i*7919%1_000_000), []byte("v")}}
		s.Apply(nil, c.Append(nil))
	}
	c := kv.Command{Args: [][]byte{[]byte("KEYS"), []byte("*999")}}
	keys := c.Append(nil)
	b.ResetTimer()
	for b.Loop() {
		_, ok := s.Query(nil, 0, keys)
		require.True(b, ok)
	}
}

// BenchmarkFlush shows that it takes what the shards take, not the keys.
func BenchmarkFlush(b *testing.B) {
	for _, keys := range []int{shard.Count, 20 * shard.Count} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			c := kv.Command{Args: [][]byte{[]byte("FLUSHALL")}}
			flush := c.Append(nil)
			for range b.N {
				b.StopTimer()
				s := kv.New()
				s.Begin(1, 0)
				for i := range keys {
					c := kv.Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i), []byte("v")}}
					s.Apply(nil, c.Append(nil))
				}
				b.StartTimer()
				s.Apply(nil, flush)
				require.Zero(b, s.Keys())
			}
		})
	}
}
