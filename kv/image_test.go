package kv_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/kv"
)

// randomLines is a source of commands over few keys, so that they meet.
type randomLines struct {
	*rand.Rand
	sessions []kv.SessionID
	seqs     []int
}

func (r *randomLines) line(m *machine) string {
	key := func() string { return fmt.Sprintf("{%d}%d", r.IntN(8), r.IntN(4)) }
	k := key()
	var line string
	switch r.IntN(12) {
	case 0, 1:
		line = fmt.Sprintf("SET %s %d", k, r.IntN(1000))
	case 2:
		line = fmt.Sprintf("SET %s %s PX %d", k, strings.Repeat("v", r.IntN(50)), 1+r.IntN(500))
	case 3:
		line = fmt.Sprintf("SET %s v KEEPTTL XX GET", k)
	case 4, 5:
		line = fmt.Sprintf("APPEND %s %d", k, r.IntN(1000))
	case 6:
		line = fmt.Sprintf("INCRBY %s %d", k, r.IntN(100)-50)
	case 7:
		line = fmt.Sprintf("PEXPIRE %s %d", k, r.IntN(500))
	case 8:
		line = "PERSIST " + k
	case 9:
		line = fmt.Sprintf("DEL %s %s", k, k[:3]+"0")
	case 10:
		line = fmt.Sprintf("MSET %s a %s b", k, k[:3]+"1")
	default:
		line = "GET " + k
	}
	if r.IntN(3) > 0 {
		return line
	}
	if len(r.sessions) < 5 || r.IntN(20) == 0 {
		r.sessions = append(r.sessions, kv.NewSessionID(m.now, r.Uint64()))
		r.seqs = append(r.seqs, 0)
	}
	i := r.IntN(len(r.sessions))
	r.seqs[i] = max(r.seqs[i]+r.IntN(4)-1, 1) // older, the same, the next, a later one
	return once(r.sessions[i], r.seqs[i], k, line)
}

func TestTheSameLogGivesTheSameStateAlsoFromAnImage(t *testing.T) {
	for seed := range uint64(20) {
		m := newMachine(t)
		rnd := &randomLines{Rand: rand.New(rand.NewPCG(seed, 1))}
		cut := rnd.IntN(600)
		var image [][]byte
		var replies []string
		for i := range 600 {
			if i == cut {
				image = records(t, m.store.Image())
				m.log = nil
				replies = nil
			}
			before := len(m.log)
			reply := m.do(rnd.line(m))
			if len(m.log) > before && m.log[len(m.log)-1].command != nil {
				replies = append(replies, reply)
			}
			m.sleep(time.Duration(rnd.IntN(int(50 * time.Millisecond))))
			if rnd.IntN(100) == 0 {
				m.sleep(20 * time.Minute)
			}
		}
		later, err := restore(image)
		require.NoError(t, err)
		require.Equal(t, replies, replay(later, later.Slot(), m.log), "seed %d", seed)
		require.Equal(t, m.store.Digest(), later.Digest(), "seed %d", seed)
		require.Equal(t, m.store.Keys(), later.Keys())
		require.Equal(t, m.store.Expires(), later.Expires())
		require.Equal(t, m.store.Sessions(), later.Sessions())
		require.Equal(t, m.store.Bytes(), later.Bytes())
	}
}

func TestTheDigestCoversEverything(t *testing.T) {
	base := func(more ...string) [32]byte {
		m := newMachine(t)
		m.do("SET k v")
		for _, line := range more {
			m.do(line)
		}
		if len(more) == 0 {
			m.begin()
		}
		return m.store.Digest()
	}
	seen := map[[32]byte]string{}
	id := kv.NewSessionID(epoch, 7)
	for _, line := range []string{"", "SET k w", "SET l v", "EXPIRE k 10", "EXPIRE k 11", "DEL k", once(id, 1, "k", "STRLEN k"), once(id, 2, "k", "STRLEN k")} {
		var d [32]byte
		if line == "" {
			d = base()
		} else {
			d = base(line)
		}
		require.NotContains(t, seen, d, "%q and %q", line, seen[d])
		seen[d] = line
	}
	s := kv.New()
	s.Begin(1, epoch)
	before := s.Digest()
	s.Begin(1, epoch+1)
	require.NotEqual(t, before, s.Digest(), "log time")
}

func TestAnImageStaysAsItWas(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	for i := range 2000 {
		m.do(fmt.Sprintf("SET key%d value%d", i, i))
	}
	m.do(once(id, 1, "n", "INCR n"))
	m.do("APPEND grows a")
	m.do("APPEND grows b")
	image := m.store.Image()
	before := records(t, image)

	done := make(chan [][]byte)
	go func() { // while the store goes on
		var during [][]byte
		_ = image.Records(func(record []byte) error {
			during = append(during, append([]byte(nil), record...))
			return nil
		})
		done <- during
	}()
	for i := range 2000 {
		m.do(fmt.Sprintf("APPEND key%d more", i))
		m.do(fmt.Sprintf("DEL key%d", i*7%2000))
		m.do("APPEND grows c")
	}
	m.do(once(id, 2, "n", "INCR n"))
	require.Equal(t, before, <-done)
	require.Equal(t, before, records(t, image))
	require.NotEqual(t, before, records(t, m.store.Image()))
}

