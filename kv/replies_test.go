package kv_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
)

// TestRepliesAreThoseOfRedis holds every command to the replies of Redis 7.0.15. A
// step is a line and its reply without the last CRLF, CRLF within it being |.
func TestRepliesAreThoseOfRedis(t *testing.T) {
	const (
		null        = "_"
		ok          = "+OK"
		syntax      = "-ERR syntax error"
		notInteger  = "-ERR value is not an integer or out of range"
		badSet      = "-ERR invalid expire time in 'set' command"
		badExpire   = "-ERR invalid expire time in 'expire' command"
		badPexpire  = "-ERR invalid expire time in 'pexpire' command"
		overflow    = "-ERR increment or decrement would overflow"
		wrong       = "-ERR wrong number of arguments for '"
		maxInt      = "9223372036854775807"
		nxxx        = "-ERR NX and XX, GT or LT options at the same time are not compatible"
		crossSlot   = "-CROSSSLOT Keys in request don't hash to the same slot"
		unixSeconds = "1700000100"    // 100 s after the epoch of the tests
		unixMillis  = "1700000100000" // the same in ms
	)
	tests := map[string][]struct{ line, want string }{
		"get and set": {
			{"GET k", null}, {"set k v", ok}, {"GeT k", "$1|v"}, {`SET k ""`, ok}, {"GET k", "$0|"},
			{`SET "" empty`, ok}, {`GET ""`, "$5|empty"},
		},
		"wrong number of arguments": {
			{"GET", wrong + "get' command"}, {"GET a b", wrong + "get' command"}, {"SET k", wrong + "set' command"},
			{"DEL", wrong + "del' command"}, {"MSET a 1 a", wrong + "mset' command"}, {"DBSIZE x", wrong + "dbsize' command"},
		},
		"unknown command": {
			{"FOO", "-ERR unknown command 'FOO', with args beginning with: "},
			{"foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' "},
			{"foo " + strings.Repeat("x", 200) + " y", "-ERR unknown command 'foo', with args beginning with: '" + strings.Repeat("x", 128) + "' "},
			{`foo "a\r\nb"`, "-ERR unknown command 'foo', with args beginning with: 'a  b' "},
			{strings.Repeat("n", 200), "-ERR unknown command '" + strings.Repeat("n", 128) + "', with args beginning with: "},
		},
		"set nx and xx": {
			{"SET k 1 XX", null}, {"SET k 1 NX", ok}, {"SET k 2 nx", null}, {"SET k 3 XX", ok}, {"GET k", "$1|3"},
			{"SET k 1 NX XX", syntax}, {"SET k 1 XX NX", syntax},
		},
		"set get": {
			{"SET k 1 GET", null}, {"SET k 2 GET", "$1|1"}, {"SET k 3 NX GET", "$1|2"}, {"GET k", "$1|2"},
			{"SET n 1 XX GET", null}, {"GET n", null}, {"SET n 1 NX GET", null}, {"GET n", "$1|1"},
		},
		"set with a time": {
			{"SET k v EX 100", ok}, {"TTL k", ":100"}, {"PTTL k", ":100000"},
			{"SET k v PX 1500", ok}, {"PTTL k", ":1500"}, {"TTL k", ":2"},
			{"SET k v EXAT " + unixSeconds, ok}, {"TTL k", ":100"}, {"SET k v PXAT " + unixMillis, ok}, {"PTTL k", ":100000"},
			{"SET k w KEEPTTL", ok}, {"TTL k", ":100"}, {"SET k w EX 10 EX 20", ok}, {"TTL k", ":20"},
			{"SET k w", ok}, {"TTL k", ":-1"}, {"SET k v EXAT 1", ok}, {"GET k", null},
		},
		"set with a wrong time": {
			{"SET k v EX 0", badSet}, {"SET k v PX -1", badSet}, {"SET k v EX 9223372036854776", badSet},
			{"SET k v PX " + maxInt, badSet}, {"SET k v PXAT " + maxInt, ok}, {"SET k v EX x", notInteger}, {"SET k v EX 1.5", notInteger},
			{"SET k v EX", syntax}, {"SET k v EX 1 PX 1", syntax}, {"SET k v EX 1 KEEPTTL", syntax}, {"SET k v KEEPTTL PX 1", syntax},
			{"SET k v foo", syntax}, {"SET k v NX EX", syntax},
		},
		"append and strlen": {
			{"STRLEN k", ":0"}, {"APPEND k abc", ":3"}, {"APPEND k def", ":6"}, {"GET k", "$6|abcdef"}, {"STRLEN k", ":6"},
			{`APPEND k ""`, ":6"}, {"EXPIRE k 10", ":1"}, {"APPEND k x", ":7"}, {"TTL k", ":10"},
		},
		"del and exists": {
			{"MSET {a}1 x {a}2 y", ok}, {"EXISTS {a}1 {a}2 {a}3 {a}1", ":3"}, {"DEL {a}1 {a}1 {a}3", ":1"}, {"EXISTS {a}1", ":0"},
			{"DBSIZE", ":1"},
		},
		"numbers": {
			{"INCR n", ":1"}, {"INCRBY n 41", ":42"}, {"DECR n", ":41"}, {"DECRBY n 50", ":-9"}, {"GET n", "$2|-9"},
			{"INCRBY n -1", ":-10"}, {"DECRBY n -1", ":-9"},
			{"SET n " + maxInt, ok}, {"INCR n", overflow}, {"DECRBY n -1", overflow}, {"GET n", "$19|" + maxInt},
			{"SET n -9223372036854775808", ok}, {"DECR n", overflow},
			{"DECRBY n -9223372036854775808", "-ERR decrement would overflow"}, {"INCRBY n x", notInteger},
			{"SET n abc", ok}, {"INCR n", notInteger}, {"SET n 01", ok}, {"INCR n", notInteger}, {`SET n " 1"`, ok}, {"INCR n", notInteger},
			{"SET n 1 EX 10", ok}, {"INCR n", ":2"}, {"TTL n", ":10"},
		},
		"mget and mset": {
			{"MSET {a}1 x {a}2 y {a}1 z", ok}, {"MGET {a}1 {a}3 {a}2", "*3|$1|z|_|$1|y"},
			{"SET {a}1 v EX 10", ok}, {"MSET {a}1 w", ok}, {"TTL {a}1", ":-1"},
		},
		"keys of several shards": {
			{"MGET a b", crossSlot}, {"MSET a 1 b 2", crossSlot}, {"DEL a b", crossSlot}, {"EXISTS a b", crossSlot}, {"MGET a a", "*2|_|_"},
		},
		"times": {
			{"TTL k", ":-2"}, {"PTTL k", ":-2"}, {"EXPIRE k 10", ":0"}, {"SET k v", ok}, {"TTL k", ":-1"}, {"PERSIST k", ":0"},
			{"EXPIRE k 10", ":1"}, {"TTL k", ":10"}, {"PEXPIRE k 1499", ":1"}, {"TTL k", ":1"}, {"PTTL k", ":1499"},
			{"PERSIST k", ":1"}, {"PTTL k", ":-1"}, {"PERSIST gone", ":0"},
			{"EXPIRE k -1", ":1"}, {"GET k", null}, {"SET k v", ok}, {"EXPIRE k 0", ":1"}, {"EXISTS k", ":0"},
		},
		"times with conditions": {
			{"SET k v", ok}, {"EXPIRE k 10 XX", ":0"}, {"EXPIRE k 10 GT", ":0"}, {"EXPIRE k 10 NX", ":1"}, {"EXPIRE k 20 NX", ":0"},
			{"EXPIRE k 10 GT", ":0"}, {"EXPIRE k 11 gt", ":1"}, {"EXPIRE k 12 LT", ":0"}, {"EXPIRE k 9 LT", ":1"}, {"EXPIRE k 30 XX", ":1"},
			{"TTL k", ":30"}, {"PERSIST k", ":1"}, {"EXPIRE k 100 LT", ":1"}, {"EXPIRE k 200 XX GT", ":1"},
			{"EXPIRE k 1 NX XX", nxxx}, {"EXPIRE k 1 NX GT", nxxx}, {"EXPIRE k 1 LT NX", nxxx},
			{"EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible"},
			{"EXPIRE k 1 foo", "-ERR Unsupported option foo"}, {"EXPIRE k x", notInteger},
			{"EXPIRE k " + maxInt, badExpire}, {"PEXPIRE k " + maxInt, badPexpire}, {"EXPIRE k -9223372036854775808", badExpire},
		},
		"type": {{"TYPE k", "+none"}, {"SET k v", ok}, {"TYPE k", "+string"}},
		"scan": {
			{"SCAN 0", "*2|$1|0|*0"}, {"SET k v", ok}, {"SCAN 0", "*2|$1|0|*1|$1|k"}, {"SCAN 0 MATCH x*", "*2|$1|0|*0"},
			{"SCAN 0 TYPE string", "*2|$1|0|*1|$1|k"}, {"SCAN 0 TYPE hash", "*2|$1|0|*0"},
			{"SCAN x", "-ERR invalid cursor"}, {"SCAN 0 COUNT 0", syntax}, {"SCAN 0 COUNT x", notInteger}, {"SCAN 0 COUNT", syntax},
			{"SCAN 0 foo 1", syntax}, {"SCAN 18446744073709551616", "-ERR invalid cursor"}, {"SCAN 18446744073709551615", "*2|$1|0|*0"},
		},
		"too large": {
			{"SET " + strings.Repeat("k", kv.MaxKey+1) + " v", "-ERR key exceeds maximum allowed size (65536 bytes)"},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			for _, step := range steps {
				if len(step.line) > kv.MaxKey {
					a := [][]byte{[]byte("SET"), []byte(strings.Fields(step.line)[1]), []byte("v")}
					require.Equal(t, step.want+"\r\n", m.doArgs(a))
					continue
				}
				require.Equal(t, strings.ReplaceAll(step.want, "|", "\r\n")+"\r\n", m.do(step.line), step.line)
			}
		})
	}
}

