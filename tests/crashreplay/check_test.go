package crashreplay

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told makes a history of one key: operations one after the other, 10 ns each.
func told(ops ...Op) []Op {
	for i := range ops {
		o := &ops[i]
		o.Key = "k"
		if o.Call == 0 {
			o.Call, o.Return = time.Duration(20*i+10), time.Duration(20*i+20)
		}
		if o.Outcome == "" {
			o.Outcome = OK
		}
	}
	return ops
}

func TestHistoriesAreChecked(t *testing.T) {
	put := func(s string) Op { return Op{Verb: Put, Arg: s} }
	get := func(s string) Op { return Op{Verb: Get, Text: s} }
	nothing := Op{Verb: Get, Null: true}
	add := func(s string, n int64) Op { return Op{Verb: Append, Arg: s, Number: n} }
	as := func(o Op, is Outcome) Op { o.Outcome = is; return o }
	for _, c := range []struct {
		name string
		ops  []Op
		want string // in the finding; empty: there is none
	}{
		{"nothing", nil, ""},
		{"writes and reads", told(nothing, put("a"), get("a"), Op{Verb: Delete, Number: 1}, nothing, Op{Verb: Delete}), ""},
		{"a lost write", told(put("a"), put("b"), get("a")), "not linearizable"},
		{"a lost first write", told(put("a"), nothing), "not linearizable"},
		{"a stale read", told(put("a"), get("a"), put("b"), get("b"), get("a")), "not linearizable"},
		{"a read of what nobody wrote", told(put("a"), get("c")), "not linearizable"},
		{"a read while it is written", told(put("a"), Op{Verb: Put, Arg: "b", Call: 100, Return: 500}, Op{Verb: Get, Text: "b", Call: 150, Return: 160}, Op{Verb: Get, Text: "b", Call: 170, Return: 180}), ""},
		{"read, and gone again", told(put("a"), Op{Verb: Put, Arg: "b", Call: 100, Return: 500}, Op{Verb: Get, Text: "b", Call: 150, Return: 160}, Op{Verb: Get, Text: "a", Call: 170, Return: 180}), "not linearizable"},
		{"without an answer, it happens late", told(put("a"), as(put("b"), Unknown), get("a"), get("a"), get("b")), ""},
		{"without an answer, it happens never", told(put("a"), as(put("b"), Unknown), get("a")), ""},
		{"without an answer, it happens once", told(put("a"), as(put("b"), Unknown), get("b"), put("c"), get("b")), "not linearizable"},
		{"refused, and it happened", told(put("a"), as(put("b"), Refused), get("b")), "not linearizable"},
		{"appends", told(add("1;", 2), add("2;", 4), get("1;2;")), ""},
		{"a doubled append", told(add("1;", 2), add("2;", 4), get("1;2;2;")), `"2;" was appended once and is there 2 times`},
		{"a doubled append that nobody has read", told(add("1;", 4)), "not linearizable"},
		{"a lost append", told(add("1;", 2), add("2;", 4), get("1;")), `"2;" was acknowledged, and it is not there later`},
		{"an append without an answer, twice", told(as(add("1;", 0), Unknown), get("1;1;")), `"1;" was appended once and is there 2 times`},
		{"a refused append", told(as(add("1;", 0), Refused), add("2;", 4), get("1;2;")), `"1;" was refused, and it is there`},
		{"an append inside another's mark", told(add("11;", 3), add("1;", 5), get("11;1;")), ""},
		{"counts", told(Op{Verb: Incr, Number: 1}, as(Op{Verb: Incr}, Unknown), Op{Verb: Incr, Number: 3}, get("3")), ""},
		{"a doubled count", told(Op{Verb: Incr, Number: 1}, Op{Verb: Incr, Number: 3}), "not linearizable"},
		{"a lost count", told(Op{Verb: Incr, Number: 1}, Op{Verb: Incr, Number: 1}), "not linearizable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, undecided := CheckKey(c.ops, time.Minute)
			require.False(t, undecided)
			if c.want == "" {
				require.Nil(t, found)
				return
			}
			require.NotNil(t, found)
			require.Contains(t, found.Text, c.want)
			require.Contains(t, found.String(), "key k: ")
			picture := filepath.Join(t.TempDir(), pictureName)
			require.NoError(t, found.WritePicture(picture))
			b, err := os.ReadFile(picture)
			require.NoError(t, err)
			require.Contains(t, string(b), "<html")
		})
	}
}

// TestKeptHistoryIsCheckedAgain: the file holds all that the check needs.
func TestKeptHistoryIsCheckedAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), historyName)
	h, err := createHistory(name)
	require.NoError(t, err)
	ops := []Op{
		{Key: "good", Client: 1, Verb: Put, Arg: "a", Call: 1, Return: 2, Outcome: OK},
		{Key: "bad", Client: 1, Verb: Put, Arg: "a", Call: 3, Return: 4, Outcome: OK},
		{Key: "good", Client: 2, Verb: Get, Text: "a", Call: 5, Return: 6, Outcome: OK},
		{Key: "bad", Client: 2, Verb: Get, Null: true, Call: 7, Return: 8, Outcome: OK},
		{Key: "bad", Client: 2, Verb: Put, Arg: "b", Call: 9, Return: 10, Outcome: Unknown, Why: "it <was> cut off"},
	}
	for _, o := range ops {
		h.add(o)
	}
	require.NoError(t, h.close())
	var read []Op
	require.NoError(t, ReadHistory(name, func(o Op) error { read = append(read, o); return nil }))
	require.Equal(t, ops, read)
	r, err := CheckHistory(name, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 5, r.Operations)
	require.Equal(t, 2, r.Keys)
	require.Empty(t, r.Undecided)
	require.Len(t, r.Findings, 1)
	require.Equal(t, "bad", r.Findings[0].Key)

	require.NoError(t, os.WriteFile(name, []byte("{\"k\":\"a\"}\n{\"k"), 0o600))
	_, err = CheckHistory(name, time.Minute)
	require.ErrorContains(t, err, "operation 2")
}
