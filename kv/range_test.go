package kv_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

func TestRangeReturnsKeysInOrder(t *testing.T) {
	const (
		syntax    = "-ERR syntax error\r\n"
		crossSlot = "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
	)
	m := newMachine(t)
	m.do("MSET {a}3 three {a}1 one {a}2 two x{a} x")
	m.do("SET other v")
	for line, want := range map[string]string{
		"DISKV.RANGE {a} {b}":               crossSlot,
		"DISKV.RANGE {a}1 {a}3":             "*2|_|*4|$4|{a}1|$3|one|$4|{a}2|$3|two|",
		"diskv.range {a}1 {a}3 rev":         "*2|_|*4|$4|{a}2|$3|two|$4|{a}1|$3|one|",
		"DISKV.RANGE {a}0 {a}9 LIMIT 2":     "*2|$4|{a}3|*4|$4|{a}1|$3|one|$4|{a}2|$3|two|",
		"DISKV.RANGE {a}3 {a}9 LIMIT 2":     "*2|_|*2|$4|{a}3|$5|three|",
		"DISKV.RANGE {a}0 {a}9 REV LIMIT 2": "*2|$4|{a}2|*4|$4|{a}3|$5|three|$4|{a}2|$3|two|",
		"DISKV.RANGE {a}0 {a}2 REV LIMIT 2": "*2|_|*2|$4|{a}1|$3|one|",
		"DISKV.RANGE {a}0 {a}9 LIMIT 3":     "*2|_|*6|$4|{a}1|$3|one|$4|{a}2|$3|two|$4|{a}3|$5|three|",
		"DISKV.RANGE {a}3 {a}1":             "*2|_|*0|",
		"DISKV.RANGE {a}3 {a}1 REV":         "*2|_|*0|",
		"DISKV.RANGE {a}1 {a}1":             "*2|_|*0|",
		"DISKV.RANGE {a}1 {a}1 REV":         "*2|_|*0|",
		"DISKV.RANGE a{a} {a}1":             "*2|_|*2|$4|x{a}|$1|x|",
		"DISKV.RANGE {a}1":                  "-ERR wrong number of arguments for 'diskv.range' command|",
		"DISKV.RANGE {a}1 {a}3 LIMIT":       syntax,
		"DISKV.RANGE {a}1 {a}3 LIMIT x":     "-ERR value is not an integer or out of range|",
		"DISKV.RANGE {a}1 {a}3 LIMIT 0":     "-ERR LIMIT has to be positive|",
		"DISKV.RANGE {a}1 {a}3 WITHVALUES":  syntax,
		"DISKV.RANGE other other":           "*2|_|*0|",
		"DISKV.RANGE {none}1 {none}3":       "*2|_|*0|",
	} {
		require.Equal(t, strings.ReplaceAll(want, "|", "\r\n"), m.do(line), line)
	}
	p, refusal := kv.Prepare(args(t, "DISKV.RANGE {a}1 {a}3"))
	require.Nil(t, refusal)
	require.False(t, p.Write)
	require.Equal(t, shard.Of([]byte("a")), p.Shard)
}

// sameShard returns a key without a tag that is in the shard of the tag a.
func sameShard() string {
	for i := 0; ; i++ {
		if key := "k" + strconv.Itoa(i); shard.Of([]byte(key)) == shard.Of([]byte("a")) {
			return key
		}
	}
}

func TestRangeReturnsNoKeysOfAnotherTag(t *testing.T) {
	m := newMachine(t)
	stranger := sameShard()
	m.do("SET " + stranger + " v")
	m.do("SET j{a} v")
	m.do("SET l{a} v")
	require.Equal(t, []string{"j{a}", "l{a}"}, pages(t, m, "j{a}", "m{a}", 1, false))
	require.Equal(t, []string{"l{a}", "j{a}"}, pages(t, m, "j{a}", "m{a}", 1, true))
}

