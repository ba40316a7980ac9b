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
	room, writes := 1<<20, 0
	q.writeAtOnce(func(frames []byte) int {
		n := min(room, len(frames))
		wire, room = append(wire, frames[:n]...), room-n
		writes++
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
	send := func(to Lane, payload []byte) {
		q.add(to, payload)
		q.dispatch()
	}
	write := func() { // as the writer does
		buf, pieces := q.next(nil, nil)
		buf = appendFrames(buf, pieces)
		require.False(t, q.claim(), "it is being written")
		send(LaneControl, []byte("behind what is being written"))
		wire = append(wire, buf...)
		q.wrote()
	}

	q.add(LaneBulk, []byte("behind it"))
	q.add(LaneControl, []byte("first"))
	require.False(t, idle())
	require.Zero(t, writes)
	q.dispatch()
	require.True(t, idle(), "it is written")
	require.Equal(t, 1, writes, "what goes together is one write")
	q.dispatch()
	require.Equal(t, 1, writes, "of nothing there is none")
	room = 20
	send(LaneBulk, []byte("a payload of which the connection takes a part"))
	send(LaneBulk, []byte("that is behind it"))
	require.False(t, idle())
	room = 1 << 20
	write()
	send(LaneBulk, make([]byte, maxAtOnce+1))
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
	send(LaneControl, []byte("behind a sign of life"))
	q.wrote()
	room = 0
	q.writeAtOnce(nil)

	var got []string
	in := newPayloads(bytes.NewReader(wire), LargestPayload, func() {})
	for range 8 {
		p, err := in.next()
		require.NoError(t, err)
		got = append(got, string(p[:min(len(p), 30)]))
	}
	behind := "behind what is being written"
	require.Equal(t, []string{
		"first", "behind it", "a payload of which the connecti"[:30], "that is behind it", behind,
		string(make([]byte, 30)), behind, behind,
	}, got)
	q.clear()
	require.True(t, idle())
}
