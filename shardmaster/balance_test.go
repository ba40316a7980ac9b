package shardmaster_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
	"diskv/shardmaster"
)

// fewest returns how many shards have to change their owner at least so that the
// groups of next, at most 8, own everything in sizes that differ by at most one:
// every choice of those that get one more is tried.
func fewest(before, next *shard.Config) int {
	n := len(next.Groups)
	best := shard.Count + 1
	for larger := range uint(1) << n {
		if bits.OnesCount(larger) != shard.Count%n {
			continue
		}
		stay := 0
		for i, g := range next.Groups {
			stay += min(before.Held(g.ID), shard.Count/n+int(larger>>i&1))
		}
		best = min(best, shard.Count-stay)
	}
	return best
}

func moved(a, b *shard.Config) int {
	n := 0
	for i := range a.Owner {
		if a.Owner[i] != b.Owner[i] {
			n++
		}
	}
	return n
}

// randomLine is a change among few groups, so that they meet.
func randomLine(rnd *rand.Rand, m *shardmaster.Machine) string {
	gid := 1 + rnd.IntN(8)
	switch rnd.IntN(10) {
	case 0, 1, 2:
		return fmt.Sprintf("JOIN %d g%d:%d", gid, gid, 1+rnd.IntN(2))
	case 3, 4:
		return fmt.Sprintf("LEAVE %d", gid)
	case 5, 6:
		first := rnd.IntN(shard.Count)
		return fmt.Sprintf("MOVE %d-%d %d", first, min(first+rnd.IntN(3000), shard.Count-1), gid)
	case 7:
		return "BALANCE"
	default:
		return fmt.Sprintf("PASSED %d %d %d", gid, rnd.IntN(int(m.Newest().Num)+2), rnd.IntN(2))
	}
}

func TestGroupsAreBalancedWithTheFewestMoves(t *testing.T) {
	checked := 0
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		m, twin := shardmaster.New(), shardmaster.New()
		for range 60 {
			line := randomLine(rnd, m)
			before := m.Newest()
			reply := do(t, m, line)
			require.Equal(t, reply, do(t, twin, line), "seed %d: %s", seed, line)
			after := m.Newest()
			if after == before {
				continue
			}
			require.Equal(t, before.Num+1, after.Num)
			require.Equal(t, fmt.Sprint(after.Num), reply)
			require.NoError(t, after.Check())
			if line[0] == 'M' {
				continue // pins
			}
			if line[0] == 'J' && len(before.Groups) == len(after.Groups) {
				require.Zero(t, moved(before, after), "new addresses move nothing")
				continue
			}
			least, most := shard.Count, 0
			for _, size := range sizes(m) {
				least, most = min(least, size), max(most, size)
			}
			require.LessOrEqual(t, most-least, 1, "seed %d: %s", seed, line)
			require.Equal(t, fewest(before, after), moved(before, after), "seed %d: %s", seed, line)
			checked++
		}
		require.Equal(t, m.Digest(), twin.Digest())
	}
	require.Greater(t, checked, 200)
}

// TestRowsOfShardsStayLong: a config is small, and so are the answers of CLUSTER
// SLOTS, if groups just come and go.
func TestRowsOfShardsStayLong(t *testing.T) {
	m := shardmaster.New()
	for g := 1; g <= 16; g++ {
		do(t, m, fmt.Sprintf("JOIN %d g:%d", g, g))
	}
	for g := 2; g <= 16; g++ {
		do(t, m, fmt.Sprintf("LEAVE %d", g))
		do(t, m, fmt.Sprintf("JOIN %d g:%d", g, g))
	}
	rows := 0
	for g := 1; g <= 16; g++ {
		rows += len(m.Newest().Ranges(shard.GroupID(g)))
	}
	require.Less(t, rows, 16*32)
}
