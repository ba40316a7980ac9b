package transport

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueueWritesAtOnce: a payload goes straight to the connection while nothing is
// before it; what the connection does not take is the writer's, first of all and in order.
func TestQueueWritesAtOnce(t *testing.T) {
	q := newQueue(1<<20, 1<<20)
	var wire []byte // as the connection has it
	room := 1 << 20
	q.writeAtOnce(func(frame []byte) int {
		n := min(room, len(frame))
		wire, room = append(wire, frame[:n]...), room-n
		return n
	})
	idle := func() bool {
		select {
		case <-q.idle():
			return true
		default:
			return false
		}
	}
	write := func() { // as the writer does
		buf, pieces := q.next(nil, nil)
		for _, p := range pieces {
			buf = appendFrame(buf, kindOf(p.lane), p.last, p.body)
		}
		require.False(t, q.claim(), "it is being written")
		q.add(LaneControl, []byte("behind what is being written"))
		wire = append(wire, buf...)
		q.wrote()
	}

	q.add(LaneBulk, []byte("first"))
	require.True(t, idle(), "it is written")
	room = 20
	q.add(LaneBulk, []byte("a payload of which the connection takes a part"))
	q.add(LaneBulk, []byte("that is behind it"))
	require.False(t, idle())
	room = 1 << 20
	write()
	q.add(LaneBulk, make([]byte, maxAtOnce+1))
	write()
	write()
	require.False(t, idle())
	buf, pieces := q.next(nil, nil)
	require.Empty(t, buf)
	require.Len(t, pieces, 1)
	wire = appendFrame(wire, kindControl, true, pieces[0].body)
	q.wrote()
	require.True(t, idle())
	require.True(t, q.claim())
	q.add(LaneControl, []byte("behind a sign of life"))
	q.wrote()
	room = 0
	q.writeAtOnce(nil)

	var got []string
	in := newPayloads(bytes.NewReader(wire), LargestPayload, func() {})
	for range 7 {
		p, err := in.next()
		require.NoError(t, err)
		got = append(got, string(p[:min(len(p), 30)]))
	}
	behind := "behind what is being written"
	require.Equal(t, []string{
		"first", "a payload of which the connecti"[:30], "that is behind it", behind,
		string(make([]byte, 30)), behind, behind,
	}, got)
	q.clear()
	require.True(t, idle())
}
