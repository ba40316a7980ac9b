package kv_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/kv"
	"diskv/shard"
)

// goldenMove is group 1 with something of every kind that leaves for group 2, and
// group 2 that awaits it.
func goldenMove(t *testing.T) (a, b *machine, o *kv.Outgoing) {
	t.Helper()
	c := configs(give(1, 0, shard.Count-1), func(c *shard.Config) {
		give(2, 12182, 12182)(c) // foo
		give(2, 5061, 5061)(c)   // bar
		give(2, 7, 7)(c)         // nothing
	})
	a, b = newGroup(t, 1), newGroup(t, 2)
	a.take(c[1], c[0])
	a.do("SET foo 1")
	a.do("SET bar x PX 60000")
	a.do("SET stays y")
	a.do(once(kv.NewSessionID(epoch, 7), 3, "foo", "INCR foo"))
	a.do(once(kv.NewSessionID(epoch, 8), 4, "stays", "STRLEN stays"))
	a.take(c[2], nil)
	b.take(c[2], c[1])
	require.Equal(t, "+OK\r\n", a.freeze(2, 2, 0))
	o, ok := a.store.Outgoing(2, 2, 0)
	require.True(t, ok)
	return a, b, o
}

func TestChunksHaveGoldenBytes(t *testing.T) {
	_, _, o := goldenMove(t)
	chunk, err := o.Chunk(nil, 1<<20)
	require.NoError(t, err)
	want := golden.Hex(`
		01 01 0000                              // version, last
		0200000000000000                        // config
		0100000000000000 0200000000000000       // from, to
		00002a36fe9c9717                        // log time
		00000000                                // start
		07000000 03 00000000 962f               // next: behind shard 12182
		73000000                                // entries
		01 0068e5cf8b010000 0700000000000000 0300000000000000 962f 00 04000000 3a320d0a
		01 0068e5cf8b010000 0800000000000000 0400000000000000 be2b 01
		03 0700
		02 6052e6cf8b010000 03000000 626172 01000000 78
		03 c513
		02 0000000000000000 03000000 666f6f 01000000 32
		03 962f`)
	require.Equal(t, fmt.Sprintf("%x", seal(want)), fmt.Sprintf("%x", chunk))

	// A cursor is the entry that was sent last.
	for _, tc := range []struct {
		start string
		limit int
		next  string
	}{
		{"", 136, "01 00000000 0068e5cf8b010000 0700000000000000"},
		{"", 149, "03 00000000 0700"},
		{"", 150, "03 00000000 c513"},
		{"01 00000000 0068e5cf8b010000 0700000000000000", 0, "01 00000000 0068e5cf8b010000 0800000000000000"},
		{"03 00000000 0700", 0, "02 00000000 c513 626172"},
		{"02 00000000 c513 626172", 0, "03 00000000 c513"},
	} {
		chunk, err := o.Chunk(golden.Hex(tc.start), tc.limit)
		require.NoError(t, err)
		h, err := kv.ReadChunkHead(chunk)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%x", golden.Hex(tc.next)), fmt.Sprintf("%x", h.Next), "%s, limit %d", tc.start, tc.limit)
		require.False(t, h.Last)
		if tc.limit > 0 {
			require.LessOrEqual(t, len(chunk), tc.limit)
		}
	}
}

// seal appends the checksum of a chunk.
func seal(chunk []byte) []byte {
	return binary.LittleEndian.AppendUint32(chunk, crc32.Checksum(chunk, crc32.MakeTable(crc32.Castagnoli)))
}

