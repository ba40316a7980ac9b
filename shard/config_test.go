package shard_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/wire"
	"diskv/shard"
)

// goldenConfigs are encodings that are on disk: they can never change.
var goldenConfigs = map[string]struct {
	config func() *shard.Config
	want   string
}{
	"config 0": {
		func() *shard.Config { return &shard.Config{} },
		`01 000000           // version
		 0000000000000000    // num
		 00000000            // groups
		 01000000            // runs
		 0040 0000000000000000`,
	},
	"two groups": {
		func() *shard.Config {
			c := &shard.Config{Num: 300, Groups: []shard.Group{
				{ID: 1, Servers: []string{"a:1", "b:2"}},
				{ID: 7, Servers: []string{"unix:/s"}},
			}}
			for i := range c.Owner {
				c.Owner[i] = 7
			}
			c.Owner[0], c.Owner[2] = 1, 0
			return c
		},
		`01 000000
		 2c01000000000000
		 02000000
		 0100000000000000 02000000 03000000 613a31 03000000 623a32
		 0700000000000000 01000000 07000000 756e69783a2f73
		 04000000
		 0100 0100000000000000
		 0100 0700000000000000
		 0100 0000000000000000
		 fd3f 0700000000000000`,
	},
}

func TestConfigsHaveGoldenBytes(t *testing.T) {
	for name, tc := range goldenConfigs {
		t.Run(name, func(t *testing.T) {
			want := golden.Hex(tc.want)
			require.Equal(t, want, tc.config().Append(nil))
			require.Equal(t, append([]byte("x"), want...), tc.config().Append([]byte("x")))
			back, err := shard.DecodeConfig(want)
			require.NoError(t, err)
			require.Equal(t, tc.config(), back)
			for n := range want {
				_, err := shard.DecodeConfig(want[:n])
				require.Error(t, err, "cut at %d", n)
			}
		})
	}
}

func TestDecodeConfigRefusesWhatIsNone(t *testing.T) {
	const all = "01000000 0040 0100000000000000" // one run, of group 1
	const one = "01000000 0100000000000000 01000000 03000000 613a31"
	tests := map[string]struct {
		in   string
		is   error
		text string
	}{
		"trailing byte":       {"01000000 0100000000000000" + one + all + "00", wire.ErrTrailing, ""},
		"unknown version":     {"02000000 0100000000000000" + one + all, nil, "unknown version"},
		"reserved":            {"01000100 0100000000000000" + one + all, nil, "reserved bytes are not zero"},
		"hostile groups":      {"01000000 0100000000000000 ffffffff", wire.ErrShort, ""},
		"too many groups":     {"01000000 0100000000000000 01040000" + strings.Repeat("00", 1025*12), wire.ErrTooLong, "1025 groups"},
		"too many servers":    {"01000000 0100000000000000 01000000 0100000000000000 08000000" + strings.Repeat("00", 32), wire.ErrTooLong, "8 servers"},
		"no servers":          {"01000000 0100000000000000 01000000 0100000000000000 00000000" + all, nil, "group 1: 0 servers"},
		"group 0":             {"01000000 0100000000000000 01000000 0000000000000000 01000000 03000000 613a31" + all, nil, "group 0 is out of order"},
		"a group twice":       {"01000000 0100000000000000 02000000" + strings.Repeat("0100000000000000 01000000 03000000 613a31", 2) + all, nil, "group 1 is out of order"},
		"an address twice":    {"01000000 0100000000000000 02000000 0100000000000000 01000000 03000000 613a31 0200000000000000 01000000 03000000 613a31" + all, nil, "groups 1 and 2 have the same address, a:1"},
		"a bad address":       {"01000000 0100000000000000 01000000 0100000000000000 01000000 01000000 61" + all, nil, `address "a" is neither`},
		"unknown owner":       {"01000000 0100000000000000 00000000" + all, nil, "shard 0 is of group 1"},
		"groups in config 0":  {"01000000 0000000000000000" + one + all, nil, "config 0 has groups"},
		"too few shards":      {"01000000 0000000000000000 00000000 01000000 ff3f 0000000000000000", nil, "runs of owners"},
		"too many shards":     {"01000000 0000000000000000 00000000 01000000 0140 0000000000000000", nil, "runs of owners"},
		"no runs":             {"01000000 0000000000000000 00000000 00000000", nil, "runs of owners"},
		"an empty run":        {"01000000 0000000000000000 00000000 02000000 0040 0000000000000000 0000 0100000000000000", nil, "runs of owners"},
		"runs that could one": {"01000000 0000000000000000 00000000 02000000 0020 0000000000000000 0020 0000000000000000", nil, "runs of owners"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := shard.DecodeConfig(golden.Hex(tc.in))
			require.ErrorContains(t, err, "decode config: ")
			require.ErrorContains(t, err, tc.text)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
		})
	}
}