func TestAppendingToARestoredValueLeavesItsNeighboursAlone(t *testing.T) {
	m := newMachine(t)
	for i := range 100 {
		m.do(fmt.Sprintf("SET {a}%02d value%02d", i, i))
	}
	m.store = copyOf(t, m.store)
	for i := range 100 {
		m.do(fmt.Sprintf("APPEND {a}%02d XXXX", i))
	}
	for i := range 100 {
		require.Equal(t, fmt.Sprintf("$11\r\nvalue%02dXXXX\r\n", i), m.do(fmt.Sprintf("GET {a}%02d", i)))
	}
}

func TestBytesIsWhatAnImageTakes(t *testing.T) {
	m := newMachine(t)
	check := func() {
		t.Helper()
		total := 0
		for _, r := range records(t, m.store.Image()) {
			total += len(r)
		}
		require.InDelta(t, total, m.store.Bytes(), float64(16+total/100))
		require.Equal(t, m.store.Bytes(), m.store.Image().Bytes())
	}
	check()
	id := kv.NewSessionID(m.now, 7)
	for i := range 3000 {
		m.do(fmt.Sprintf("SET key%d %s EX %d", i, strings.Repeat("v", i%200), 1+i%100))
		m.do(once(id, i+1, "n", "INCR n"))
	}
	check()
	for i := range 1000 {
		m.do(fmt.Sprintf("DEL key%d", i))
		m.do(fmt.Sprintf("APPEND key%d more", i*3))
		m.do(fmt.Sprintf("EXPIRE key%d 5", i*2))
	}
	check()
	m.sleep(2 * kv.SessionLifetime)
	for range 20 {
		m.begin()
	}
	check()
	require.Equal(t, 0, m.store.Sessions())
}

// goldenImage is an image in which every kind of record and entry occurs.
func goldenImage(tb testing.TB) ([][]byte, *kv.Store) {
	tb.Helper()
	s := kv.New()
	s.Begin(7, epoch)
	id := kv.NewSessionID(epoch, 0x0102030405060708)
	for _, c := range []kv.Command{
		{Args: args(tb, "SET foo bar")}, // shard 12182
		{Args: args(tb, "SET bar x PX 1000")},
		{Args: args(tb, "SET a x")}, // shard 15495
		{Args: args(tb, "DEL a")},
		{Args: args(tb, "INCR foo"), Session: id, Seq: 3},
	} {
		s.Apply(nil, c.Append(nil))
	}
	return records(tb, s.Image()), s
}

func TestImagesHaveGoldenBytes(t *testing.T) {
	got, s := goldenImage(t)
	integer := "-ERR value is not an integer or out of range\r\n"
	want := []string{
		"01000000 02000000 0700000000000000 00002a36fe9c9717",
		"02000000 02000000 0700000000000000 e86be5cf8b010000 03000000 626172 01000000 78" + // bar, shard 5061
			"0700000000000000 0000000000000000 03000000 666f6f 03000000 626172",
		"09000000 01000000 873c 0700000000000000",
		"03000000 01000000 0068e5cf8b010000 0807060504030201 0300000000000000 962f 00 00 2e000000" + fmt.Sprintf("%x", integer),
		"04000000 00000000 0200000000000000 0100000000000000",
	}
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, golden.Hex(want[i]), got[i], "record %d", i)
	}
	back, err := restore(got)
	require.NoError(t, err)
	require.Equal(t, s.Digest(), back.Digest())
}

