package crash

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLeaderIsKilledUnderLoad(t *testing.T) {
	g := newGroup(t)
	l := startLoad(t, g)
	var outages []time.Duration
	for range *kills {
		l.awaitMore(200)
		leader := leaderOf(t, g)
		killed := time.Now()
		require.NoError(t, leader.Kill())
		outages = append(outages, l.awaitDone(killed.Add(2*time.Millisecond)))
		l.awaitMore(100)
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(patiently(t)))
	}
	l.stop()
	require.NoError(t, g.Converged(patiently(t)), "those that were killed catch up")
	l.verify()
	slices.Sort(outages)
	t.Logf("%d kills, %d writes: another leader serves after %v (median; shortest %v, longest %v)",
		*kills, l.acked(), round(outages[len(outages)/2]), round(outages[0]), round(outages[len(outages)-1]))
	require.Less(t, outages[len(outages)/2], time.Second)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func TestAllAreKilledAtOnceUnderLoad(t *testing.T) {
	g := newGroup(t)
	l := startLoad(t, g)
	for range 2 {
		l.awaitMore(300)
		for _, m := range g.Members {
			require.NoError(t, m.Signal(killSignal))
		}
		for _, m := range g.Members {
			_, err := m.Wait(patiently(t))
			require.NoError(t, err)
		}
		require.NoError(t, g.Start())
		l.awaitMore(1)
	}
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
}

func TestKillsWhileSnapshotsAreTaken(t *testing.T) {
	g := newGroup(t, "--snapshot-min-bytes", "4096")
	l := startLoad(t, g)
	for i := range 6 {
		l.awaitMore(150)
		m := g.Members[i%len(g.Members)]
		require.NoError(t, m.Kill())
		require.NoError(t, m.Start())
		require.NoError(t, m.Ready(patiently(t)))
	}
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
	for _, m := range g.Members {
		info, err := m.Info()
		require.NoError(t, err)
		require.NotEqual(t, "0", info["snapshot_slot"], "member %d has taken a snapshot", m.Index)
	}
	// What the snapshots and the log hold is all that there is.
	for _, m := range g.Members {
		require.NoError(t, m.Kill())
	}
	require.NoError(t, g.Start())
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
}