func TestTheLargestConfigIsDecoded(t *testing.T) {
	c := &shard.Config{Num: 1}
	for g := range shard.MaxGroups {
		group := shard.Group{ID: shard.GroupID(g + 1)}
		for m := range shard.MaxServers {
			address := fmt.Sprintf("unix:/%d/%d/", g, m)
			group.Servers = append(group.Servers, address+strings.Repeat("x", shard.MaxAddress-len(address)))
		}
		c.Groups = append(c.Groups, group)
	}
	for i := range c.Owner {
		c.Owner[i] = shard.GroupID(i%shard.MaxGroups + 1)
	}
	back, err := shard.DecodeConfig(c.Append(nil))
	require.NoError(t, err)
	require.Equal(t, c, back)
}

func TestConfigAnswersWhoOwnsWhat(t *testing.T) {
	c := goldenConfigs["two groups"].config()
	require.Equal(t, 1, c.Held(1))
	require.Equal(t, 1, c.Held(0))
	require.Equal(t, shard.Count-2, c.Held(7))
	require.Zero(t, c.Held(2))
	require.Equal(t, []shard.Range{{First: 0, Last: 0}}, c.Ranges(1))
	require.Equal(t, []shard.Range{{First: 1, Last: 1}, {First: 3, Last: shard.Count - 1}}, c.Ranges(7))
	require.Empty(t, c.Ranges(2))
	require.Equal(t, "[1 3-16383]", fmt.Sprint(c.Ranges(7)))

	g, ok := c.Group(7)
	require.True(t, ok)
	require.Equal(t, shard.Group{ID: 7, Servers: []string{"unix:/s"}}, g)
	for _, id := range []shard.GroupID{0, 2, 8} {
		_, ok := c.Group(id)
		require.False(t, ok)
	}
}

func TestRangesCoverEveryShardOnce(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := &shard.Config{}
		for first := 0; first < shard.Count; {
			end := min(first+1+rnd.IntN(2000), shard.Count)
			owner := shard.GroupID(rnd.IntN(4))
			for ; first < end; first++ {
				c.Owner[first] = owner
			}
		}
		var seen [shard.Count]int
		for id := range shard.GroupID(4) {
			held := 0
			for _, r := range c.Ranges(id) {
				for s := int(r.First); s <= int(r.Last); s++ {
					if c.Owner[s] == id {
						seen[s]++
					}
					held++
				}
			}
			require.Equal(t, held, c.Held(id))
		}
		for s, times := range seen {
			if times != 1 {
				require.Equal(t, 1, times, "shard %d", s)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, good := range []string{
		"a:1", "127.0.0.1:7379", "[::1]:65535", "node-1.example.org:7379", "unix:/run/diskv.sock",
		"unix:/" + strings.Repeat("x", shard.MaxAddress-6),
	} {
		require.NoError(t, shard.CheckAddress(good), good)
	}
	for bad, want := range map[string]string{
		"":                  "neither host:port nor unix:/path",
		"a":                 "neither host:port nor unix:/path",
		":7379":             "neither host:port nor unix:/path",
		"::1:7379":          "neither host:port nor unix:/path",
		"[]:1":              "neither host:port nor unix:/path",
		"[::1:1":            "neither host:port nor unix:/path",
		"redis://a:1":       "neither host:port nor unix:/path",
		"a:":                "not a number from 1 to 65535",
		"a:0":               "not a number from 1 to 65535",
		"a:65536":           "not a number from 1 to 65535",
		"a:+1":              "not a number from 1 to 65535",
		"a:redis":           "not a number from 1 to 65535",
		"a b:1":             `holds the character ' '`,
		"a:1,b:2":           `holds the character ','`,
		"a:1\r\n":           `holds the character '\r'`,
		"h\xc3\xa4st:1":     "holds the character",
		"unix:":             "no path from the root",
		"unix:/":            "no path from the root",
		"unix:here":         "no path from the root",
		"unix:/\x00":        "holds the character",
		"a:1" + "\x7f":      "holds the character",
		"x" + "y\tz" + ":1": "holds the character",
		strings.Repeat("x", shard.MaxAddress) + ":1": "address of 257 bytes, at most 255",
	} {
		require.ErrorContains(t, shard.CheckAddress(bad), want, bad)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	for _, tc := range goldenConfigs {
		f.Add(golden.Hex(tc.want))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := shard.DecodeConfig(in)
		if err != nil {
			return
		}
		require.NoError(t, c.Check())
		require.Equal(t, in, c.Append(nil), "every config has one encoding")
	})
}
