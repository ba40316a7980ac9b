package wal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDroppedSegmentsTakeNoStateWithThem: the newest state is at the head of
// every segment, so what is left after a drop begins with the state of that
// time, and no record that was to stay is gone.
func TestDroppedSegmentsTakeNoStateWithThem(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	o.SegmentBytes = 1000
	a := watch(&o)
	l, err := Create(dir, testID, []byte("s0"), o)
	require.NoError(t, err)
	for i := range uint64(40) {
		tag := i + 1
		if i%4 == 3 {
			tag -= 2 // a slot is accepted once more
		}
		require.True(t, a.wait(l.Append([]Record{data(tag, strings.Repeat("v", 300)), state(fmt.Sprint("s", i+1))})))
	}
	require.NoError(t, l.DropThrough(20))
	first := l.FirstIndex()
	require.Greater(t, first, uint64(20), "most of what may go is gone")
	require.LessOrEqual(t, first, uint64(41), "the record of tag 21, and what follows, is there")
	require.NoError(t, l.Close())

	got, report := reopen(t, dir)
	require.Equal(t, first, report.FirstIndex)
	require.EqualValues(t, 80, report.LastIndex)
	require.Equal(t, fmt.Sprintf(`%d state tag 0 "s%d"`, first-1, (first-1)/2), got[0])
	require.Len(t, got, int(80-first)+2)
}
