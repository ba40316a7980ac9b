package paxos

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTornBatch: entries of a batch survive a crash, the hard state behind them
// does not. To have accepted them is a promise, whatever hard state the next
// segment of the log begins with, and it gets into the log with the next batch.
func TestTornBatch(t *testing.T) {
	restart := func(records ...func(*Core) error) *Core {
		c := New(Config{ID: 0, Size: 3, Life: Life{Nonce: 1}, Rand: rand.New(rand.NewPCG(1, 1))})
		for _, r := range records {
			require.NoError(t, r(c))
		}
		c.Start(0, 0)
		return c
	}
	state := func(b Ballot) func(*Core) error {
		return func(c *Core) error { return c.RestoreHardState(HardState{Promised: b}) }
	}
	entry := func(b Ballot) func(*Core) error {
		return func(c *Core) error { return c.RestoreEntry(Entry{Slot: 1, Ballot: b, Kind: KindNoop}) }
	}
	first, second := Ballot{1, 1}, Ballot{2, 2}

	c := restart(state(first), entry(second))
	require.Equal(t, second, c.Promised())
	rd := c.Ready()
	require.True(t, rd.StateChanged, "the promise is in no hard state yet")
	require.Equal(t, second, rd.HardState.Promised)

	// The log began a segment before that batch came to it.
	c = restart(state(first), entry(second), state(first))
	require.Equal(t, second, c.Promised())
	require.Equal(t, second, c.Ready().HardState.Promised)

	require.False(t, restart(state(first), entry(first)).Ready().StateChanged)
}