func TestRestoreRefusesWhatIsNoImage(t *testing.T) {
	with := func(change func(r [][]byte) [][]byte) [][]byte {
		r, _ := goldenImage(t)
		return change(r)
	}
	tests := map[string][][]byte{
		"nothing":                  nil,
		"no end":                   with(func(r [][]byte) [][]byte { return r[:4] }),
		"no state":                 with(func(r [][]byte) [][]byte { return r[1:] }),
		"no keys":                  with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[3], r[4]} }),
		"no sessions":              with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[1], r[4]} }),
		"keys twice":               with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[1], r[1], r[3], r[4]} }),
		"sessions twice":           with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[1], r[2], r[3], r[3], r[4]} }),
		"sessions before keys":     with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[3], r[1], r[4]} }),
		"something behind":         with(func(r [][]byte) [][]byte { return append(r, r[4]) }),
		"two states":               with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[0], r[1], r[3], r[4]} }),
		"empty record":             with(func(r [][]byte) [][]byte { return append(r[:1], []byte{}) }),
		"kind 0":                   with(func(r [][]byte) [][]byte { r[1][0] = 0; return r }),
		"unknown kind":             with(func(r [][]byte) [][]byte { r[1][0] = 9; return r }),
		"reserved byte":            with(func(r [][]byte) [][]byte { r[1][2] = 1; return r }),
		"count too large":          with(func(r [][]byte) [][]byte { r[1][4] = 3; return r }),
		"count too small":          with(func(r [][]byte) [][]byte { r[1][4] = 1; return r }),
		"changed in the future":    with(func(r [][]byte) [][]byte { r[1][8] = 8; return r }),
		"removed in the future":    with(func(r [][]byte) [][]byte { r[2][10] = 8; return r }),
		"removed never":            with(func(r [][]byte) [][]byte { r[2][10] = 0; return r }),
		"removed from no shard":    with(func(r [][]byte) [][]byte { r[2][9] = 0x40; return r }),
		"removals twice":           with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[1], r[2], r[2], r[3], r[4]} }),
		"removals behind sessions": with(func(r [][]byte) [][]byte { return [][]byte{r[0], r[1], r[3], r[2], r[4]} }),
		"negative time":            with(func(r [][]byte) [][]byte { r[1][23] = 0x80; return r }),
		"key too long":             with(func(r [][]byte) [][]byte { r[1][26] = 2; return r }),
		"session without number":   with(func(r [][]byte) [][]byte { r[3][24] = 0; return r }),
		"session of no shard":      with(func(r [][]byte) [][]byte { r[3][33] = 0xff; return r }),
		"session with a flag":      with(func(r [][]byte) [][]byte { r[3][34] = 2; return r }),
		"reply kept and not":       with(func(r [][]byte) [][]byte { r[3][34] = 1; return r }),
		"end with a count":         with(func(r [][]byte) [][]byte { r[4][4] = 1; return r }),
	}
	for _, other := range []byte{1, 3} { // formats
		_, err := restore(with(func(r [][]byte) [][]byte { r[0][4] = other; return r }))
		require.ErrorContains(t, err, "a format of another release")
		require.NotErrorIs(t, err, kv.ErrRecord, "it is not damaged")
	}
	for name, rs := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := restore(rs)
			require.ErrorIs(t, err, kv.ErrRecord)
		})
	}
}

func TestErrorsOfTheCallerComeThrough(t *testing.T) {
	rs, s := goldenImage(t)
	errDisk := errors.New("disk")
	n := 0
	_, err := kv.Restore(func() ([]byte, error) {
		if n++; n > 2 {
			return nil, errDisk
		}
		return rs[n-1], nil
	})
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, kv.ErrRecord)
	require.Contains(t, err.Error(), "record 2")

	for stop := range len(rs) {
		n := 0
		err := s.Image().Records(func([]byte) error {
			if n++; n > stop {
				return errDisk
			}
			return nil
		})
		require.ErrorIs(t, err, errDisk)
		require.Equal(t, stop+1, n, "nothing is handed over behind an error")
	}
}

func FuzzRestore(f *testing.F) {
	rs, _ := goldenImage(f)
	f.Add(rs[0], rs[1], rs[2], rs[3], rs[4])
	f.Add(rs[0], rs[1], rs[3], rs[4], rs[4])
	f.Fuzz(func(t *testing.T, a, b, c, d, e []byte) {
		s, err := restore([][]byte{a, b, c, d, e})
		if err != nil {
			return
		}
		require.Equal(t, s.Digest(), copyOf(t, s).Digest())
	})
}

// filled returns the records of a store with n keys of 16 bytes and values of 100.
func filled(tb testing.TB, n int) [][]byte {
	tb.Helper()
	s := kv.New()
	s.Begin(1, epoch)
	value := []byte(strings.Repeat("v", 100))
	for i := range n {
		c := kv.Command{Args: [][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i), value}}
		s.Apply(nil, c.Append(nil))
	}
	return records(tb, s.Image())
}

func BenchmarkRestoreMillionKeys(b *testing.B) {
	rs := filled(b, 1_000_000)
	for b.Loop() {
		s, err := restore(rs)
		require.NoError(b, err)
		require.Equal(b, 1_000_000, s.Keys())
	}
}

func BenchmarkImageMillionKeys(b *testing.B) {
	s, err := restore(filled(b, 1_000_000))
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, s.Image().Records(func(record []byte) error {
			_, err := io.Discard.Write(record)
			return err
		}))
	}
}

// BenchmarkTakeImageMillionKeys: what the store's goroutine does for an image, and
// what the writes behind it pay.
func BenchmarkTakeImageMillionKeys(b *testing.B) {
	s, err := restore(filled(b, 1_000_000))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		s.Image()
	}
}
