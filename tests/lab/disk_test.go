package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

func TestEachInTurnLosesItsDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3, nil)
	c := l.clerk(t)
	want := ""
	next := func() {
		p := fmt.Sprint(len(want), " ")
		c.mustAppend(t, "k", p)
		want += p
	}
	for i, m := range l.Members {
		next()
		require.NoError(t, m.LoseDisk())
		next()
		require.NoError(t, m.Start())
		next()
		c.mustHold(t, "k", want)
		require.NoError(t, m.Ready(patiently(t)))

		// Its vote is needed, and what it knows.
		other := l.Members[(i+1)%3]
		require.NoError(t, other.Kill())
		c.mustHold(t, "k", want)
		next()
		require.NoError(t, other.Start())
		require.NoError(t, other.Ready(patiently(t)))
	}
	l.restartAll(t)
	c.mustHold(t, "k", want)
}

func TestOneIsDownAndAnotherLosesItsDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t, 5, nil)
	c := l.clerk(t)
	want := ""
	next := func() {
		p := fmt.Sprint(len(want), " ")
		c.mustAppend(t, "k", p)
		want += p
	}
	down, lost := l.Members[0], l.Members[1]
	next()
	require.NoError(t, down.Kill())
	next()
	require.NoError(t, lost.LoseDisk())
	next()
	require.NoError(t, lost.Start())
	next()
	c.mustHold(t, "k", want)
	require.NoError(t, lost.Ready(patiently(t)))

	// The one that was down knows the beginning, the other has it from others.
	// With one of those they are a majority.
	require.NoError(t, l.Members[2].Kill())
	next()
	c.mustHold(t, "k", want)
	require.NoError(t, down.Start())
	require.NoError(t, l.Members[3].Kill())
	next()
	c.mustHold(t, "k", want)
	require.NoError(t, l.Start())
	require.NoError(t, l.Converged(patiently(t)))
	c.mustHold(t, "k", want)
}

// harm crashes members of groups, one after the other, until the end, and starts
// each again; half of them without their disk.
func harm(ctx context.Context, chance *rand.Rand, end <-chan struct{}, groups ...*proc.Group) error {
	for {
		members := groups[chance.IntN(len(groups))].Members
		m := members[chance.IntN(len(members))]
		fall := m.Kill
		if chance.IntN(2) == 0 {
			fall = m.LoseDisk
		}
		if err := fall(); err != nil {
			return err
		}
		// Down for a while, up for a while: the scenario itself.
		more := pause(end, chance, 200*time.Millisecond)
		if err := m.Start(); err != nil || !more {
			return err
		}
		// The next may go only when this one is back: it may be of the same group.
		if err := readySoon(ctx, m); err != nil {
			return err
		}
		if !pause(end, chance, 300*time.Millisecond) {
			return nil
		}
	}
}

func readySoon(ctx context.Context, m *proc.Member) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.Ready(ctx)
}

// pause takes up to a time, and reports false when end has come.
func pause(end <-chan struct{}, chance *rand.Rand, most time.Duration) bool {
	select {
	case <-end:
		return false
	case <-time.After(time.Duration(chance.Int64N(int64(most)))):
		return true
	}
}

func TestConcurrentAppendsUnderCrashesAndDiskLosses(t *testing.T) {
	t.Parallel()
	concurrentAppends(t, false)
}

func TestConcurrentAppendsUnderCrashesAndDiskLossesUnreliable(t *testing.T) {
	t.Parallel()
	concurrentAppends(t, true)
}

func concurrentAppends(t *testing.T, bad bool) {
	t.Helper()
	const writers = 5
	const lasting = 8 * time.Second
	chance, netSeed := chance(t)
	var network *proc.Network
	if bad {
		network = unreliable(t, netSeed)
	}
	l := newLab(t, 3, network)
	counts := make([]int, writers)
	var appending []func() error
	begun := time.Now()
	for w := range writers {
		c := l.clerk(t)
		appending = append(appending, func() error {
			for time.Since(begun) < lasting {
				if err := c.append("k", piece(w, counts[w])); err != nil {
					return fmt.Errorf("writer %d: %w", w, err)
				}
				counts[w]++
			}
			return nil
		})
	}
	end := make(chan struct{})
	together(t,
		func() error {
			defer close(end)
			return atOnce(appending...)
		},
		func() error { return harm(t.Context(), chance, end, l.Group) },
	)
	t.Log("appends of each writer:", counts)

	c := l.clerk(t)
	value, err := c.get("k")
	require.NoError(t, err)
	requirePieces(t, value, counts)
	require.NoError(t, l.Converged(patiently(t)))
	l.restartAll(t)
	c.mustHold(t, "k", value)
}

func TestAppendsAtTheInstantOfACrash(t *testing.T) {
	t.Parallel()
	chance, netSeed := chance(t)
	l := newLab(t, 3, unreliable(t, netSeed))
	c, other := l.clerk(t), l.clerk(t)
	want := ""
	for i := range 50 {
		m := l.Members[chance.IntN(3)]
		lost := chance.IntN(2) == 0
		p := fmt.Sprint(i, " ")
		// An append takes some milliseconds.
		at := time.Duration(chance.Int64N(int64(5 * time.Millisecond)))
		together(t,
			func() error { return c.append("k", p) },
			func() error {
				<-time.After(at)
				if lost {
					return m.LoseDisk()
				}
				return m.Kill()
			},
			func() error {
				_, err := other.get("k")
				return err
			},
		)
		want += p
		require.NoError(t, m.Start())
		other.mustHold(t, "k", want)
		require.NoError(t, m.Ready(patiently(t)))
	}
}
