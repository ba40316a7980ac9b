// Package appending is a load for tests of which every write can be accounted for:
// goroutines that share one client append their own numbers, 1, 2, 3, ..., each to a
// key of its own.
//
//	l := appending.Start(ctx, t, c, 8)
//	l.AwaitMore(100)                 // and between such waits: crash something
//	l.Stop()
//	l.RequireAllThereOnce()
//
// It guarantees that an append that fails fails the test. What happens to those who
// serve meanwhile is left to its user.
package appending

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
)

// Load is goroutines that append.
type Load struct {
	tb     testing.TB
	ctx    context.Context //nolint:containedctx // of all calls
	c      *client.Client
	end    chan struct{}
	done   atomic.Int64
	counts []int // of each goroutine; after Stop
	wg     sync.WaitGroup
}

// Pattern matches the keys that are appended to, and no others of a test that uses
// none that begin so.
const Pattern = "log-*"

func key(writer int) string { return fmt.Sprint("log-", writer) }

// patience is how long further appends may take.
const patience = 30 * time.Second

// Start starts so many goroutines. ctx bounds all calls.
func Start(ctx context.Context, tb testing.TB, c *client.Client, writers int) *Load {
	tb.Helper()
	l := &Load{tb: tb, ctx: ctx, c: c, end: make(chan struct{}), counts: make([]int, writers)}
	for w := range writers {
		l.wg.Go(func() { l.write(w) })
	}
	return l
}

func (l *Load) write(w int) {
	for {
		select {
		case <-l.end:
			return
		default:
		}
		if _, err := l.c.Append(l.ctx, key(w), fmt.Appendf(nil, "%d ", l.counts[w]+1)); err != nil {
			l.tb.Errorf("writer %d: %v", w, err)
			return
		}
		l.counts[w]++
		l.done.Add(1)
	}
}

// AwaitMore waits for so many further appends.
func (l *Load) AwaitMore(n int64) {
	l.tb.Helper()
	before := l.done.Load()
	require.Eventually(l.tb, func() bool { return l.done.Load() > before+n }, patience, time.Millisecond, "appends go on")
}

// Stop ends the goroutines and returns how many appends there were.
func (l *Load) Stop() int64 {
	close(l.end)
	l.wg.Wait()
	return l.done.Load()
}

// RequireAllThereOnce requires that every goroutine's numbers are there, each once and
// in order, and nothing else.
func (l *Load) RequireAllThereOnce() {
	l.tb.Helper()
	for w, n := range l.counts {
		var want strings.Builder
		for i := range n {
			fmt.Fprintf(&want, "%d ", i+1)
		}
		value, _, err := l.c.Get(l.ctx, key(w))
		require.NoError(l.tb, err)
		require.Equal(l.tb, want.String(), string(value), "writer %d", w)
		require.NotZero(l.tb, n, "writer %d was served", w)
	}
}