func TestHandoverCommandsHaveGoldenBytes(t *testing.T) {
	config, previous := &shard.Config{Num: 1}, &shard.Config{}
	encode := func(c *shard.Config) string {
		b := c.Append(nil)
		return fmt.Sprintf("%02x000000 %x", len(b), b)
	}
	for want, got := range map[string][]byte{
		"81 01 0000" + encode(config) + encode(previous):                         kv.AppendTakeConfig(nil, config, previous),
		"81 01 0000" + encode(config) + "00000000":                               kv.AppendTakeConfig(nil, config, nil),
		"81 02 0000 0500000000000000 0700000000000000 03000000 616263":           kv.AppendInstall(nil, 5, 7, []byte("abc")),
		"81 03 0000 0500000000000000 0700000000000000":                           kv.AppendRelease(nil, 5, 7),
		"81 04 0000 0500000000000000 0700000000000000 02000000 0000100000000000": kv.AppendFreeze(nil, 5, 7, 2, 1<<20),
	} {
		require.Equal(t, golden.Hex(want), got)
	}
}

func TestAStreamIsTheSameHoweverItIsCut(t *testing.T) {
	_, _, o := goldenMove(t)
	whole := entriesOf(t, o, 1<<20)
	for limit := range 400 {
		require.Equal(t, whole, entriesOf(t, o, limit), "limit %d", limit)
	}
}

// entriesOf returns the entries of a stream that is cut by a limit.
func entriesOf(t *testing.T, o *kv.Outgoing, limit int) []byte {
	t.Helper()
	var all, cursor []byte
	for {
		chunk, err := o.Chunk(cursor, limit)
		require.NoError(t, err)
		h, err := kv.ReadChunkHead(chunk)
		require.NoError(t, err)
		require.Equal(t, kv.ChunkHead{
			Config: 2, From: 1, To: 2, LogTime: epoch, Start: h.Start, Next: h.Next, Last: h.Last,
		}, h)
		require.Equal(t, string(cursor), string(h.Start))
		all = append(all, chunk[36+4+len(h.Start)+4+len(h.Next)+4:len(chunk)-4]...)
		if h.Last {
			return all
		}
		require.NotEqual(t, string(cursor), string(h.Next), "every chunk has an entry")
		cursor = h.Next
	}
}

func TestACursorOfAnotherStreamIsRefused(t *testing.T) {
	_, _, o := goldenMove(t)
	for name, cursor := range map[string]string{
		"unknown kind":         "05 00000000 0700",
		"kind of the start":    "00",
		"no batch":             "04 00",
		"start of batch 0":     "04 00000000",
		"another batch":        "04 01000000",
		"shard of another one": "03 01000000 0700",
		"cut":                  "03 00000000 07",
		"trailing":             "03 00000000 070000",
		"no shard":             "03 00000000 0040",
		"another shard":        "03 00000000 0800",
		"another session":      "01 00000000 0068e5cf8b010000 0900000000000000",
		"impossible session":   "01 00000000 ffffffffffffffff 0900000000000000",
		"another key":          "02 00000000 c513" + fmt.Sprintf("%x", "{bar}1"),
		"key of another shard": "02 00000000 0700 626172",
		"key of no shard here": "02 00000000" + fmt.Sprintf("%x%x", binary.LittleEndian.AppendUint16(nil, uint16(shard.Of([]byte("stays")))), "stays"),
	} {
		_, err := o.Chunk(golden.Hex(cursor), 1000)
		require.ErrorContains(t, err, "batch 0 of config 2 to group 2: ", name)
	}
}

