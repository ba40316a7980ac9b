package shardmaster_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/record"
	"diskv/shardmaster"
)

func records(tb testing.TB, i *shardmaster.Image) [][]byte {
	tb.Helper()
	var out [][]byte
	require.NoError(tb, i.Records(func(r []byte) error {
		out = append(out, append([]byte(nil), r...))
		return nil
	}))
	return out
}

func restore(rs [][]byte) (*shardmaster.Machine, error) {
	return shardmaster.Restore(func() ([]byte, error) {
		if len(rs) == 0 {
			return nil, io.EOF
		}
		r := rs[0]
		rs = rs[1:]
		return r, nil
	})
}

func restored(tb testing.TB, m *shardmaster.Machine) *shardmaster.Machine {
	tb.Helper()
	back, err := restore(records(tb, m.Image()))
	require.NoError(tb, err)
	return back
}

func TestTheSameLogGivesTheSameStateAlsoFromAnImage(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		m := shardmaster.New()
		var other *shardmaster.Machine
		cut := rnd.IntN(80)
		for i := range 100 {
			if i == cut {
				other = restored(t, m)
			}
			line := randomLine(rnd, m)
			reply := do(t, m, line)
			if other != nil {
				require.Equal(t, reply, do(t, other, line), "seed %d: %s", seed, line)
				require.Equal(t, m.Bytes(), other.Bytes())
			}
		}
		require.Equal(t, m.Digest(), other.Digest())
		require.Equal(t, do(t, m, "GROUPS"), do(t, other, "GROUPS"))
		require.Equal(t, m.Newest(), other.Newest())
		size := 0
		for _, r := range records(t, m.Image()) {
			size += len(r)
		}
		require.Equal(t, m.Bytes(), int64(size))
	}
}

