package crashreplay

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPlanFollowsFromTheSeed(t *testing.T) {
	for _, s := range Scenarios {
		for _, members := range []int{3, 5} {
			plan := Plan(s, members, time.Hour, 7)
			require.Equal(t, plan, Plan(s, members, time.Hour, 7))
			if len(s.Kinds) == 0 {
				require.Empty(t, plan)
				continue
			}
			require.NotEqual(t, plan, Plan(s, members, time.Hour, 8))
			require.Equal(t, plan[:10], Plan(s, members, time.Hour/2, 7)[:10], "a shorter run begins alike")
			seen := make(map[Kind]int)
			for i, f := range plan {
				require.Equal(t, i+1, f.N)
				require.True(t, f.fits(members), "%+v", f)
				require.Positive(t, f.After)
				seen[f.Kind]++
			}
			for _, k := range s.Kinds {
				require.Greater(t, seen[k], 100, "%s of %s", k, s.Name)
			}
		}
	}
}

func TestEveryKindOfFaultIsThere(t *testing.T) {
	mixed, err := Find("mixed")
	require.NoError(t, err)
	for _, k := range Kinds() {
		require.Contains(t, mixed.Kinds, k)
		require.Contains(t, injections, k)
		require.Contains(t, colors, k)
		require.NotEmpty(t, k.Text())
	}
	_, err = Find("mixd")
	require.ErrorContains(t, err, `no scenario "mixd": there are calm, kills`)
}

// TestAtMostAMinorityIsFaulty: whatever is taken and given back, in whatever order.
func TestAtMostAMinorityIsFaulty(t *testing.T) {
	for _, members := range []int{3, 4, 5, 7} {
		chance := rand.New(rand.NewPCG(1, uint64(members)))
		b := newBudget(members)
		faulty := make(map[int]bool)
		var taken [][]int
		refused, all := 0, 0
		for range 5000 {
			if len(taken) > 0 && chance.IntN(2) == 0 {
				i := chance.IntN(len(taken))
				b.give(taken[i])
				for _, m := range taken[i] {
					delete(faulty, m)
				}
				taken = append(taken[:i], taken[i+1:]...)
			}
			f := Fault{Count: 1 + chance.IntN(minority(members)), Seed: chance.Uint64(), Leader: chance.IntN(2) == 0}
			if chance.IntN(10) == 0 {
				f.Count = members
			}
			leader := chance.IntN(members+1) - 1
			got, again := b.take(f, leader)
			if got == nil {
				refused++
				require.NotNil(t, again)
				continue
			}
			require.Len(t, got, f.Count)
			if f.Leader && leader >= 0 && !faulty[leader] {
				require.Contains(t, got, leader)
			}
			for _, m := range got {
				require.False(t, faulty[m], "member %d is faulty already", m)
				faulty[m] = true
			}
			taken = append(taken, got)
			if f.Count == members {
				require.Len(t, taken, 1, "all at once, and nothing else")
				all++
			} else {
				require.LessOrEqual(t, len(faulty), minority(members))
			}
			require.Len(t, b.whole(), members-len(faulty))
		}
		require.Greater(t, refused, 100)
		require.Greater(t, all, 10)
	}
}

func TestMembersThatAreNamedAreTaken(t *testing.T) {
	b := newBudget(5)
	got, _ := b.take(Fault{Count: 1, Members: []int{3}}, -1)
	require.Equal(t, []int{3}, got)
	got, again := b.take(Fault{Count: 1, Members: []int{3}}, -1)
	require.Nil(t, got)
	b.give([]int{3})
	<-again
	got, _ = b.take(Fault{Count: 2, Members: []int{3, 4}}, -1)
	require.Equal(t, []int{3, 4}, got)
}

// TestScheduleIsReadBack: with the members that had the faults, at the times at which they
// began, in that order, though the file has them in the order in which they ended.
func TestScheduleIsReadBack(t *testing.T) {
	name := filepath.Join(t.TempDir(), scheduleName)
	rs, err := createRecords(name)
	require.NoError(t, err)
	one := rs.begin(Fault{N: 1, Kind: Kill, After: 9, Count: 1, Seed: 4, Members: []int{2}}, time.Second)
	two := rs.begin(Fault{N: 2, Kind: Lost, After: 9, Count: 1, Members: []int{0}}, 3*time.Second)
	never := rs.begin(Fault{N: 3, Kind: Pause, After: 9, Count: 1, Members: []int{1}}, 4*time.Second)
	rs.detail(never, "stopped")
	rs.end(two, 5*time.Second)
	rs.end(one, 6*time.Second)
	require.NoError(t, rs.close())
	plan, err := ReadSchedule(name)
	require.NoError(t, err)
	require.Equal(t, []Fault{
		{N: 1, Kind: Kill, After: time.Second, Count: 1, Seed: 4, Members: []int{2}},
		{N: 2, Kind: Lost, After: 2 * time.Second, Count: 1, Members: []int{0}},
		{N: 3, Kind: Pause, After: time.Second, Count: 1, Members: []int{1}},
	}, plan)
}