func TestADamagedChunkChangesNothing(t *testing.T) {
	a, b, o := goldenMove(t)
	chunk, err := o.Chunk(nil, 1<<20)
	require.NoError(t, err)
	install := func(chunk []byte) string { return b.apply(kv.AppendInstall(nil, 2, 1, chunk)) }
	before := b.store.Handover()
	refused := func(reason string, chunk []byte) {
		t.Helper()
		require.Contains(t, install(chunk), "-"+kv.CodeBadChunk+" config 2, group 1: ", reason)
		require.Equal(t, before, b.store.Handover(), reason)
		require.Equal(t, 0, b.store.Keys()+b.store.Sessions(), reason)
	}
	for n := range chunk {
		bad := bytes.Clone(chunk)
		bad[n] ^= 0x10
		refused(fmt.Sprintf("bit of byte %d", n), bad)
		refused(fmt.Sprintf("cut at %d", n), chunk[:n])
	}

	// With a checksum that is right.
	const fixed = 36 + 4 + 4 + 7 + 4
	body := chunk[fixed : len(chunk)-4]
	remake := func(last bool, next string, entries ...[]byte) []byte {
		c := bytes.Clone(chunk[:36+4])
		c[1] = 0
		if last {
			c[1] = 1
		}
		n := golden.Hex(next)
		c = append(binary.LittleEndian.AppendUint32(c, uint32(len(n))), n...)
		all := bytes.Join(entries, nil)
		c = append(binary.LittleEndian.AppendUint32(c, uint32(len(all))), all...)
		return seal(c)
	}
	require.Equal(t, chunk, remake(true, "03 00000000 962f", body))
	sessions, mark7 := body[:36+28], body[36+28:36+28+3]
	shards := body[36+28+3:]
	bar, foo := shards[:21+3], shards[21+3:]
	for reason, bad := range map[string][]byte{
		"not the end, and all is there":    remake(false, "03 00000000 962f", body),
		"the end, and shards missing":      remake(true, "03 00000000 0700", sessions, mark7),
		"another next":                     remake(true, "03 00000000 c513", body),
		"no next":                          remake(true, "", body),
		"nothing":                          remake(false, ""),
		"the next batch, and all is there": remake(false, "04 01000000", body),
		"the one after the next batch":     remake(false, "04 02000000", sessions, mark7),
		"the next batch inside a shard":    remake(false, "04 01000000", sessions, mark7, bar[:21]),
		"a mark twice":                     remake(true, "03 00000000 962f", sessions, mark7, mark7, bar, foo),
		"an item behind its mark":          remake(true, "03 00000000 962f", sessions, mark7, bar, bar, foo),
		"a session behind a shard":         remake(true, "03 00000000 962f", mark7, sessions, bar, foo),
		"a session twice":                  remake(true, "03 00000000 962f", sessions[:36], sessions, mark7, bar, foo),
		"an item twice":                    remake(true, "03 00000000 962f", sessions, mark7, bar[:21], bar, foo),
		"a shard inside another":           remake(true, "03 00000000 c513", sessions, mark7, foo[:len(foo)-3], bar, foo[len(foo)-3:]),
		"a shard of somebody else":         remake(true, "03 00000000 962f", sessions, []byte{3, 9, 0}, mark7, bar, foo),
		"no shard":                         remake(true, "03 00000000 962f", sessions, []byte{3, 0, 0x40}, mark7, bar, foo),
		"an unknown entry":                 remake(true, "03 00000000 962f", sessions, []byte{4}, mark7, bar, foo),
	} {
		refused(reason, bad)
	}
	for name, at := range map[string]int{"config": 4, "from": 12, "to": 20} {
		bad := bytes.Clone(chunk[:len(chunk)-4])
		bad[at]++
		refused("another "+name, seal(bad))
	}
	require.Equal(t, "+OK\r\n", install(chunk))
	require.Contains(t, install(chunk), "-"+kv.CodeStaleChunk+" ")
	require.Equal(t, "$1\r\n2\r\n", b.do("GET foo"))
	require.Equal(t, ":1\r\n", a.do("DBSIZE"))
}

func TestALimitIsKept(t *testing.T) {
	c := configs(give(1, 0, shard.Count-1), give(2, 0, shard.Count-1))
	a, b := newGroup(t, 1), newGroup(t, 2)
	a.take(c[1], c[0])
	for i := range 200 {
		a.doArgs([][]byte{[]byte("SET"), fmt.Appendf(nil, "{%d}%d", i%3, i), []byte(strings.Repeat("v", i*i))})
	}
	for i := range 50 {
		a.do(once(kv.NewSessionID(epoch, uint64(i)), 1, "{0}", "SET {0} x"))
	}
	a.take(c[2], nil)
	b.take(c[2], c[1])
	a.freeze(2, 2, 0)
	o, _ := a.store.Outgoing(2, 2, 0)
	for _, limit := range []int{5000, 1 << 16, kv.MaxChunk, 10 * kv.MaxChunk} {
		var cursor []byte
		for {
			chunk, err := o.Chunk(cursor, limit)
			require.NoError(t, err)
			h, _ := kv.ReadChunkHead(chunk)
			if len(chunk) > min(limit, kv.MaxChunk) {
				require.Less(t, len(chunk), 200*200+200, "one entry that is larger")
			}
			if cursor = h.Next; h.Last {
				break
			}
		}
	}
}