// pages reads a whole range, so many keys at a time.
func pages(t *testing.T, m *machine, start, end string, limit int, reverse bool) []string {
	t.Helper()
	var keys []string
	for {
		a := [][]byte{[]byte("DISKV.RANGE"), []byte(start), []byte(end), []byte("LIMIT"), strconv.AppendInt(nil, int64(limit), 10)}
		if reverse {
			a = append(a, []byte("REV"))
		}
		v := read(t, []byte(m.doArgs(a)))
		require.Len(t, v.Elems, 2, "%s", v.Str)
		require.LessOrEqual(t, len(v.Elems[1].Elems), 2*limit)
		for i := 0; i < len(v.Elems[1].Elems); i += 2 {
			keys = append(keys, string(v.Elems[1].Elems[i].Str))
		}
		next := v.Elems[0]
		switch {
		case next.IsNull():
			return keys
		case reverse:
			require.Less(t, string(next.Str), end, "it gets on")
			end = string(next.Str)
		default:
			require.Greater(t, string(next.Str), start, "it gets on")
			start = string(next.Str)
		}
	}
}

func TestRangePagesJoin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 5))
	for range 300 {
		m := newMachine(t)
		var keys []string
		for range rnd.IntN(40) {
			key := fmt.Sprintf("{t}%d", rnd.IntN(100))
			m.do("SET " + key + " v")
			if rnd.IntN(4) == 0 {
				m.do("PEXPIRE " + key + " 10")
				keys = slices.DeleteFunc(keys, func(k string) bool { return k == key })
			} else if !slices.Contains(keys, key) {
				m.do("PERSIST " + key)
				keys = append(keys, key)
			}
		}
		m.sleep(20 * time.Millisecond)
		slices.Sort(keys)
		start, end := fmt.Sprintf("{t}%d", rnd.IntN(100)), fmt.Sprintf("{t}%d", rnd.IntN(100))
		var want []string
		for _, key := range keys {
			if key >= start && key < end {
				want = append(want, key)
			}
		}
		require.Equal(t, want, pages(t, m, start, end, 1+rnd.IntN(12), false))
		slices.Reverse(want)
		require.Equal(t, want, pages(t, m, start, end, 1+rnd.IntN(12), true))
	}
}

func TestRangeIsBounded(t *testing.T) {
	m := newMachine(t)
	value := strings.Repeat("x", 100_000)
	for i := range 40 {
		m.doArgs([][]byte{[]byte("SET"), fmt.Appendf(nil, "{t}%02d", i), []byte(value)})
	}
	v := read(t, []byte(m.do("DISKV.RANGE {t} {t}~")))
	require.Equal(t, "{t}11", string(v.Elems[0].Str), "a little more than 1 MiB")
	require.Len(t, v.Elems[1].Elems, 22)
	require.Len(t, pages(t, m, "{t}", "{t}~", 100, false), 40)
	require.Len(t, pages(t, m, "{t}", "{t}~", 100, true), 40)

	for i := range 10_500 {
		m.do(fmt.Sprintf("SET {u}%05d v", i))
	}
	v = read(t, []byte(m.do("DISKV.RANGE {u} {u}~")))
	require.Len(t, v.Elems[1].Elems, 2*1000)
	v = read(t, []byte(m.do("DISKV.RANGE {u} {u}~ LIMIT 1000000")))
	require.Len(t, v.Elems[1].Elems, 2*10_000)
	require.Equal(t, resp.KindBulk, v.Elems[0].Kind)
}

func TestRangeLeavesNothingOpen(t *testing.T) {
	m := newMachine(t)
	m.do("SET {t}1 v PX 10")
	_, ok := query(t, m.store, epoch+20*int64(time.Millisecond), "DISKV.RANGE {t}0 {t}9")
	require.False(t, ok, "whether the key is there depends on whether its time has come in the log")
	m.sleep(20 * time.Millisecond)
	require.Equal(t, "*2\r\n_\r\n*0\r\n", m.do("DISKV.RANGE {t}0 {t}9"))
}
