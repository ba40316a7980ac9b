package server

import (
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// slowWindow is over what time syncs are judged.
	slowWindow = 30 * time.Second
	// slowQuiet is the time between two warnings.
	slowQuiet = time.Minute
)

// slowSyncs warns when the syncs of the log are slow: more than one in a hundred over a
// window, and more than a single one, took longer than a limit.
type slowSyncs struct {
	limit  time.Duration
	dir    string // of the log
	logger *slog.Logger

	started    time.Time // of the window; zero: none yet
	before     distribution
	slowBefore uint64
	said       time.Time // zero: never

	are atomic.Bool // slow, over the last window
}

// look is told, once in a while, all syncs so far and how many of them were slow.
func (w *slowSyncs) look(now time.Time, all distribution, slow uint64) {
	if w.limit <= 0 || !w.started.IsZero() && now.Sub(w.started) < slowWindow {
		return
	}
	first, over := w.started.IsZero(), now.Sub(w.started)
	recent, slowNow := all.since(&w.before), slow-w.slowBefore
	w.started, w.before, w.slowBefore = now, all, slow
	if first {
		return
	}
	are := slowNow > 1 && slowNow*100 > recent.count
	w.are.Store(are)
	if !are || !w.said.IsZero() && now.Sub(w.said) < slowQuiet {
		return
	}
	w.said = now
	w.logger.Warn("syncs of the log are slow, and every write waits for them: see what else uses this disk, or move the directory to a faster one",
		"p99", recent.time(0.99).Round(100*time.Microsecond), "limit", w.limit, "slow", slowNow, "syncs", recent.count,
		"over", over.Round(time.Second), "dir", w.dir)
}
