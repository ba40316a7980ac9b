package kv

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever is anticipated, also what cannot be read, changes neither the state nor what a
// command is answered.
func TestAnticipatingChangesNothing(t *testing.T) {
	encode := func(session SessionID, args ...string) []byte {
		c := Command{Session: session}
		if session.IsValid() {
			c.Seq = 1
		}
		for _, arg := range args {
			c.Args = append(c.Args, []byte(arg))
		}
		return c.Append(nil)
	}
	session := NewSessionID(1, 2)
	commands := [][]byte{
		nil, {commandVersion}, {handoverVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		encode(SessionID{}, "PING"), encode(SessionID{}, "SET", "", ""), encode(SessionID{}, "GET", ""),
		encode(session, "SET", "in a session", "1"), encode(SessionID{}, "MSET", "{a}1", "1", "{a}2", "2"),
		encode(SessionID{}, "DEL", "not there"), encode(SessionID{}, "SET", "once", "x", "PX", "1"),
	}
	for i := range 500 { // in one shard more than are looked at one by one
		commands = append(commands, encode(SessionID{}, "SET", fmt.Sprintf("key:%d", i), "value"), encode(SessionID{}, "SET", fmt.Sprintf("{tag}%d", i%40), "value"))
	}
	whole := encode(session, "SET", "key", "value")
	for n := range whole {
		commands = append(commands, whole[:n])
	}
	for at := range whole {
		bad := append([]byte(nil), whole...)
		bad[at] = 0xff
		commands = append(commands, bad)
	}

	told, plain := New(), New()
	for slot := range uint64(3) {
		told.Begin(slot+1, int64(slot)*nanosPerMilli)
		plain.Begin(slot+1, int64(slot)*nanosPerMilli)
		for i, c := range commands {
			before := told.Digest()
			told.Anticipate(commands[i:min(i+20, len(commands))])
			require.Equal(t, before, told.Digest())
			require.Equal(t, string(plain.Apply(nil, c)), string(told.Apply(nil, c)))
		}
		require.Equal(t, plain.Digest(), told.Digest())
	}
}

func TestLikelyKeyIsTheFirstArgument(t *testing.T) {
	for _, session := range []SessionID{{}, NewSessionID(1, 2)} {
		c := Command{Session: session, Seq: 1, Args: [][]byte{[]byte("SET"), []byte("key"), []byte("value")}}
		key, ok := likelyKey(c.Append(nil))
		require.True(t, ok)
		require.Equal(t, "key", string(key))
	}
	_, ok := likelyKey((&Command{Args: [][]byte{[]byte("PING")}}).Append(nil))
	require.False(t, ok)
}
