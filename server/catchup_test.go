package server

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/wal"
)

// chosenLog is a log that holds, from slot 1 on, values of the given sizes, each
// of which was accepted under another ballot with another value before.
func chosenLog(t *testing.T, sizes []int) *wal.Log {
	t.Helper()
	log, err := wal.Create(filepath.Join(t.TempDir(), "wal"), 7, nil, wal.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	var recs []wal.Record
	for round := range uint64(2) {
		for i, size := range sizes {
			e := paxos.Entry{
				Slot: paxos.Slot(i + 1), Ballot: paxos.Ballot{Round: round + 1}, Kind: paxos.KindBatch,
				Value: bytes.Repeat([]byte{byte(round)}, size),
			}
			recs = append(recs, wal.Record{
				Type: wal.TypeData, Tag: uint64(e.Slot), Payload: paxos.AppendEntry(make([]byte, 8), e),
			})
		}
	}
	last := log.Append(recs)
	require.Eventually(t, func() bool { return log.Durable() >= last }, 10*time.Second, time.Millisecond)
	return log
}

func TestReadChosenFillsAMessage(t *testing.T) {
	repeat := func(n, size int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = size
		}
		return out
	}
	const limit = 10_000
	for _, c := range []struct {
		name  string
		sizes []int
		from  paxos.Slot
		want  int // entries
	}{
		{name: "small ones: as many as are read in all", sizes: repeat(200, 10), from: 1, want: catchUpSlots},
		{name: "empty ones", sizes: repeat(200, 0), from: 1, want: catchUpSlots},
		{name: "middling ones: as many as fit", sizes: repeat(50, 1000), from: 11, want: 10},
		{name: "one above the limit", sizes: []int{20_000, 10}, from: 1, want: 1},
		{name: "a large one behind small ones waits", sizes: []int{10, 10, 20_000, 10}, from: 1, want: 2},
		{name: "the end of the log", sizes: repeat(5, 10), from: 2, want: 4},
		{name: "behind the end", sizes: repeat(5, 10), from: 6, want: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, err := readChosen(chosenLog(t, c.sizes), paxos.LogRead{From: c.from, Limit: limit})
			require.NoError(t, err)
			require.Len(t, entries, c.want)
			for i, e := range entries {
				require.Equal(t, c.from+paxos.Slot(i), e.Slot)
				require.Equal(t, uint64(2), e.Ballot.Round, "the last record of a slot counts")
				require.True(t, bytes.Equal(bytes.Repeat([]byte{1}, c.sizes[e.Slot-1]), e.Value), "slot %d", e.Slot)
			}
		})
	}
}
