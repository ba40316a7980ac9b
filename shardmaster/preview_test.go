package shardmaster_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
	"diskv/shardmaster"
)

func TestPreviewIsWhatTheChangeMakes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := shardmaster.New()
	for range 300 {
		gid := strconv.Itoa(1 + rng.IntN(5))
		first := rng.IntN(shard.Count)
		line := []string{
			"JOIN " + gid + " host-" + gid + ":1", "LEAVE " + gid, "BALANCE",
			"MOVE " + shard.Range{First: shard.ID(first), Last: shard.ID(first + rng.IntN(shard.Count-first))}.String() + " " + gid,
		}[rng.IntN(4)]
		before := m.Newest()
		image := before.Append(nil)
		previewed, err := shardmaster.Preview(before, words(line))
		require.Equal(t, image, before.Append(nil), "what is given stays as it is")
		reply := do(t, m, line)
		if err != nil {
			require.Equal(t, err.Error(), reply, line)
			require.Same(t, before, m.Newest())
			continue
		}
		require.Equal(t, m.Newest(), previewed, line)
		for _, g := range m.Newest().Groups { // so that those that left are over
			do(t, m, "PASSED "+strconv.Itoa(int(g.ID))+" "+strconv.FormatUint(m.Newest().Num, 10)+" 1")
		}
		for id := 1; id <= 5; id++ {
			do(t, m, "PASSED "+strconv.Itoa(id)+" "+strconv.FormatUint(m.Newest().Num, 10)+" 1")
		}
	}
}

func TestPreviewRefuses(t *testing.T) {
	c := shardmaster.New().Newest()
	for line, want := range map[string]string{
		"QUERY":           "not a change",
		"PASSED 1 1 1":    "not a change",
		"JOIN 1":          "ERR wrong number of arguments",
		"BALANCE":         "ERR there is no group yet",
		"BALANCE IF 3":    "CONFIGCHANGED ",
		"MOVE 1 7":        "ERR group 7 is not in config 0",
		"JOIN 1 nonsense": "ERR address",
	} {
		_, err := shardmaster.Preview(c, words(line))
		require.ErrorContains(t, err, want, line)
	}
}
