package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// How long a call waits before it tries again: twice as long each time, with
// chance, so that many callers do not come back at once.
const (
	firstWait = 2 * time.Millisecond
	// Short beside an election, which is what is mostly waited for.
	longestWait = 50 * time.Millisecond
	// directMoves is how many redirects in a row are followed without a wait: two
	// members that each name the other must not be asked as fast as they answer.
	directMoves = 3
)

type backoff struct {
	next  time.Duration
	moves int // redirects in a row
}

// wait waits, or until ctx ends.
func (b *backoff) wait(ctx context.Context) {
	b.moves = 0
	b.pause(ctx)
}

// moved is called instead of wait after a redirect.
func (b *backoff) moved(ctx context.Context) {
	if b.moves++; b.moves > directMoves {
		b.pause(ctx)
	}
}

func (b *backoff) pause(ctx context.Context) {
	if b.next == 0 {
		b.next = firstWait
	}
	t := time.NewTimer(b.next/2 + rand.N(b.next))
	defer t.Stop()
	b.next = min(2*b.next, longestWait)
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
