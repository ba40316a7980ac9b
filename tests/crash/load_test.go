package crash

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// load is writers that each append their own numbers, 1, 2, 3, ..., to their own
// keys, one after the other. A number that is missing was lost; one that is
// there twice was applied twice.
type load struct {
	t       *testing.T
	g       *proc.Group
	end     chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	writers  []writer
	lastDone time.Time // when the last number was acknowledged
	changed  chan struct{}
}

// writer is what is known of one of them.
type writer struct {
	acked int   // every number up to it was acknowledged
	err   error // that ended it
}

// perKey is how many numbers a key gets, so that values stay small.
const perKey = 500

func keyOf(w, number int) string { return fmt.Sprintf("log-%d-%d", w, (number-1)/perKey) }

// writers is how many there are.
const writers = 8

// startLoad starts the writers, which stop before the test ends.
func startLoad(t *testing.T, g *proc.Group) *load {
	t.Helper()
	l := &load{t: t, g: g, end: make(chan struct{}), writers: make([]writer, writers), changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		l.running.Wait()
	})
	for w := range writers {
		l.running.Go(func() { l.write(ctx, w) })
	}
	return l
}

func (l *load) write(ctx context.Context, w int) {
	r := l.g.Router()
	defer r.Close()
	for number := 1; ; number++ {
		select {
		case <-l.end:
			return
		case <-ctx.Done():
			return
		default:
		}
		key := keyOf(w, number)
		_, err := r.Write(ctx, key, "APPEND", key, fmt.Sprintf("%d ", number))
		l.mu.Lock()
		if err == nil {
			l.writers[w].acked = number
			l.lastDone = time.Now()
			close(l.changed)
			l.changed = make(chan struct{})
		}
		l.writers[w].err = err
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// awaitDone waits for an acknowledgement after begun and returns how long after
// begun it came.
func (l *load) awaitDone(begun time.Time) time.Duration {
	l.t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		last, changed := l.lastDone, l.changed
		l.mu.Unlock()
		if last.After(begun) {
			return last.Sub(begun)
		}
		select {
		case <-changed:
		case <-timeout:
			require.FailNow(l.t, "no write was acknowledged", "for %v", patience)
		}
	}
}

// awaitMore waits until n more numbers have been acknowledged.
func (l *load) awaitMore(n int) {
	l.t.Helper()
	want := l.acked() + n
	require.Eventually(l.t, func() bool { return l.acked() >= want }, patience, 5*time.Millisecond,
		"writes are acknowledged")
}

func (l *load) acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, w := range l.writers {
		sum += w.acked
	}
	return sum
}

// stop ends the writers, each after the number that it is at.
func (l *load) stop() {
	l.t.Helper()
	close(l.end)
	l.running.Wait()
	for i, w := range l.writers {
		require.NoError(l.t, w.err, "writer %d", i)
	}
}

// verify reads everything back: each number is there once, in order.
func (l *load) verify() {
	l.t.Helper()
	ctx := patiently(l.t)
	r := router(l.t, l.g)
	for i, w := range l.writers {
		for first := 1; first <= w.acked; first += perKey {
			var want strings.Builder
			for number := first; number < first+perKey && number <= w.acked; number++ {
				fmt.Fprintf(&want, "%d ", number)
			}
			v, err := r.Read(ctx, "GET", keyOf(i, first))
			require.NoError(l.t, err)
			require.Equal(l.t, want.String(), string(v.Str), "writer %d, %d numbers acknowledged", i, w.acked)
		}
	}
}
