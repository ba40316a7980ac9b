package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// observed is how long a group is watched that must not do anything.
const observed = 2 * time.Second

func TestReplicaWaitsForAMajorityAfterDiskLoss(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3, nil)
	c := l.clerk(t)
	stale, intact, lost := l.Members[0], l.Members[1], l.Members[2]
	want := ""
	next := func() {
		p := fmt.Sprint(len(want), " ")
		c.mustAppend(t, "k", p)
		want += p
	}
	for range 10 {
		next()
	}
	require.NoError(t, stale.Kill())
	for range 10 {
		next() // of which the stale one hears nothing
	}
	require.NoError(t, intact.Kill())
	require.NoError(t, lost.LoseDisk())

	// Two of three run. One does not know the last appends, the other nothing:
	// they must not take themselves for a majority.
	require.NoError(t, stale.Start())
	require.NoError(t, lost.Start())
	require.NoError(t, l.Silent(observed))
	require.NoError(t, lost.Kill(), "in the middle of waiting")
	require.NoError(t, lost.Start())
	require.NoError(t, l.Silent(observed/2))

	require.NoError(t, intact.Start())
	c.mustHold(t, "k", want)
	c.mustHold(t, proc.SilenceKey, "")
	next()
	require.NoError(t, lost.Ready(patiently(t)))
	require.NoError(t, intact.Kill())
	next()
	c.mustHold(t, "k", want)
	require.NoError(t, intact.Start())
	require.NoError(t, l.Converged(patiently(t)))
}

func TestReplicaDoesNotChangeItsMindAfterDiskLoss(t *testing.T) {
	t.Parallel()
	chance, _ := chance(t)
	l := newLab(t, 5, nil)
	clerks := []*clerk{l.clerk(t), l.clerk(t)}
	m := l.Members
	for round := range 4 {
		// Some members are away, so that agreements are known to three only.
		away := chance.Perm(5)[:2]
		for _, i := range away {
			require.NoError(t, m[i].Kill())
		}
		var here []*proc.Member
		for _, x := range m {
			if x.Running() {
				here = append(here, x)
			}
		}
		// Two clients compete for each key while one of the three loses its disk.
		keys := make([]string, 10)
		firsts := make([][2]bool, len(keys))
		for i := range keys {
			keys[i] = fmt.Sprintf("agreed-%d-%d", round, i)
		}
		compete := func(w int) func() error {
			return func() error {
				for i, k := range keys {
					first, err := clerks[w].putFirst(k, fmt.Sprint("writer ", w))
					if err != nil {
						return err
					}
					firsts[i][w] = first
				}
				return nil
			}
		}
		at := time.Duration(chance.Int64N(int64(30 * time.Millisecond)))
		lost := here[chance.IntN(3)]
		lose := func() error {
			<-time.After(at)
			if err := lost.LoseDisk(); err != nil {
				return err
			}
			// The two that are left are no majority: the others are needed now, who
			// have missed what was agreed so far.
			for _, i := range away {
				if err := m[i].Start(); err != nil {
					return err
				}
			}
			return lost.Start()
		}
		together(t, compete(0), compete(1), lose)
		want := make([]string, len(keys))
		for i := range keys {
			require.NotEqual(t, firsts[i][0], firsts[i][1], "one of them was first with %s", keys[i])
			want[i] = "writer 1"
			if firsts[i][0] {
				want[i] = "writer 0"
			}
		}
		verify := func() {
			for i, k := range keys {
				clerks[0].mustHold(t, k, want[i])
			}
		}
		verify()
		require.NoError(t, lost.Ready(patiently(t)))
		// Whoever else goes: with the one that lost its disk among the majority,
		// everything is still as it was.
		for _, x := range here {
			if x != lost {
				require.NoError(t, x.Kill())
			}
		}
		verify()
		require.NoError(t, l.Start())
		require.NoError(t, l.Converged(patiently(t)))
	}
}
