package kv_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/kv"
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

func TestCommandInfoHasTheShapeOfRedis7(t *testing.T) {
	for _, s := range kv.Commands().All() {
		v := read(t, s.AppendInfo(nil))
		require.Len(t, v.Elems, 10, s.Name)
		require.Equal(t, s.Name, string(v.Elems[0].Str))
		require.Equal(t, resp.KindSet, v.Elems[2].Kind)
		require.NotEmpty(t, v.Elems[6].Elems)
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
			Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Complexity: "Depends.", Summary: "A container",
			Subcommands: []*kv.Spec{{Name: "slots", Arity: 2, Group: "cluster", Since: "3.0.0", Complexity: "O(N)", Summary: "Slots"}},
		},
	)
	require.Len(t, table.All(), len(kv.Commands().All())+2)
	ping, ok := table.Lookup([]byte("PING"))
	require.True(t, ok)
	require.False(t, ping.IsWrite())
	_, ok = kv.Lookup([]byte("PING"))
	require.False(t, ok, "the data commands stay as they are")

	cluster, ok := table.Lookup([]byte("cluster"))
	require.True(t, ok)
	info := read(t, cluster.AppendInfo(nil))
	require.Equal(t, "cluster|slots", string(info.Elems[9].Elems[0].Elems[0].Str))
	docs := cluster.AppendDocs(resp.AppendMap(nil, 1))
	require.Equal(t, strings.ReplaceAll("%1|$7|cluster|%5|$7|summary|$11|A container|$5|since|$5|3.0.0|$5|group|$7|cluster|"+
		"$10|complexity|$8|Depends.|$11|subcommands|%1|$13|cluster|slots|%4|$7|summary|$5|Slots|$5|since|$5|3.0.0|"+
		"$5|group|$7|cluster|$10|complexity|$4|O(N)|", "|", "\r\n"),
		strings.ReplaceAll(string(docs), "cluster|slots", "cluster\r\nslots"))
}

func TestFlagsHaveTheWordsOfRedis(t *testing.T) {
	require.Equal(t, []string{"write", "denyoom", "fast"}, (kv.Write | kv.DenyOOM | kv.Fast).Words())
	require.Equal(t, []string{"movablekeys"}, kv.MovableKeys.Words())
	s, _ := kv.Lookup([]byte("scan"))
	require.Equal(t, []string{"readonly"}, s.Flags.Words())
}
