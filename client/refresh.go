package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"diskv/internal/resp"
)

const (
	// learnTimeout is how long one member may take to describe the cluster while others
	// can be asked.
	learnTimeout = 500 * time.Millisecond
	// learnPause is between two questions: a hundred callers that are redirected
	// at once want one answer.
	learnPause = 20 * time.Millisecond
)

var clusterSlots = resp.AppendCommand(nil, []byte("CLUSTER"), []byte("SLOTS"))

// learner asks members how the cluster is when somebody wants to know.
type learner struct {
	net    *network
	routes *routes
	seeds  []string
	kick   chan struct{} // has room for one
	about  atomic.Pointer[group]

	turn int // the goroutine's: whom to ask first
}

// learn has the routes renewed soon. What is wanted most is who leads g, which may
// be nil: its members know best.
func (l *learner) learn(g *group) {
	if g != nil {
		l.about.Store(g)
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// run is the goroutine that asks.
func (l *learner) run() {
	for {
		select {
		case <-l.kick:
		case <-l.net.ctx.Done():
			return
		}
		_ = l.refresh(l.net.ctx, learnTimeout) // whoever wanted it asks again
		select {
		case <-time.After(learnPause):
		case <-l.net.ctx.Done():
			return
		}
	}
}

// describe is refresh for somebody who waits for it. Members that are slow are asked
// once more when no other one has answered, and have time.
func (l *learner) describe(ctx context.Context) error {
	err := l.refresh(ctx, learnTimeout)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = l.refresh(ctx, l.net.opt.StallTimeout)
	}
	return err
}

// refresh asks one member after the other until one describes the cluster, each for so
// long at most. If somebody answered, but nobody knows of anyone who serves, it returns
// nil too.
func (l *learner) refresh(ctx context.Context, each time.Duration) error {
	var ask []string
	if g := l.about.Swap(nil); g != nil {
		ask = rotated(g.members, l.turn)
	}
	others := slices.Concat(l.routes.members(), l.seeds)
	slices.Sort(others)
	for _, addr := range rotated(slices.Compact(others), l.turn) {
		if !slices.Contains(ask, addr) {
			ask = append(ask, addr)
		}
	}
	l.turn++
	var failures []error
	answered := false
	for _, addr := range ask {
		ranges, err := l.ask(ctx, addr, each)
		switch {
		case err != nil:
			failures = append(failures, fmt.Errorf("%s: %w", addr, err))
		case len(ranges) > 0:
			l.routes.install(ranges, addr)
			l.net.keep(func(addr string) bool {
				return slices.Contains(l.seeds, addr) || slices.Contains(l.routes.members(), addr)
			})
			return nil
		default:
			answered = true
		}
		if ctx.Err() != nil {
			break
		}
	}
	if answered {
		return nil
	}
	return allOf(failures)
}

// rotated returns a copy that begins with another element each turn.
func rotated(addrs []string, turn int) []string {
	at := turn % max(len(addrs), 1)
	return slices.Concat(addrs[at:], addrs[:at])
}

func (l *learner) ask(ctx context.Context, addr string, limit time.Duration) ([]slotRange, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, _, err := l.net.exchange(ctx, addr, laneRead, clusterSlots, nil)
	if err != nil {
		return nil, err
	}
	return parseSlots(v, addr)
}
