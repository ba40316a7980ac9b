package crash

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// counting is goroutines that increment counters, each by reading one and setting it
// within a transaction that depends on it. Of two that read the same value one sets it.
type counting struct {
	mu      sync.Mutex
	acked   map[string]map[int]int // by counter and value: who set it
	unknown map[string]int         // increments of which it is not known whether they were made
	failed  int                    // transactions that were not executed, since the counter had changed
	moved   int                    // of those that were, whose watch had outlived a kill
	wrong   string
}

func (c *counting) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *counting) sum() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, values := range c.acked {
		n += len(values)
	}
	return n
}

// outlived returns how many transactions were executed whose watch had outlived a kill.
func (c *counting) outlived() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}

// attempt is WATCH, GET, MULTI, SET, EXEC. ok is false if the connection is of no use any
// more.
func (c *counting) attempt(conn *proc.Conn, who int, key string, pause func(), kills func() int) (ok bool) {
	began := kills()
	if _, err := conn.Do("WATCH", key); err != nil {
		return refusal(err)
	}
	v, err := conn.Do("GET", key)
	if err != nil {
		return refusal(err)
	}
	n, _ := strconv.Atoi(string(v.Str))
	pause() // so that others, and kills, come in between
	if _, err = conn.Do("MULTI"); err != nil {
		return false
	}
	if _, err = conn.Do("SET", key, strconv.Itoa(n+1)); err != nil {
		_, err := conn.Do("DISCARD")
		return err == nil
	}
	v, err = conn.Do("EXEC")
	c.note(func() {
		switch {
		case err == nil && v.Kind == resp.KindNull:
			c.failed++
		case err == nil:
			if c.acked[key] == nil {
				c.acked[key] = make(map[int]int)
			}
			if other, twice := c.acked[key][n+1]; twice {
				c.wrong = fmt.Sprintf("%s: %d and %d have both set it to %d", key, other, who, n+1)
			}
			c.acked[key][n+1] = who
			if kills() > began {
				c.moved++
			}
		case !executedNothing(err):
			c.unknown[key]++
		}
	})
	return err == nil || refusal(err)
}

// TestCountersAreExactWhileLeadersAreKilled: transactions that depend on what they have
// read, on connections that outlive the leader and on such that do not.
func TestCountersAreExactWhileLeadersAreKilled(t *testing.T) {
	g := newGroup(t, "--forward")
	ctx, cancel := context.WithCancel(patiently(t))
	c := &counting{acked: make(map[string]map[int]int), unknown: make(map[string]int)}
	var killed sync.Mutex
	count := 0
	resumed := make(chan struct{}) // closed when the others have got over the next kill
	killsSoFar := func() int { killed.Lock(); defer killed.Unlock(); return count }
	overAKill := func() {
		killed.Lock()
		next := resumed
		killed.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
	var working sync.WaitGroup
	t.Cleanup(func() { cancel(); working.Wait() })
	const counters = 3
	for who := range 9 {
		working.Go(func() {
			key := fmt.Sprintf("counter%d", who/counters)
			pause := []func(){func() {}, func() { time.Sleep(2 * time.Millisecond) }, overAKill}[who/counters]
			for at := who; ctx.Err() == nil; at++ {
				conn, err := proc.Dial(g.Public[at%len(g.Public)])
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				for ctx.Err() == nil && c.attempt(conn, who, key, pause, killsSoFar) {
				}
				conn.Close()
			}
		})
	}
	for n := 0; n < *kills || c.outlived() == 0; n++ {
		require.Less(t, n, *kills+10, "no watch outlives a kill")
		want := c.sum() + 150
		require.Eventually(t, func() bool { return c.sum() >= want }, patience, 5*time.Millisecond)
		leader := leaderOf(t, g)
		require.NoError(t, leader.Kill())
		killed.Lock()
		count++
		killed.Unlock()
		want = c.sum() + 50
		require.Eventually(t, func() bool { return c.sum() >= want }, patience, 5*time.Millisecond)
		killed.Lock()
		close(resumed)
		resumed = make(chan struct{})
		killed.Unlock()
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(patiently(t)))
	}
	cancel()
	working.Wait()
	require.Empty(t, c.wrong)
	r := router(t, g)
	for i := range counters {
		key := fmt.Sprintf("counter%d", i)
		v, err := r.Read(patiently(t), "GET", key)
		require.NoError(t, err)
		n, err := strconv.Atoi(string(v.Str))
		require.NoError(t, err)
		sure, unsure := len(c.acked[key]), c.unknown[key]
		require.GreaterOrEqual(t, n, sure, key)
		require.LessOrEqual(t, n, sure+unsure, key)
		t.Logf("%s is %d: %d were told so, of %d it is not known", key, n, sure, unsure)
	}
	require.Positive(t, c.failed)
	t.Logf("%d transactions failed, %d outlived a kill", c.failed, c.moved)
}

// refusal tells whether an error is one that a member has answered: the connection is
// good for more.
func refusal(err error) bool {
	var reply resp.ErrorReply
	return errors.As(err, &reply)
}

// executedNothing tells whether it is certain from an error that a command was not
// executed.
func executedNothing(err error) bool {
	var reply resp.ErrorReply
	return errors.As(err, &reply) && reply.Code() != "UNKNOWNRESULT"
}
