package shardmaster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

func TestWords(t *testing.T) {
	for want, c := range map[string]command{
		"JOIN 2 a:1 b:2 IF 4": {op: opJoin, group: 2, servers: []string{"a:1", "b:2"}, num: 4, numbered: true},
		"LEAVE 2":             {op: opLeave, group: 2},
		"MOVE 3-9 2":          {op: opMove, group: 2, shards: shard.Range{First: 3, Last: 9}},
		"MOVE 3 2 IF 0":       {op: opMove, group: 2, shards: shard.Range{First: 3, Last: 3}, numbered: true},
		"BALANCE":             {op: opBalance},
		"PASSED 2 7 1":        {op: opPassed, group: 2, num: 7, numbered: true, drained: true},
		"PASSED 2 7 0":        {op: opPassed, group: 2, num: 7, numbered: true},
		"QUERY 3":             {op: opQuery, num: 3, numbered: true},
		"GROUPS":              {op: opGroups},
	} {
		words, err := Words(c.encode())
		require.NoError(t, err, want)
		require.Equal(t, want, strings.Join(words, " "))
	}
	_, err := Words([]byte("no command"))
	require.Error(t, err)
}

func TestReadImageRecord(t *testing.T) {
	m := New()
	m.Begin(4, 5e9)
	join := command{op: opJoin, group: 2, servers: []string{"a:1"}}
	m.Apply(nil, join.encode())
	var got []string
	require.NoError(t, m.Image().Records(func(b []byte) error {
		word, err := ReadImageRecord(b)
		got = append(got, word)
		return err
	}))
	require.Equal(t, []string{"state of slot 4", "config 0", "config 1 group=2:16384", "groups, 1", "end"}, got)
	for _, bad := range []string{"", "\x22\x00\x00\x00\x01\x00\x00\x00config", "\x01\x00\x00\x00\x01\x00\x00\x00"} {
		_, err := ReadImageRecord([]byte(bad))
		require.Error(t, err)
	}
}
