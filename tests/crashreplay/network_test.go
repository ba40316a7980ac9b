package crashreplay

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server/transport"
)

// ends are the two ends of a way, with whole frames on it.
type ends struct {
	w    *way
	in   *io.PipeWriter
	out  net.Conn
	done chan struct{}
}

func newEnds(t *testing.T) *ends {
	t.Helper()
	from, in := io.Pipe()
	to, out := net.Pipe()
	e := &ends{w: &way{changed: make(chan struct{})}, in: in, out: out, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.w.pass(to, from, func() { _ = from.Close(); _ = to.Close() }, newChance(1))
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = out.Close()
		<-e.done
	})
	return e
}

// frame is one that carries a number.
func frame(n byte) []byte {
	return transport.AppendFrame(nil, transport.LaneControl, []byte{n})
}

func (e *ends) send(t *testing.T, numbers ...byte) {
	t.Helper()
	for _, n := range numbers {
		_, err := e.in.Write(frame(n))
		require.NoError(t, err)
	}
}

// receive returns the numbers of what arrives within a time, most at most.
func (e *ends) receive(t *testing.T, most int, within time.Duration) []byte {
	t.Helper()
	require.NoError(t, e.out.SetReadDeadline(time.Now().Add(within)))
	var got []byte
	for len(got) < most {
		f, err := transport.ReadFrame(e.out)
		if err != nil {
			break
		}
		got = append(got, f.Bytes[len(f.Bytes)-1])
	}
	return got
}

func TestWays(t *testing.T) {
	numbers := make([]byte, 100)
	for i := range numbers {
		numbers[i] = byte(i)
	}
	t.Run("as it is", func(t *testing.T) {
		e := newEnds(t)
		e.send(t, numbers...)
		require.Equal(t, numbers, e.receive(t, 100, 5*time.Second))
	})
	t.Run("cut", func(t *testing.T) {
		e := newEnds(t)
		e.w.set(Condition{Cut: true})
		e.send(t, 1, 2)
		require.Empty(t, e.receive(t, 1, 50*time.Millisecond))
		e.w.set(Condition{})
		require.Equal(t, []byte{1, 2}, e.receive(t, 2, 5*time.Second), "it was on its way, and arrives")
	})
	t.Run("late", func(t *testing.T) {
		e := newEnds(t)
		e.w.set(Condition{Late: 100 * time.Millisecond})
		e.send(t, numbers...)
		require.Equal(t, numbers, e.receive(t, 100, 5*time.Second), "in order")
	})
	t.Run("disorder", func(t *testing.T) {
		e := newEnds(t)
		e.w.set(Condition{Late: 50 * time.Millisecond, Disorder: true, Doubled: 0.3})
		e.send(t, numbers...)
		got := e.receive(t, 1000, 300*time.Millisecond)
		require.Greater(t, len(got), 110, "some twice")
		require.NotEqual(t, numbers, got[:100])
		require.Subset(t, got, numbers, "none is lost")
	})
	t.Run("lossy", func(t *testing.T) {
		e := newEnds(t)
		e.w.set(Condition{Lost: 0.5})
		e.send(t, numbers...)
		got := e.receive(t, 1000, 300*time.Millisecond)
		require.IsIncreasing(t, got)
		require.InDelta(t, 50, len(got), 30)
	})
	t.Run("refused", func(t *testing.T) {
		e := newEnds(t)
		e.w.set(Condition{Refused: true})
		<-e.done
	})
}

// TestNetworkKnowsWhoSpeaks: only what is between two members is cut, in one direction.
func TestNetworkKnowsWhoSpeaks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	n := NewNetwork(1)
	defer n.Close()
	public, err := n.Through([]string{"127.0.0.1:1", l.Addr().String(), "127.0.0.1:1"})
	require.NoError(t, err)
	n.Around([]int{0}, true, false, Condition{Refused: true})

	reaches := func(first []byte) bool {
		c, err := net.Dial("tcp", public[1])
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		_, err = c.Write(first)
		require.NoError(t, err)
		there, err := l.Accept()
		require.NoError(t, err)
		defer func() { _ = there.Close() }()
		got := make([]byte, len(first))
		_, err = io.ReadFull(there, got)
		return err == nil && string(got) == string(first)
	}
	hello := func(from uint8) []byte {
		return transport.AppendHello(transport.Hello{Group: 1, From: from, To: 1, Size: 3, Version: transport.Version})
	}
	require.True(t, reaches([]byte("PING\r\n")), "a client")
	require.True(t, reaches(hello(2)), "another member")
	require.False(t, reaches(hello(0)), "the one that is cut off")
}
