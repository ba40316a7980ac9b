package shardmaster_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/wire"
	"diskv/shardmaster"
)

// goldenCommands are encodings that are on disk: they can never change.
var goldenCommands = map[string]string{
	"JOIN 300 a:1 unix:/s":      "01 01 00 00 2c01000000000000 0000000000000000 0000 0000 02000000 03000000 613a31 07000000 756e69783a2f73",
	"JOIN 1 a:1 IF 0":           "01 01 01 00 0100000000000000 0000000000000000 0000 0000 01000000 03000000 613a31",
	"LEAVE 1 IF 258":            "01 02 01 00 0100000000000000 0201000000000000 0000 0000 00000000",
	"MOVE 1-16383 2":            "01 03 00 00 0200000000000000 0000000000000000 0100 ff3f 00000000",
	"MOVE 7 2":                  "01 03 00 00 0200000000000000 0000000000000000 0700 0700 00000000",
	"BALANCE":                   "01 04 00 00 0000000000000000 0000000000000000 0000 0000 00000000",
	"PASSED 3 9 1":              "01 05 03 00 0300000000000000 0900000000000000 0000 0000 00000000",
	"PASSED 3 9 0":              "01 05 01 00 0300000000000000 0900000000000000 0000 0000 00000000",
	"QUERY":                     "01 06 00 00 0000000000000000 0000000000000000 0000 0000 00000000",
	"QUERY 9":                   "01 06 01 00 0000000000000000 0900000000000000 0000 0000 00000000",
	"GROUPS":                    "01 07 00 00 0000000000000000 0000000000000000 0000 0000 00000000",
	"LEAVE 9223372036854775807": "01 02 00 00 ffffffffffffff7f 0000000000000000 0000 0000 00000000",
}

func TestCommandsHaveGoldenBytes(t *testing.T) {
	for line, hex := range goldenCommands {
		want := golden.Hex(hex)
		p, refusal := shardmaster.Prepare(words(line))
		require.Nil(t, refusal, line)
		require.Equal(t, want, p.Encoded, line)
		back, err := shardmaster.Reencode(want)
		require.NoError(t, err, line)
		require.Equal(t, want, back, line)
		for n := range want {
			_, err := shardmaster.Reencode(want[:n])
			require.Error(t, err, "%s cut at %d", line, n)
		}
	}
}

func TestMalformedCommandsAreRefused(t *testing.T) {
	const rest = "0000000000000000 0000 0000 00000000"
	for in, want := range map[string]string{
		"02 04 00 00 0000000000000000" + rest:                                                         "unknown version",
		"01 00 00 00 0000000000000000" + rest:                                                         "unknown operation 0",
		"01 08 00 00 0000000000000000" + rest:                                                         "unknown operation 8",
		"01 ff 00 00 0000000000000000" + rest:                                                         "unknown operation 255",
		"01 04 04 00 0000000000000000" + rest:                                                         "unknown flags",
		"01 04 00 01 0000000000000000" + rest:                                                         "unknown flags",
		"01 04 02 00 0000000000000000" + rest:                                                         "a field that",
		"01 04 00 00 0100000000000000" + rest:                                                         "a field that",
		"01 05 00 00 0100000000000000" + rest:                                                         "a field that",
		"01 07 01 00 0000000000000000" + rest:                                                         "a field that",
		"01 04 00 00 0000000000000000 0100000000000000 0000 0000 00000000":                            "a field that",
		"01 04 00 00 0000000000000000 0000000000000000 0000 0100 00000000":                            "a field that",
		"01 02 00 00 0100000000000000 0000000000000000 0000 0000 01000000 03000000 613a31":            "a field that",
		"01 04 01 00 0000000000000000 0000000000000080 0000 0000 00000000":                            "out of range",
		"01 02 00 00 0000000000000000" + rest:                                                         "group 0 is nobody",
		"01 02 00 00 0000000000000080" + rest:                                                         "numbers go up to 9223372036854775807",
		"01 03 00 00 0100000000000000 0000000000000000 0000 0040 00000000":                            "shards 0-16384",
		"01 03 00 00 0100000000000000 0000000000000000 0200 0100 00000000":                            "shards 2-1",
		"01 01 00 00 0100000000000000" + rest:                                                         "0 servers",
		"01 01 00 00 0100000000000000 0000000000000000 0000 0000 08000000" + strings.Repeat("00", 32): "8 servers",
		"01 01 00 00 0100000000000000 0000000000000000 0000 0000 ffffffff":                            wire.ErrShort.Error(),
		"01 01 00 00 0100000000000000 0000000000000000 0000 0000 01000000 00010000":                   wire.ErrTooLong.Error(),
		"01 04 00 00 0000000000000000" + rest + "00":                                                  wire.ErrTrailing.Error(),
	} {
		_, err := shardmaster.Reencode(golden.Hex(in))
		require.ErrorContains(t, err, want, in)
		m := shardmaster.New()
		before := m.Digest()
		require.Contains(t, text(t, m.Apply(nil, golden.Hex(in))), "ERR malformed command in the log: decode command: ")
		require.Equal(t, before, m.Digest())
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, hex := range goldenCommands {
		f.Add(golden.Hex(hex))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if back, err := shardmaster.Reencode(in); err == nil {
			require.Equal(t, in, back, "every command has one encoding")
		}
	})
}

// FuzzApply gives a machine arbitrary log entries and arbitrary words.
func FuzzApply(f *testing.F) {
	for line, hex := range goldenCommands {
		f.Add(golden.Hex(hex), line)
	}
	f.Fuzz(func(t *testing.T, entry []byte, line string) {
		run := func() (*shardmaster.Machine, []string) {
			m := shardmaster.New()
			do(t, m, "JOIN 1 a:1")
			do(t, m, "JOIN 2 b:1")
			do(t, m, "PASSED 1 2 0")
			replies := []string{string(m.Apply(nil, entry))}
			if p, refusal := shardmaster.Prepare(words(line)); refusal != nil {
				replies = append(replies, string(refusal))
			} else {
				again := string(m.Apply(nil, p.Encoded))
				replies = append(replies, again)
				if again[0] == ':' && !strings.Contains(strings.ToLower(line), "if") {
					require.Equal(t, again, string(m.Apply(nil, p.Encoded)), "a change can be repeated")
				}
				reply, _ := m.Query(nil, epoch, p.Encoded)
				replies = append(replies, string(reply))
			}
			return m, replies
		}
		m, replies := run()
		twin, same := run()
		for _, reply := range replies {
			value(t, []byte(reply))
		}
		require.Equal(t, replies, same)
		require.Equal(t, m.Digest(), twin.Digest())
		require.Equal(t, m.Digest(), restored(t, m).Digest())
	})
}
