package transport

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// At most logBurst lines about one kind of event are written in logWindow.
const (
	logWindow = 10 * time.Second
	logBurst  = 5
)

// logLimiter limits the lines about each kind of event, and says in the next one
// how many were left out: whoever bangs at the port must not fill the disk.
type logLimiter struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	kinds map[string]*logKind // few: the keys are fixed texts, some with a peer's index
}

type logKind struct {
	began      time.Time // of the current window
	lines      int       // in it
	suppressed int       // since the last line
}

func newLogLimiter(l *slog.Logger) *logLimiter {
	return &logLimiter{logger: l, now: time.Now, kinds: map[string]*logKind{}}
}

func (l *logLimiter) warn(event, message string, args ...any) {
	l.log(slog.LevelWarn, event, message, args)
}

func (l *logLimiter) info(event, message string, args ...any) {
	l.log(slog.LevelInfo, event, message, args)
}

func (l *logLimiter) log(level slog.Level, event, message string, args []any) {
	suppressed, ok := l.allow(event)
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	l.logger.Log(context.Background(), level, message, args...)
}

// allow says whether a line may be written, and how many were not before it.
func (l *logLimiter) allow(event string) (int, bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[event]
	if k == nil {
		k = &logKind{}
		l.kinds[event] = k
	}
	if now.Sub(k.began) >= logWindow {
		k.began, k.lines = now, 0
	}
	if k.lines == logBurst {
		k.suppressed++
		return 0, false
	}
	suppressed := k.suppressed
	k.lines++
	k.suppressed = 0
	return suppressed, true
}
