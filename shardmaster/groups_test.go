package shardmaster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
	"diskv/shardmaster"
)

func TestGroupsSayHowFarTheyAre(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 a:2 -> 1
		PASSED 1 1 1 -> 1
		JOIN 2 b:1 -> 2
		GROUPS -> [[1 member 1 1 1 a:1 a:2] [2 member 2 0 0 b:1]]
		PASSED 1 2 0 -> 2
		PASSED 1 1 1 -> 2
		GROUPS -> [[1 member 1 2 0 a:1 a:2] [2 member 2 0 0 b:1]]
		PASSED 1 2 1 -> 2
		PASSED 1 2 0 -> 2
		PASSED 2 1 1 -> 2
		PASSED 9 2 1 -> 2
		GROUPS -> [[1 member 1 2 1 a:1 a:2] [2 member 2 0 0 b:1]]
		PASSED 2 2 1 -> 2
		GROUPS -> [[1 member 1 2 1 a:1 a:2] [2 member 2 2 1 b:1]]`)
}

func TestAGroupThatLeftIsKnownUntilNobodyNeedsIt(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		PASSED 2 2 1 -> 2
		LEAVE 2 -> 3
		GROUPS -> [[1 member 1 0 0 a:1] [2 leaving 2 2 1 b:1]]
		JOIN 3 b:1 -> ERR address b:1 is in group 2 (leaving): every group has servers of its own
		PASSED 2 3 0 -> 3
		GROUPS -> [[1 member 1 0 0 a:1] [2 leaving 2 3 0 b:1]]
		PASSED 2 3 1 -> 3
		GROUPS -> [[1 member 1 0 0 a:1] [2 leaving 2 3 1 b:1]]
		PASSED 1 3 0 -> 3
		GROUPS -> [[1 member 1 3 0 a:1] [2 leaving 2 3 1 b:1]]
		PASSED 1 3 1 -> 3
		GROUPS -> [[1 member 1 3 1 a:1]]
		PASSED 2 3 1 -> 3
		JOIN 3 b:1 -> 4
		GROUPS -> [[1 member 1 3 1 a:1] [3 member 4 0 0 b:1]]`)
}

// TestAGroupThatLeftIsKnownUntilItIsDrained, though all others have what they were
// given and keep nothing.
func TestAGroupThatLeftIsKnownUntilItIsDrained(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		LEAVE 2 -> 3
		PASSED 1 3 1 -> 3
		PASSED 2 3 0 -> 3
		GROUPS -> [[1 member 1 3 1 a:1] [2 leaving 2 3 0 b:1]]
		PASSED 2 3 1 -> 3
		GROUPS -> [[1 member 1 3 1 a:1]]`)
}

// TestGroupsThatLeftDoNotWaitForEachOther, nor for one that came after them.
func TestGroupsThatLeftDoNotWaitForEachOther(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		JOIN 3 c:1 -> 3
		LEAVE 2 -> 4
		LEAVE 3 -> 5
		JOIN 4 d:1 -> 6
		PASSED 2 5 1 -> 6
		PASSED 3 4 0 -> 6
		PASSED 1 6 1 -> 6
		GROUPS -> [[1 member 1 6 1 a:1] [2 leaving 2 5 1 b:1] [3 leaving 3 4 0 c:1] [4 member 6 0 0 d:1]]
		PASSED 3 5 1 -> 6
		GROUPS -> [[1 member 1 6 1 a:1] [4 member 6 0 0 d:1]]`)
}

