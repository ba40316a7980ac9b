package crash

import (
	"bytes"
	le "encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
	"diskv/wal"
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
	require.Less(t, outages[len(outages)/2], 3*time.Second)
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

// TestPowerCutOfAllUnderLoad: all die at once, and the write that each was at has
// come to its disk in part. All come back, and none as a lost disk.
func TestPowerCutOfAllUnderLoad(t *testing.T) {
	t.Parallel()
	// What is behind the last frame of a log, beginning with the length of the
	// next one.
	frame := func(length int, content []byte) []byte {
		return append(le.AppendUvarint(nil, uint64(length)), content...)
	}
	var (
		lengthOnly   = frame(3000, nil)
		sectorMissed = frame(4000, append(make([]byte, 1536), bytes.Repeat([]byte{0xa5}, 2464)...))
		headMissed   = frame(3000, append([]byte("\xf7dkv"), make([]byte, 2000)...))
	)
	tails := [][]byte{lengthOnly, sectorMissed, headMissed}
	g := newGroup(t)
	l := startLoad(t, g)
	for round := range len(tails) {
		l.awaitMore(200)
		for _, m := range g.Members {
			require.NoError(t, m.Signal(killSignal))
		}
		for i, m := range g.Members {
			_, err := m.Wait(patiently(t))
			require.NoError(t, err)
			appendToLog(t, m, tails[(round+i)%len(tails)])
		}
		require.NoError(t, g.Start())
		l.awaitMore(1)
	}
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
	for _, m := range g.Members {
		require.Contains(t, m.Output(), "torn end of the log cut")
		require.Zero(t, fieldOf(t, m, "epoch"), "no disk counts as lost")
		require.NotContains(t, m.Output(), "has lost its disk")
	}
}

// appendToLog writes bytes behind the last record of a member's log.
func appendToLog(t *testing.T, m *proc.Member, tail []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.Dir, "wal", "*", "*"))
	require.NoError(t, err)
	slices.Sort(files)
	for _, name := range slices.Backward(files) {
		segment, err := wal.ScanSegment(name, func(wal.Record, int64) error { return nil })
		if errors.Is(err, io.EOF) {
			continue // made ready, behind the end
		}
		require.NoError(t, err)
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteAt(tail, segment.Bytes)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		return
	}
	require.FailNow(t, "the log is empty", "%v", files)
}