func TestValuesAreLimitedByTheLogAndNotByTheReplica(t *testing.T) {
	m := newMachine(t)
	m.maxValue = 8
	const tooLarge = "-ERR string exceeds maximum allowed size (max-value-bytes)\r\n"
	require.Equal(t, "+OK\r\n", m.do("SET k 12345678"))
	require.Equal(t, tooLarge, m.do("SET k 123456789"))
	require.Equal(t, tooLarge, m.do("APPEND k 9"))
	require.Equal(t, tooLarge, m.do("MSET {k}1 ok {k}2 123456789"))
	require.Equal(t, "_\r\n", m.do("GET {k}1"), "all of MSET or nothing")
	require.Equal(t, "$8\r\n12345678\r\n", m.do("GET k"))

	m.maxValue = 9
	require.Equal(t, ":9\r\n", m.do("APPEND k 9"))
}

func TestPrepareSaysWhereACommandGoes(t *testing.T) {
	p, refusal := kv.Prepare(args(t, "get {user}1"))
	require.Nil(t, refusal)
	require.False(t, p.Write)
	require.True(t, p.Keyed)
	require.Equal(t, "get", p.Spec.Name)
	require.EqualValues(t, 5474, p.Shard)

	p, refusal = kv.Prepare(args(t, "SET k v"))
	require.Nil(t, refusal)
	require.True(t, p.Write)
	require.False(t, p.Command.Session.IsValid())

	p, refusal = kv.Prepare(args(t, "DBSIZE"))
	require.Nil(t, refusal)
	require.False(t, p.Keyed)

	_, refusal = kv.Prepare(nil)
	require.Equal(t, "-ERR syntax error\r\n", string(refusal))
}