func TestAGroupComesBackWhileItIsLeaving(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		PASSED 1 2 1 -> 2
		PASSED 2 2 1 -> 2
		LEAVE 2 -> 3
		JOIN 2 b:2 -> 4
		GROUPS -> [[1 member 1 2 1 a:1] [2 member 2 2 1 b:2]]
		PASSED 2 3 1 -> 4
		GROUPS -> [[1 member 1 2 1 a:1] [2 member 2 3 1 b:2]]
		LEAVE 2 -> 5
		PASSED 2 4 1 -> 5
		GROUPS -> [[1 member 1 2 1 a:1] [2 leaving 2 4 1 b:2]]
		PASSED 1 5 1 -> 5
		PASSED 2 5 1 -> 5
		GROUPS -> [[1 member 1 5 1 a:1]]`)
}

// TestALateReportFromBeforeAGroupCameBack: it was forgotten meanwhile, and so were
// the configs of that time.
func TestALateReportFromBeforeAGroupCameBack(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		LEAVE 2 -> 3
		PASSED 2 3 1 -> 3
		PASSED 1 3 1 -> 3
		JOIN 2 b:1 -> 4
		PASSED 1 4 1 -> 4
		PASSED 2 3 1 -> 4
		PASSED 2 0 1 -> 4
		GROUPS -> [[1 member 1 4 1 a:1] [2 member 4 0 0 b:1]]
		QUERY 2 -> COMPACTED config 2 was dropped when every group had passed it; the oldest that is kept is 3`)
	require.EqualValues(t, 3, config(t, m, "QUERY 3").Num)
}

func TestConfigsThatNobodyNeedsAreDropped(t *testing.T) {
	m := shardmaster.New()
	oldest := func() uint64 { return m.Newest().Num - uint64(m.Kept()) + 1 }
	for _, step := range []struct {
		line string
		want uint64
	}{
		{"JOIN 1 a:1", 0}, // a new group needs the config before it came, too
		{"JOIN 2 b:1", 0},
		{"PASSED 1 1 1", 1},
		{"PASSED 1 2 0", 1}, // group 2
		{"PASSED 2 2 0", 2},
		{"MOVE 0 2", 2},
		{"MOVE 1 2", 2},
		{"PASSED 1 4 0", 2},
		{"PASSED 2 3 0", 3},
		{"LEAVE 2", 3},
		{"MOVE 0 1", 3},
		{"PASSED 1 5 1", 3}, // who is leaving counts
		{"PASSED 2 4 1", 4},
		{"PASSED 2 5 0", 5},
		{"PASSED 2 5 1", 5},
		{"JOIN 1 a:2", 5},
		{"PASSED 1 6 1", 6}, // the newest always stays
	} {
		do(t, m, step.line)
		require.Equal(t, step.want, oldest(), step.line)
	}
	require.Contains(t, do(t, m, "QUERY 5"), "COMPACTED ")
	require.Equal(t, m.Newest(), config(t, m, "QUERY 6"))
}

func TestConfigsForAGroupThatIsBehindAreBounded(t *testing.T) {
	m := shardmaster.New()
	do(t, m, "JOIN 1 a:1")
	do(t, m, "JOIN 2 b:1")
	do(t, m, "PASSED 1 2 1")
	for i := 0; m.Kept() < shardmaster.MaxKept; i++ {
		do(t, m, fmt.Sprintf("MOVE 0 %d", 2-i%2))
	}
	newest := m.Newest().Num
	want := "ERR 1024 configs are kept already, because group 2 needs those from 1 on: start it, or see why it is behind"
	require.Equal(t, want, do(t, m, "MOVE 100 2"))
	require.Equal(t, want, do(t, m, "LEAVE 2"))
	require.Equal(t, want, do(t, m, "JOIN 3 c:1"))
	require.Equal(t, fmt.Sprint(newest), do(t, m, "LEAVE 3"), "nothing to change, nothing to refuse")
	require.Equal(t, fmt.Sprint(newest+1), do(t, m, "JOIN 2 b:2"), "its addresses may have been wrong")
	do(t, m, fmt.Sprintf("PASSED 2 %d 1", newest))
	do(t, m, fmt.Sprintf("PASSED 1 %d 1", newest))
	require.Equal(t, 2, m.Kept())
	require.Equal(t, fmt.Sprint(newest+2), do(t, m, "MOVE 100 2"))
}