func TestAnImageStaysAsItWas(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		LEAVE 2 -> 3`)
	image := m.Image()
	want := records(t, image)
	story(t, m, `
		PASSED 2 3 1 -> 3
		JOIN 1 a:2 -> 4
		PASSED 1 4 1 -> 4
		JOIN 3 c:1 -> 5
		LEAVE 1 -> 6`)
	require.Equal(t, want, records(t, image))
}

var goldenImage = []string{
	"21 000000 01000000 0100000000000000 00002a36fe9c9717",
	"22 000000 01000000 01 000000 0000000000000000 00000000 01000000 0040 0000000000000000",
	"22 000000 01000000 01 000000 0100000000000000 01000000 0700000000000000 01000000 03000000 613a31 01000000 0040 0700000000000000",
	"23 000000 01000000 0700000000000000 0100000000000000 0000000000000000 0000000000000000 00 00 01000000 03000000 613a31",
	"24 000000 00000000 0200000000000000 0100000000000000",
}

func TestImagesHaveGoldenBytes(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `JOIN 7 a:1 -> 1`)
	var want [][]byte
	for _, hex := range goldenImage {
		want = append(want, golden.Hex(hex))
	}
	require.Equal(t, want, records(t, m.Image()))
	back, err := restore(want)
	require.NoError(t, err)
	require.Equal(t, m.Digest(), back.Digest())
}

func TestRestoreRefusesWhatIsNoImage(t *testing.T) {
	change := func(at int, hex string) [][]byte {
		var rs [][]byte
		for i, r := range goldenImage {
			if i == at {
				r = hex
			}
			if r != "" {
				rs = append(rs, golden.Hex(r))
			}
		}
		return rs
	}
	const config0, config1 = 1, 2
	tests := map[string]struct {
		records [][]byte
		want    string
	}{
		"nothing":             {nil, "the end record is missing"},
		"no end":              {change(4, ""), "the end record is missing"},
		"no groups":           {change(3, ""), "out of order"},
		"no state":            {change(0, ""), "out of order"},
		"a gap":               {change(config0, goldenImage[2]), "out of order"},
		"unknown kind":        {change(3, "25 000000 00000000"), "unknown kind"},
		"a key/value store's": {change(0, "01 000000 01000000 0100000000000000 00002a36fe9c9717"), "out of order"},
		"reserved":            {change(0, "21 000100 01000000 0100000000000000 00002a36fe9c9717"), "reserved bytes"},
		"two in a record":     {change(config0, "22 000000 02000000 01 000000 0000000000000000 00000000 01000000 0040 0000000000000000"), "count not allowed"},
		"not a config":        {change(config0, "22 000000 01000000 02"), "unknown version"},
		"too many groups":     {change(3, "23 000000 01040000"), "count not allowed"},
		"reserved of a group": {change(3, "23 000000 01000000 0700000000000000 0100000000000000 0000000000000000 0000000000000000 00 01 01000000 03000000 613a31"), "reserved bytes"},
		"group without servers": {
			change(3, "23 000000 01000000 0700000000000000 0100000000000000 0000000000000000 0000000000000000 00 00 00000000"), "0 servers",
		},
		"another group": {
			change(3, "23 000000 01000000 0800000000000000 0100000000000000 0000000000000000 0000000000000000 00 00 01000000 03000000 613a31"),
			"group 8 is a member, but not as",
		},
		"other servers": {
			change(3, "23 000000 01000000 0700000000000000 0100000000000000 0000000000000000 0000000000000000 00 00 01000000 03000000 613a32"),
			"group 7 is a member, but not as",
		},
		"a member that is not there": {change(3, "23 000000 00000000"), "not as many configs or groups"},
		"settled too far": {
			change(3, "23 000000 01000000 0700000000000000 0100000000000000 0000000000000000 0200000000000000 00 00 01000000 03000000 613a31"),
			"group 7: joined 1, left 0, settled 2",
		},
		"joined in config 0": {
			change(3, "23 000000 01000000 0700000000000000 0000000000000000 0000000000000000 0000000000000000 00 00 01000000 03000000 613a31"),
			"group 7: joined 0",
		},
		"end with a count": {change(4, "24 000000 01000000 0200000000000000 0100000000000000"), "count not allowed"},
		"wrong numbers":    {change(4, "24 000000 00000000 0300000000000000 0100000000000000"), "not as many configs or groups"},
		"behind the end":   {append(change(9, ""), golden.Hex(goldenImage[4])), "out of order"},
		"empty record":     {[][]byte{{}}, "input ends inside a field"},
		"a needed config is gone": {
			append(append([][]byte{}, change(9, "")[0]), change(9, "")[config1:]...)[:3], "the end record is missing",
		},
	}
	_, err := restore(change(0, "21 000000 02000000 0100000000000000 00002a36fe9c9717"))
	require.ErrorContains(t, err, "a format of another release")
	require.NotErrorIs(t, err, shardmaster.ErrRecord, "it is not damaged")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := restore(tc.records)
			require.ErrorIs(t, err, shardmaster.ErrRecord)
			require.ErrorContains(t, err, tc.want)
		})
	}

	// Without config 0, which the group may still need.
	rs := change(config0, "")
	rs[3] = golden.Hex("24 000000 00000000 0100000000000000 0100000000000000")
	_, err = restore(rs)
	require.ErrorIs(t, err, shardmaster.ErrRecord)
	require.ErrorContains(t, err, "config 0 is needed, the oldest that is kept is 1")

	broken := errors.New("broken")
	_, err = shardmaster.Restore(func() ([]byte, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, shardmaster.ErrRecord)
	require.ErrorIs(t, shardmaster.New().Image().Records(func([]byte) error { return broken }), broken)
}

func FuzzRestore(f *testing.F) {
	var all []byte
	for _, hex := range goldenImage {
		r := golden.Hex(hex)
		f.Add(len(r), r)
		all = append(all, r...)
	}
	f.Add(24, all)
	f.Fuzz(func(t *testing.T, cut int, in []byte) {
		// The golden image with one record replaced.
		for at := range goldenImage {
			rs := make([][]byte, 0, len(goldenImage))
			for i, hex := range goldenImage {
				if i == at {
					rs = append(rs, in[:min(max(cut, 0), len(in))])
				} else {
					rs = append(rs, golden.Hex(hex))
				}
			}
			if m, err := restore(rs); err == nil {
				require.Equal(t, rs, records(t, m.Image()), "every state has one image")
				do(t, m, "JOIN 9 z:9")
			} else if !errors.Is(err, record.ErrFormat) { // of another release
				require.ErrorIs(t, err, shardmaster.ErrRecord)
			}
		}
	})
}
