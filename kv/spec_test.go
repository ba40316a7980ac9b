package kv_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// read turns a reply into a value.
func read(t *testing.T, reply []byte) resp.Value {
	t.Helper()
	requireReply(t, reply)
	v, err := resp.NewReplyReader(strings.NewReader(string(reply)), resp.ReplyOptions{}).ReadReply()
	require.NoError(t, err)
	return v
}

func TestLookupKnowsEveryCommandInAnyCase(t *testing.T) {
	require.NotEmpty(t, kv.Commands().All())
	for _, s := range kv.Commands().All() {
		for _, name := range []string{s.Name, strings.ToUpper(s.Name)} {
			found, ok := kv.Lookup([]byte(name))
			require.True(t, ok)
			require.Same(t, s, found)
		}
		require.Equal(t, strings.ToLower(s.Name), s.Name)
		require.NotEmpty(t, s.Summary, s.Name)
		require.NotEmpty(t, s.Since, s.Name)
		require.NotEmpty(t, s.Group, s.Name)
		if len(s.Subcommands) > 0 {
			require.False(t, s.IsWrite())
			for _, sub := range s.Subcommands {
				require.NotZero(t, sub.Flags&kv.ReadOnly, sub.Name)
			}
			continue
		}
		require.NotEqual(t, s.IsWrite(), s.Flags&kv.ReadOnly != 0, "%s is a read or a write", s.Name)
	}
	_, ok := kv.Lookup([]byte(strings.Repeat("x", 1000)))
	require.False(t, ok)
	_, ok = kv.Lookup(nil)
	require.False(t, ok)
}

func TestKeysAreFoundByTheTable(t *testing.T) {
	for line, want := range map[string][]string{
		"GET a": {"a"}, "SET a v EX 1": {"a"}, "DEL a b c": {"a", "b", "c"}, "MSET a 1 b 2": {"a", "b"}, "DBSIZE": nil, "SCAN 0": nil,
	} {
		a := args(t, line)
		s, ok := kv.Lookup(a[0])
		require.True(t, ok)
		var got []string
		for _, key := range s.Keys(a) {
			got = append(got, string(key))
		}
		require.Equal(t, want, got, line)
	}
}

func TestSubcommandsAreCommands(t *testing.T) {
	m := newMachine(t)
	m.do("SET {k}a v")
	p, refusal := kv.Prepare(args(t, "object ENCODING {k}a"))
	require.Nil(t, refusal)
	require.Equal(t, shard.Of([]byte("k")), p.Shard)
	require.True(t, p.Keyed)
	require.Equal(t, "object", p.Spec.Name)
	s, ok := kv.Find(args(t, "OBJECT encoding {k}a"))
	require.True(t, ok)
	require.Equal(t, [][]byte{[]byte("{k}a")}, s.Keys(args(t, "OBJECT encoding {k}a")))
	require.True(t, kv.Executes(args(t, "CLUSTER COUNTKEYSINSLOT 1")))
	require.False(t, kv.Executes(args(t, "CLUSTER SLOTS")))
	require.Equal(t, "*2\r\n+OK\r\n$3\r\nint\r\n", m.do("DISKV.EXEC {k} 0 3 SET {k}a 17 3 OBJECT ENCODING {k}a"))
	require.Equal(t, "-ERR unknown subcommand 'NONE'. Try OBJECT HELP.\r\n", m.do("DISKV.EXEC {k} 0 3 OBJECT NONE {k}a"))
	require.Equal(t, "-CROSSSLOT Keys in request don't hash to the same slot\r\n", m.do("DISKV.EXEC {other} 0 3 OBJECT ENCODING {k}a"))
	once := kv.Command{Session: kv.NewSessionID(epoch, 1), Seq: 1, Args: args(t, "OBJECT ENCODING {k}a")}
	require.Equal(t, "{k}a", string(once.Words()[1]))

	table := kv.Commands().With(&kv.Spec{Name: "object", Arity: -2, Subcommands: []*kv.Spec{{Name: "more"}, {Name: "freq"}}})
	both, _ := table.Lookup([]byte("object"))
	require.Len(t, both.Subcommands, 6)
	require.Len(t, both.Subcommands[1].Keys(args(t, "OBJECT FREQ k")), 1, "that of this package")
}

func TestCommandInfoHasTheShapeOfRedis7(t *testing.T) {
	for _, s := range kv.Commands().All() {
		v := read(t, s.AppendInfo(nil))
		require.Len(t, v.Elems, 10, s.Name)
		require.Equal(t, s.Name, string(v.Elems[0].Str))
		require.Equal(t, resp.KindSet, v.Elems[2].Kind)
		require.NotEmpty(t, v.Elems[6].Elems)
		require.Len(t, v.Elems[9].Elems, len(s.Subcommands))
	}
	s, _ := kv.Lookup([]byte("mset"))
	require.Equal(t, strings.ReplaceAll("*10|$4|mset|:-3|~2|+write|+denyoom|:1|:-1|:2|~3|+@string|+@write|+@slow|*0|"+
		"*1|%3|$5|flags|~2|+RW|+UPDATE|$12|begin_search|%2|$4|type|$5|index|$4|spec|%1|$5|index|:1|"+
		"$9|find_keys|%2|$4|type|$5|range|$4|spec|%3|$7|lastkey|:-1|$7|keystep|:2|$5|limit|:0|*0|", "|", "\r\n"),
		string(s.AppendInfo(nil)))
}

func TestAServerAddsItsOwnCommands(t *testing.T) {
	table := kv.Commands().With(
		&kv.Spec{Name: "ping", Arity: -1, Flags: kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)", Summary: "Ping the server"},
		&kv.Spec{
			Name: "latency", Arity: -2, Group: "latency", Since: "3.0.0", Complexity: "Depends.", Summary: "A container",
			Subcommands: []*kv.Spec{{Name: "slots", Arity: 2, Group: "latency", Since: "3.0.0", Complexity: "O(N)", Summary: "Slots"}},
		},
	)
	require.Len(t, table.All(), len(kv.Commands().All())+2)
	ping, ok := table.Lookup([]byte("PING"))
	require.True(t, ok)
	require.False(t, ping.IsWrite())
	_, ok = kv.Lookup([]byte("PING"))
	require.False(t, ok, "the data commands stay as they are")

	latency, ok := table.Lookup([]byte("latency"))
	require.True(t, ok)
	info := read(t, latency.AppendInfo(nil))
	require.Equal(t, "latency|slots", string(info.Elems[9].Elems[0].Elems[0].Str))
	docs := latency.AppendDocs(resp.AppendMap(nil, 1))
	require.Equal(t, strings.ReplaceAll("%1|$7|latency|%5|$7|summary|$11|A container|$5|since|$5|3.0.0|$5|group|$7|latency|"+
		"$10|complexity|$8|Depends.|$11|subcommands|%1|$13|latency|slots|%4|$7|summary|$5|Slots|$5|since|$5|3.0.0|"+
		"$5|group|$7|latency|$10|complexity|$4|O(N)|", "|", "\r\n"),
		strings.ReplaceAll(string(docs), "latency|slots", "latency\r\nslots"))
}

func TestFlagsHaveTheWordsOfRedis(t *testing.T) {
	require.Equal(t, []string{"write", "denyoom", "fast"}, (kv.Write | kv.DenyOOM | kv.Fast).Words())
	require.Equal(t, []string{"movablekeys"}, kv.MovableKeys.Words())
	s, _ := kv.Lookup([]byte("scan"))
	require.Equal(t, []string{"readonly"}, s.Flags.Words())
}
