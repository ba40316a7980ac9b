package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLogIsKeptUntilItsSnapshotIsDurable: a process that dies while a snapshot
// is being written finds everything in its log.
func TestLogIsKeptUntilItsSnapshotIsDurable(t *testing.T) {
	g := formed(t, 1, Options{SnapshotMinBytes: 1000})
	m := g.leader()
	m.slowTasks = true
	for i := 0; m.r.snapshots.taking == nil; i++ {
		require.Less(t, i, 1000, "no snapshot is asked for")
		g.set(fmt.Sprintf("set k%d %0100d", i%5, i))
	}
	g.set("set last 1")
	before, applied := m.machine().state(), m.r.core.Applied()
	m.crash()
	require.Empty(t, m.snapshots)
	m.slowTasks = false
	m.start()
	g.run(time.Second)
	require.GreaterOrEqual(t, m.r.core.Applied(), applied)
	require.Equal(t, before, m.machine().state())
}
