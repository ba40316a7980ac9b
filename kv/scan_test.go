package kv_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// scanOnce executes one SCAN and returns the next cursor and the keys.
func scanOnce(tb testing.TB, s *kv.Store, cursor uint64, options string) (uint64, []string) {
	tb.Helper()
	reply, ok := query(tb, s, epoch, fmt.Sprintf("SCAN %d %s", cursor, options))
	require.True(tb, ok)
	v, err := resp.NewReplyReader(strings.NewReader(reply), resp.ReplyOptions{}).ReadReply()
	require.NoError(tb, err)
	require.Len(tb, v.Elems, 2, reply)
	next, err := strconv.ParseUint(string(v.Elems[0].Str), 10, 64)
	require.NoError(tb, err)
	var keys []string
	for _, e := range v.Elems[1].Elems {
		keys = append(keys, string(e.Str))
	}
	return next, keys
}

// scanAll goes on until the cursor is 0, each time on the store that at names.
func scanAll(tb testing.TB, options string, at func(call int) *kv.Store) []string {
	tb.Helper()
	var all []string
	cursor := uint64(0)
	for call := 0; ; call++ {
		require.Less(tb, call, 100_000, "the scan does not end")
		next, keys := scanOnce(tb, at(call), cursor, options)
		require.Less(tb, next, uint64(1<<53), "cursors fit into the numbers of every client")
		all = append(all, keys...)
		if next == 0 {
			return all
		}
		cursor = next
	}
}

// scanned is a store with many small shards and a large one, and its keys in
// order.
func scanned(tb testing.TB) (*kv.Store, []string) {
	tb.Helper()
	s := kv.New()
	s.Begin(1, epoch)
	var keys []string
	for i := range 500 {
		keys = append(keys, fmt.Sprintf("key%d", i), fmt.Sprintf("{large}%d", i))
	}
	for _, key := range keys {
		c := kv.Command{Args: [][]byte{[]byte("SET"), []byte(key), []byte("v")}}
		s.Apply(nil, c.Append(nil))
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := int(shard.Of([]byte(a))) - int(shard.Of([]byte(b))); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return s, keys
}

func TestScanReturnsEveryKeyOnceInOrder(t *testing.T) {
	s, keys := scanned(t)
	for _, options := range []string{"", "COUNT 1", "COUNT 7", "COUNT 100", "COUNT 999", "COUNT 1000", "COUNT 9999999999"} {
		require.Equal(t, keys, scanAll(t, options, func(int) *kv.Store { return s }), options)
	}
	large := scanAll(t, "MATCH {large}* COUNT 13", func(int) *kv.Store { return s })
	require.Len(t, large, 500)
	require.True(t, slices.IsSorted(large))
}

func TestScanGoesOnWithAnotherLeader(t *testing.T) {
	s, keys := scanned(t)
	follower := copyOf(t, s)
	// One change of leader: nothing is left out, and what comes twice is in one
	// shard.
	for change := range 60 {
		all := scanAll(t, "COUNT 20", func(call int) *kv.Store {
			if call < change {
				return s
			}
			return follower
		})
		seen := make(map[string]int)
		for _, key := range all {
			seen[key]++
		}
		require.Len(t, seen, len(keys))
		for key, n := range seen {
			if n > 1 {
				require.True(t, strings.HasPrefix(key, "{large}"), "%s came %d times", key, n)
			}
		}
	}
}

func TestScanWhileKeysChange(t *testing.T) {
	s, keys := scanned(t)
	call := 0
	all := scanAll(t, "COUNT 5", func(int) *kv.Store {
		// Between two calls some keys come and go, those that a cursor stands for too.
		for i := range 5 {
			c := kv.Command{Args: args(t, fmt.Sprintf("DEL {large}%d", 100+(call*5+i)%100))}
			s.Apply(nil, c.Append(nil))
			c = kv.Command{Args: args(t, fmt.Sprintf("SET {large}new%d v", call*5+i))}
			s.Apply(nil, c.Append(nil))
		}
		call++
		return s
	})
	for _, key := range keys {
		if n, found := strings.CutPrefix(key, "{large}"); found && len(n) == 3 && n[0] == '1' {
			continue // deleted
		}
		require.Contains(t, all, key, "what was there all the time is returned")
	}
}

func TestScanForgetsOldCursorsNotKeys(t *testing.T) {
	s, _ := scanned(t)
	// More scans are left unfinished than cursors are remembered.
	first, _ := scanOnce(t, s, uint64(shard.Of([]byte("{large}"))), "COUNT 2")
	require.Greater(t, first, uint64(shard.Count))
	for i := range 5000 {
		c := kv.Command{Args: args(t, fmt.Sprintf("SET {huge}%d v", i))}
		s.Apply(nil, c.Append(nil))
	}
	cursor := uint64(shard.Of([]byte("{huge}")))
	for range 4900 {
		cursor, _ = scanOnce(t, s, cursor, "COUNT 1")
	}
	_, keys := scanOnce(t, s, first, "COUNT 3")
	require.Equal(t, []string{"{large}0", "{large}1", "{large}10"}, keys, "from the shard's beginning")
}

func TestScanIsBounded(t *testing.T) {
	s := kv.New()
	s.Begin(1, epoch)
	pad := strings.Repeat("p", 60_000)
	for i := range 100 {
		c := kv.Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "{a}%d%s", i, pad), []byte("v")}}
		s.Apply(nil, c.Append(nil))
	}
	next, keys := scanOnce(t, s, 0, "COUNT "+strconv.Itoa(math.MaxInt64))
	require.NotZero(t, next)
	require.Less(t, len(keys)*len(pad), 2<<20)
	require.Len(t, scanAll(t, "COUNT 50", func(int) *kv.Store { return s }), 100)
}

func TestScanDoesNotTouchTheState(t *testing.T) {
	s, _ := scanned(t)
	before := s.Digest()
	scanAll(t, "COUNT 3", func(int) *kv.Store { return s })
	require.Equal(t, before, s.Digest())
}

func TestKeysInAShard(t *testing.T) {
	s, _ := scanned(t)
	require.Equal(t, 500, s.KeysIn(shard.Of([]byte("{large}"))))
	require.Zero(t, s.KeysIn(shard.Of([]byte("{nothing}"))))
}