func TestWhatPrepareRefusesIsRefusedInTheLogToo(t *testing.T) {
	// As it would be if a replica of another version had let it pass.
	s := kv.New()
	s.Begin(1, epoch)
	before := s.Digest()
	for line, want := range map[string]string{
		"NOSUCH a":               "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n",
		"GET":                    "-ERR wrong number of arguments for 'get' command\r\n",
		"MSET a 1 b 2":           "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
		"MSET a 1 a":             "-ERR wrong number of arguments for 'mset' command\r\n",
		"INCRBY k x":             "-ERR value is not an integer or out of range\r\n",
		"SCAN 0":                 "-ERR internal error: this command cannot go through the log\r\n",
		"DISKV.ONCE k a 1 GET k": "-ERR DISKV.ONCE cannot be nested\r\n",
	} {
		c := kv.Command{Args: args(t, line)}
		require.Equal(t, want, string(s.Apply(nil, c.Append(nil))), line)
	}
	c := kv.Command{Args: args(t, "SET k v")}
	reply, ok := s.Query(nil, epoch, c.Append(nil))
	require.True(t, ok)
	require.Equal(t, "-ERR internal error: not a read\r\n", string(reply))
	reply, ok = s.Query(nil, epoch, nil)
	require.True(t, ok)
	require.Contains(t, string(reply), "-ERR malformed query")
	require.Equal(t, before, s.Digest())
}

func TestAReadMayGoThroughTheLog(t *testing.T) {
	m := newMachine(t)
	m.do("SET k v EX 10")
	m.sleep(3 * time.Second)
	for line, want := range map[string]string{"GET k": "$1\r\nv\r\n", "TTL k": ":7\r\n", "DBSIZE": ":1\r\n"} {
		c := kv.Command{Args: args(t, line)}
		require.Equal(t, want, m.apply(c.Append(nil)), line)
	}
}

func TestStoredBytesAreCopies(t *testing.T) {
	s := kv.New()
	s.Begin(1, epoch)
	for _, line := range []string{"SET k value", "APPEND k 123", "SET n 1 EX 10", "MSET {a}1 x {a}2 y", "APPEND new value"} {
		c := kv.Command{Args: args(t, line)}
		encoded := c.Append(nil)
		s.Apply(nil, encoded)
		clear(encoded)
	}
	for line, want := range map[string]string{
		"GET k": "$8\r\nvalue123\r\n", "GET n": "$1\r\n1\r\n", "MGET {a}1 {a}2": "*2\r\n$1\r\nx\r\n$1\r\ny\r\n", "GET new": "$5\r\nvalue\r\n",
	} {
		c := kv.Command{Args: args(t, line)}
		reply, ok := s.Query(nil, epoch, c.Append(nil))
		require.True(t, ok)
		require.Equal(t, want, string(reply), line)
	}
}