// TestNothingHoldsTheMemoryOfAChunk: a store copies what it keeps.
func TestNothingHoldsTheMemoryOfAChunk(t *testing.T) {
	_, b, o := goldenMove(t)
	chunk, err := o.Chunk(nil, 1<<20)
	require.NoError(t, err)
	command := kv.AppendInstall(nil, 2, 1, chunk)
	require.Equal(t, "+OK\r\n", b.apply(command))
	digest := b.store.Digest()
	clear(command)
	require.Equal(t, digest, b.store.Digest())
}

// FuzzInstall: whatever stands in the log, nothing worse than an error comes of it,
// and what comes of it is a state that a snapshot can hold.
func FuzzInstall(f *testing.F) {
	var chunks [][]byte
	_, b, o := goldenMove(&testing.T{})
	fresh := records(f, b.store.Image())
	for _, limit := range []int{1, 150, 1000} {
		chunk, _ := o.Chunk(nil, limit)
		chunks = append(chunks, chunk)
	}
	for _, chunk := range chunks {
		f.Add(kv.AppendInstall(nil, 2, 1, chunk), kv.AppendInstall(nil, 2, 1, chunk))
	}
	next := kv.AppendTakeConfig(nil, configs(give(1, 0, shard.Count-1), give(2, 0, shard.Count-1), give(3, 0, 9))[3], nil)
	f.Add(next, kv.AppendFreeze(nil, 3, 3, 0, 1000))
	f.Add(kv.AppendRelease(nil, 2, 2), kv.AppendTakeConfig(nil, &shard.Config{Num: 3}, nil))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		store, err := restore(fresh)
		require.NoError(t, err)
		b := &machine{t: t, store: store, now: epoch}
		for _, command := range [][]byte{first, second} {
			if len(command) > 30 && command[0] == 0x81 && command[1] == 2 {
				// A checksum that is right, so that what is behind it is tried.
				end := len(command) - 4
				if start := 24; end > start {
					binary.LittleEndian.PutUint32(command[end:], crc32.Checksum(command[start:end], crc32.MakeTable(crc32.Castagnoli)))
				}
			}
			b.apply(command)
		}
		require.Equal(t, store.Digest(), copyOf(t, store).Digest())
	})
}

// FuzzCursor: a source answers any cursor with a chunk or an error.
func FuzzCursor(f *testing.F) {
	_, _, o := goldenMove(&testing.T{})
	f.Add([]byte{3, 0, 0, 0, 0, 7, 0}, 10)
	f.Add([]byte{2, 0, 0, 0, 0, 0xc5, 0x13, 'b', 'a', 'r'}, 100)
	f.Fuzz(func(t *testing.T, cursor []byte, limit int) {
		chunk, err := o.Chunk(cursor, limit)
		if err != nil {
			return
		}
		h, err := kv.ReadChunkHead(chunk)
		require.NoError(t, err)
		require.Equal(t, string(cursor), string(h.Start))
		if !h.Last {
			_, err = o.Chunk(h.Next, limit)
			require.NoError(t, err)
		}
	})
}

func TestASessionThatIsOverIsNotTakenIn(t *testing.T) {
	_, b, o := goldenMove(t)
	b.sleep(kv.SessionLifetime + time.Second)
	chunk, err := o.Chunk(nil, 1<<20)
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", b.apply(kv.AppendInstall(nil, 2, 1, chunk)))
	require.Zero(t, b.store.Sessions())
	require.Contains(t, b.do(once(kv.NewSessionID(epoch, 7), 3, "foo", "INCR foo")), "-SESSIONEXPIRED")
	require.Equal(t, "_\r\n", b.do("GET bar"), "nor is a key that has expired on its way there")
}
