package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// TestCommitIndexOfATornBatch: a power cut may leave the first few records of a
// batch. The commit index that they carry must be true of the log that ends with
// them, so it rides in the last one only.
func TestCommitIndexOfATornBatch(t *testing.T) {
	g := formed(t, 3, Options{IdleTime: time.Hour})
	m := g.followers()[0]
	g.isolate(m)
	for i := range 10 {
		g.set(fmt.Sprintf("set a %d", i))
	}
	// It gets what it lacks in one message, which says that all of it is chosen.
	m.slow = true
	g.heal()
	batch := func() *pendingBatch {
		for i := range m.pending {
			if len(m.pending[i].records) >= 10 {
				return &m.pending[i]
			}
		}
		return nil
	}
	for i := 0; batch() == nil; i++ {
		require.Less(t, i, 200, "no batch of many entries comes")
		g.run(10 * time.Millisecond)
		if batch() == nil {
			m.sync()
		}
	}
	for m.pending[0].sync != batch().sync {
		m.sync()
	}
	records := batch().records
	for n := range len(records) + 1 {
		log := append(append([]Record(nil), m.log...), records[:n]...)
		r, err := m.replayed(log)
		require.NoError(t, err, "%d records of %d", n, len(records))
		require.LessOrEqual(t, r.core.Commit(), r.core.Last())
		if n == len(records) {
			require.Equal(t, paxos.Slot(10), r.core.Applied())
		}
	}
}