func TestThereAreAtMostSoManyGroups(t *testing.T) {
	m := shardmaster.New()
	for g := range shard.MaxGroups {
		require.Equal(t, fmt.Sprint(g+1), do(t, m, fmt.Sprintf("JOIN %d a:%d", g+1, g+1)))
		do(t, m, fmt.Sprintf("PASSED 1 %d 1", g+1))
	}
	const want = "ERR there are 1024 groups already, those that are leaving counted: more are not possible"
	require.Equal(t, want, do(t, m, "JOIN 2000 b:1"))
	require.Equal(t, 16, m.Newest().Held(1024))
	do(t, m, "LEAVE 7 IF 1023")
	require.Contains(t, do(t, m, "LEAVE 7"), "ERR 1024 configs are kept already")
	for g := range shard.MaxGroups {
		do(t, m, fmt.Sprintf("PASSED %d 1024 1", g+1))
	}
	require.Equal(t, "1025", do(t, m, "LEAVE 7"))
	require.Equal(t, want, do(t, m, "JOIN 2000 b:1"))
	require.Equal(t, "1026", do(t, m, "JOIN 7 a:7"))
}

// follower is a group that takes configs as groups do: first the one in which it
// joined, with the one before, then one after the other.
type follower struct {
	at      uint64 // the config that it has taken; 0: none
	settled uint64
	drained bool
}

// TestNoGroupMissesAConfig: however slow a group is, and however late or often its
// reports come, every config that it has to take next is still there.
func TestNoGroupMissesAConfig(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		m := shardmaster.New()
		groups := make(map[int]*follower)
		var reports []string
		for range 400 {
			switch rnd.IntN(5) {
			case 0:
				if line := randomLine(rnd, m); line[0] != 'P' {
					do(t, m, line)
				}
			case 1:
				if len(reports) > 0 { // any of them, which stays
					do(t, m, reports[rnd.IntN(len(reports))])
				}
			default:
				table := value(t, query(t, m, "GROUPS")).Elems
				known := make(map[int]bool)
				for _, g := range table {
					gid, joined := int(g.Elems[0].Int), uint64(g.Elems[2].Int)
					known[gid] = true
					f := groups[gid]
					if f == nil {
						f = &follower{}
						groups[gid] = f
					}
					f.step(t, rnd, m, joined)
					if f.settled > 0 {
						reports = append(reports, fmt.Sprintf("PASSED %d %d %d", gid, f.settled, map[bool]int{true: 1}[f.drained]))
					}
				}
				for gid := range groups {
					if !known[gid] {
						delete(groups, gid) // it is over; it may come again, empty
					}
				}
			}
		}
		require.Greater(t, m.Newest().Num, uint64(20))
	}
}

func (f *follower) step(t *testing.T, rnd *rand.Rand, m *shardmaster.Machine, joined uint64) {
	t.Helper()
	switch {
	case rnd.IntN(3) > 0:
	case f.at == 0:
		config(t, m, fmt.Sprintf("QUERY %d", joined-1))
		config(t, m, fmt.Sprintf("QUERY %d", joined))
		f.at = joined
	case f.settled < f.at:
		f.settled = f.at
	case !f.drained && rnd.IntN(2) == 0:
		f.drained = true
	case f.at < m.Newest().Num:
		f.at++
		config(t, m, fmt.Sprintf("QUERY %d", f.at))
		f.drained = rnd.IntN(2) == 0
	}
}

// query returns the reply of a read.
func query(t *testing.T, m *shardmaster.Machine, line string) []byte {
	t.Helper()
	p, refusal := shardmaster.Prepare(words(line))
	require.Nil(t, refusal)
	reply, ok := m.Query(nil, epoch, p.Encoded)
	require.True(t, ok)
	return reply
}
