package crash

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// startWays are the two ways to start a member again: by the manual, and with
// the flag of the very first start left in place.
var startWays = []struct {
	name string
	once bool
}{
	{name: "without --bootstrap", once: true},
	{name: "with --bootstrap", once: false},
}

func TestEachInTurnLosesItsDiskUnderLoad(t *testing.T) {
	for _, way := range startWays {
		t.Run(way.name, func(t *testing.T) {
			g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: way.once})
			l := startLoad(t, g)
			for i, m := range g.Members {
				l.awaitMore(100)
				before := fieldOf(t, m, "epoch")
				require.NoError(t, m.LoseDisk())
				l.awaitMore(50)
				require.NoError(t, m.Start())
				awaitVoter(t, m, before)

				// The full tolerance is back: the group needs its vote now.
				other := g.Members[(i+1)%len(g.Members)]
				require.NoError(t, other.Kill())
				l.awaitMore(100)
				require.NoError(t, other.Start())
				require.NoError(t, other.Ready(patiently(t)))
			}
			l.stop()
			require.NoError(t, g.Converged(patiently(t)))
			l.verify()
			restartAll(t, g)
			l.verify()
		})
	}
}

func TestLeaderLosesItsDiskUnderLoad(t *testing.T) {
	g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true, Args: []string{"--snapshot-min-bytes", "4096"}})
	l := startLoad(t, g)
	for range 3 {
		l.awaitMore(200)
		leader := leaderOf(t, g)
		before := fieldOf(t, leader, "epoch")
		require.NoError(t, leader.LoseDisk())
		require.NoError(t, leader.Start(), "at once, before another leads")
		awaitVoter(t, leader, before)
	}
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	restartAll(t, g)
	l.verify()
}

func TestDiskIsLostAgainBeforeItsMemberVotes(t *testing.T) {
	g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true})
	l := startLoad(t, g)
	l.awaitMore(200)
	m := followerOf(t, g)
	before := fieldOf(t, m, "epoch")
	// Lost, lost again in the middle of recovery, and crashed with its disk in
	// the middle of the next.
	require.NoError(t, m.LoseDisk())
	require.NoError(t, m.Start())
	require.NoError(t, m.LoseDisk())
	require.NoError(t, m.Start())
	require.NoError(t, m.Kill())
	require.NoError(t, m.Start())
	awaitVoter(t, m, before)
	l.awaitMore(100)
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
}

func TestFiveSurviveOneDownAndOneLost(t *testing.T) {
	g := newGroupWith(t, proc.Options{Size: 5, BootstrapOnce: true})
	l := startLoad(t, g)
	l.awaitMore(100)
	down, lost := g.Members[1], leaderOf(t, g)
	if lost == down {
		down = g.Members[2]
	}
	require.NoError(t, down.Kill())
	before := fieldOf(t, lost, "epoch")
	require.NoError(t, lost.LoseDisk())
	l.awaitMore(100)
	require.NoError(t, lost.Start())
	awaitVoter(t, lost, before)
	l.awaitMore(100)

	// One is still down; another may go.
	for _, m := range g.Members {
		if m != down && m != lost {
			require.NoError(t, m.Kill())
			break
		}
	}
	l.awaitMore(100)
	require.NoError(t, g.Start())
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
}

func TestFiveSurviveTwoLostAtOnce(t *testing.T) {
	for _, way := range startWays {
		t.Run(way.name, func(t *testing.T) {
			g := newGroupWith(t, proc.Options{Size: 5, BootstrapOnce: way.once})
			l := startLoad(t, g)
			l.awaitMore(100)
			lost := g.Members[:2]
			loseAll(t, lost...)
			l.awaitMore(50)
			startAll(t, lost...)
			for _, m := range lost {
				awaitVoter(t, m, 0)
			}
			l.awaitMore(50)

			// Two others may go: the two that lost their disks are needed.
			for _, m := range g.Members[2:4] {
				require.NoError(t, m.Kill())
			}
			l.awaitMore(100)
			startAll(t, g.Members[2:4]...)
			l.stop()
			require.NoError(t, g.Converged(patiently(t)))
			l.verify()
		})
	}
}

func TestForgottenAcceptorIsNotCounted(t *testing.T) {
	// Members 0, 3 and 4 take writes; 0 forgets them. It and the two that have
	// never heard of them are three of five, and must not be a quorum.
	t.Parallel()
	ctx := patiently(t)
	g := newGroupWith(t, proc.Options{Size: 5, BootstrapOnce: true})
	members := g.Members
	r := router(t, g)
	for _, m := range members[1:3] {
		require.NoError(t, m.Kill())
	}
	const writes = 100
	for i := range writes {
		_, err := r.Write(ctx, fmt.Sprint("k", i), "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
		require.NoError(t, err)
	}
	g.Close()
	require.NoError(t, members[0].LoseDisk())
	startAll(t, members[:3]...)
	for _, m := range members[:3] {
		awaitReason(t, m, "intact: 1,2; lost their disks: 0; not heard: 3,4", "needed: 3 intact members")
	}
	requireSilence(t, g)
	require.Equal(t, "recovering", phaseOf(t, members[0]))

	require.NoError(t, members[3].Start())
	ctx = patiently(t)
	for i := range writes {
		v, err := r.Read(ctx, "GET", fmt.Sprint("k", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("v", i), string(v.Str))
	}
	v, err := r.Read(ctx, "EXISTS", proc.SilenceKey)
	require.NoError(t, err)
	require.Zero(t, v.Int, "what was refused was not done")
	awaitVoter(t, members[0], 0)
	require.NoError(t, members[4].Start())
	require.NoError(t, g.Converged(ctx))
}
