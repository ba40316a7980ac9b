package kv_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/wire"
	"diskv/kv"
)

// goldenCommands are encodings that are on disk: they can never change.
var goldenCommands = map[string]struct {
	command kv.Command
	want    string
}{
	"plain": {
		kv.Command{MaxValue: 8 << 20, Args: [][]byte{[]byte("SET"), []byte("k"), []byte("")}},
		"01 00 00008000 03000000 03000000 534554 01000000 6b 00000000",
	},
	"in a session": {
		kv.Command{
			Session: kv.NewSessionID(epoch, 0x0102030405060708), Seq: 300,
			Args: [][]byte{[]byte("INCR"), []byte("n")},
		},
		"01 01 00000000 0068e5cf8b010000 0807060504030201 2c01000000000000 02000000 04000000 494e4352 01000000 6e",
	},
}

func TestCommandsHaveGoldenBytes(t *testing.T) {
	for name, tc := range goldenCommands {
		t.Run(name, func(t *testing.T) {
			want := golden.Hex(tc.want)
			require.Equal(t, want, tc.command.Append(nil))
			require.Equal(t, append([]byte("x"), want...), tc.command.Append([]byte("x")))
			back, err := kv.DecodeCommand(want)
			require.NoError(t, err)
			require.Equal(t, tc.command.Session, back.Session)
			require.Equal(t, tc.command.Seq, back.Seq)
			require.Equal(t, tc.command.MaxValue, back.MaxValue)
			require.Len(t, back.Args, len(tc.command.Args))
			for i, arg := range tc.command.Args {
				require.Equal(t, string(arg), string(back.Args[i]))
			}
			for n := range want {
				_, err := kv.DecodeCommand(want[:n])
				require.Error(t, err, "cut at %d", n)
			}
		})
	}
}

func TestDecodeCommandRefusesWhatIsNone(t *testing.T) {
	tests := map[string]struct {
		in   string
		want error
	}{
		"trailing byte":    {"01 00 00000000 01000000 01000000 61 00", wire.ErrTrailing},
		"count too large":  {"01 00 00000000 ffffffff 01000000 61", wire.ErrShort},
		"length too large": {"01 00 00000000 01000000 ffffffff 61", wire.ErrTooLong},
		"unknown version":  {"02 00 00000000 01000000 01000000 61", nil},
		"unknown flag":     {"01 02 00000000 01000000 01000000 61", nil},
		"no arguments":     {"01 00 00000000 00000000", nil},
		"no session":       {"01 01 00000000 0000000000000000 0000000000000000 0100000000000000 01000000 01000000 61", nil},
		"no number":        {"01 01 00000000 0100000000000000 0100000000000000 0000000000000000 01000000 01000000 61", nil},
		"birth too late":   {"01 01 00000000 ffffffffffffffff 0100000000000000 0100000000000000 01000000 01000000 61", wire.ErrBadValue},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := kv.DecodeCommand(golden.Hex(tc.in))
			require.Error(t, err)
			require.Contains(t, err.Error(), "decode command: offset ")
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
		})
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, tc := range goldenCommands {
		f.Add(golden.Hex(tc.want))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := kv.DecodeCommand(in)
		if err != nil {
			return
		}
		require.Equal(t, in, c.Append(nil), "every command has one encoding")
	})
}

// FuzzApply gives a store arbitrary log entries, and arbitrary commands in
// entries that are well formed.
func FuzzApply(f *testing.F) {
	for _, tc := range goldenCommands {
		f.Add(golden.Hex(tc.want), "SET k v EX 10")
	}
	for _, line := range []string{
		"SET k v NX GET", "APPEND k v", "MSET {a}1 1 {a}2 2", "INCRBY n -1", "EXPIRE k 10 NX", "SCAN 0 MATCH a* COUNT 3", "DBSIZE",
		"DISKV.ONCE k 0000018bcfe568000000000000abcdef 1 INCR k", "MGET k k", "SCAN 17179885568", "DISKV.WATCH k", "DISKV.EXEC k 1 0-1 k 2 INCR k 2 DEL k", "DISKV.EXEC k 0 2 GET k",
		"DISKV.ONCE k 0000018bcfe568000000000000abcdef 1 DISKV.EXEC k 0 2 INCR k",
		"DISKV.RANGE {a}1 {a}9 LIMIT 2 REV", "OBJECT ENCODING k", "CLUSTER GETKEYSINSLOT 7 1", "MEMORY USAGE k", "RENAME {a}1 {a}2", "COPY k k REPLACE DB 0", "INCRBYFLOAT k 0x1.8p3", "INCRBYFLOAT k 1e-4951", "SETRANGE k 990 abc", "GETRANGE k -3 -1",
		"LCS {a}1 {a}2 IDX WITHMATCHLEN MINMATCHLEN 1", "KEYS [a-", "RANDOMKEY", "FLUSHALL ASYNC", "GETEX k PXAT 1700000000001", "EXPIREAT k -1 LT",
	} {
		f.Add([]byte("\x01\x00"), line)
	}
	f.Fuzz(func(t *testing.T, entry []byte, line string) {
		words := strings.Split(line, " ")
		a := make([][]byte, len(words))
		for i, w := range words {
			a[i] = []byte(w)
		}
		run := func(s *kv.Store) (replies []string) {
			s.Begin(1, epoch)
			replies = append(replies, string(s.Apply(nil, entry)))
			c := kv.Command{Args: a, MaxValue: 1000}
			replies = append(replies, string(s.Apply(nil, c.Append(nil))))
			if p, refusal := kv.Prepare(a); refusal == nil {
				replies = append(replies, string(s.Apply(nil, p.Command.Append(nil))))
				if reply, ok := s.Query(nil, epoch, p.Command.Append(nil)); ok {
					replies = append(replies, string(reply))
				}
			} else {
				replies = append(replies, string(refusal))
			}
			s.Begin(2, epoch+1e9)
			return replies
		}
		s, twin := kv.New(), kv.New()
		replies := run(s)
		for _, reply := range replies {
			requireReply(t, []byte(reply))
		}
		require.Equal(t, replies, run(twin))
		require.Equal(t, s.Digest(), twin.Digest())
		require.Equal(t, s.Digest(), copyOf(t, s).Digest())
	})
}
