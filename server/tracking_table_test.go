package server

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheTableOfWhatIsTrackedIsBounded: beyond its limits keys are invalidated early, and
// a client that is not heard is told to forget everything.
func TestTheTableOfWhatIsTrackedIsBounded(t *testing.T) {
	table := newTracking()
	table.limit.Store(10)
	tr, other := newTracker(table), newTracker(table)
	table.clients[tr], table.clients[other] = struct{}{}, struct{}{}
	for i := range 30 {
		table.note(tr, fmt.Appendf(nil, "key%d", i))
		require.LessOrEqual(t, len(table.keys), 10)
	}
	told, all := tr.take()
	require.False(t, all)
	require.Len(t, told, 20)

	table.limit.Store(0)
	table.note(other, []byte("key"))
	table.note(tr, []byte("key"))
	require.Equal(t, []*tracker{other, tr}, table.keys["key"])
	table.remove(other)
	third := newTracker(table)
	table.note(third, []byte("key"))
	require.Equal(t, []*tracker{other, tr}, table.keys["key"], "it has gone already")
	table.clients[third] = struct{}{}
	table.note(third, []byte("key"))
	require.Equal(t, []*tracker{tr, third}, table.keys["key"], "those that have gone are forgotten")

	large := make([]byte, 1<<20)
	tr.take()
	for i := range 200 {
		large[0] = byte(i)
		table.note(tr, large)
		require.LessOrEqual(t, table.bytes, maxTrackedBytes)
	}
	told, all = tr.take()
	require.True(t, all, "they are long")
	require.Empty(t, told)
	for i := range maxUntold + 1 {
		tr.invalidate(fmt.Append(nil, i))
	}
	told, all = tr.take()
	require.True(t, all)
	require.Empty(t, told)

	bytes := 0
	for key, holders := range table.keys {
		bytes += len(key) + holderBytes*len(holders)
	}
	require.Equal(t, bytes, table.bytes)
	table.remove(tr)
	table.remove(third)
	require.Empty(t, table.keys)
	require.Zero(t, table.bytes)
}
