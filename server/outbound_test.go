package server

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
)

// answering is a member that gives every command the same reply, or none.
type answering struct {
	addr  string
	asked atomic.Int64
}

// newAnswering listens until the test ends. Without a reply it lets the other side wait.
func newAnswering(t *testing.T, reply string) *answering {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	a := &answering{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := resp.NewCommandReader(conn, resp.Options{})
				for {
					if _, err := in.ReadCommand(); err != nil {
						return
					}
					a.asked.Add(1)
					if reply == "" {
						continue
					}
					if _, err := conn.Write([]byte(reply)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return a
}

// TestNobodyIsAskedTwice: followers send a question to the leader, which has refused
// it already; the refusal is the answer, and not where the followers pointed.
func TestNobodyIsAskedTwice(t *testing.T) {
	leader := newAnswering(t, "-NOTYET no such config\r\n")
	one := newAnswering(t, "-MOVED 0 "+leader.addr+"\r\n")
	two := newAnswering(t, "-MOVED 0 "+leader.addr+"\r\n")
	for _, servers := range [][]string{
		{leader.addr, one.addr, two.addr},
		{one.addr, leader.addr, two.addr},
		{one.addr, two.addr}, // and is not among those that were named
	} {
		o := newOutbound(1 << 10)
		before := leader.asked.Load()
		v, err := o.ask(context.Background(), servers, [][]byte{[]byte("QUERY")})
		require.NoError(t, err)
		require.EqualError(t, v.Err(), "NOTYET no such config")
		require.EqualValues(t, 1, leader.asked.Load()-before)
		o.close()
	}
}

// TestAnswerIsFoundWhereMovedPoints, and asked for there at once the next time.
func TestAnswerIsFoundWhereMovedPoints(t *testing.T) {
	leader := newAnswering(t, "+here\r\n")
	follower := newAnswering(t, "-MOVED 0 "+leader.addr+"\r\n")
	o := newOutbound(1 << 10)
	defer o.close()
	for range 3 {
		v, err := o.ask(context.Background(), []string{follower.addr, leader.addr}, [][]byte{[]byte("QUERY")})
		require.NoError(t, err)
		require.Equal(t, "here", string(v.Str))
	}
	require.EqualValues(t, 1, follower.asked.Load())
	require.EqualValues(t, 3, leader.asked.Load())
}

// TestCloseEndsCallsUnderWay: a node that stops waits for nobody.
func TestCloseEndsCallsUnderWay(t *testing.T) {
	silent := newAnswering(t, "")
	o := newOutbound(1 << 10)
	ended := make(chan error, 1)
	go func() {
		_, err := o.call(context.Background(), silent.addr, [][]byte{[]byte("SET")})
		ended <- err
	}()
	require.Eventually(t, func() bool { return silent.asked.Load() == 1 }, 10*time.Second, time.Millisecond)
	o.close()
	err := <-ended
	require.Error(t, err)
	require.NotErrorIs(t, err, errNotSent, "it may have been executed")
	_, err = o.call(context.Background(), silent.addr, [][]byte{[]byte("SET")})
	require.ErrorIs(t, err, errNotSent)
	require.ErrorIs(t, err, errStopped)
}
