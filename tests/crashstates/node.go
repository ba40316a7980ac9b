package crashstates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"diskv/replica"
	"diskv/server"
	"diskv/wal"
)

// patience is how long anything may take that is sure to happen.
const patience = 30 * time.Second

// options are those of all nodes: everything happens often.
func options() server.Options {
	return server.Options{
		Group: 1, Bootstrap: true, MinFreeBytes: 1, SegmentBytes: 6 << 10, ShutdownTimeout: 300 * time.Millisecond,
		Logger:  slog.New(slog.DiscardHandler),
		Replica: replica.Options{SnapshotMinBytes: 12 << 10},
	}
}

// running is a node that runs.
type running struct {
	*server.Node
	cancel context.CancelFunc
	done   chan error
}

// start opens a node and runs it.
func start(o server.Options) (*running, error) {
	n, err := server.Open(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Node: n, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	return r, nil
}

// stop stops the node in order.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// ready waits until the node is.
func (r *running) ready() error {
	return await("the node is ready", func() (bool, error) {
		s, err := r.Status()
		return err == nil && s.Ready, err
	})
}

// await waits for something.
func await(what string, done func() (bool, error)) error {
	end := time.Now().Add(patience)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		ok, err := done()
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v until %s: %w", patience, what, errors.Join(errLate, err))
		}
		time.Sleep(pause)
	}
}

var errLate = errors.New("it did not happen")

// asStopped reports whether the log in a directory is as a clean stop leaves it: there
// is nothing to repair.
func asStopped(dir string) bool {
	r, err := wal.Scan(dir+"/wal", func(uint64, wal.Record, int64) error { return nil })
	return err == nil && r.CleanClose && r.Cut == nil && !r.Suspect
}
