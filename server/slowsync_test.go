package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowDisk is a log whose syncs take what the test says, by a clock of the test's.
type slowDisk struct {
	now    time.Time
	m      metrics
	w      slowSyncs
	logged bytes.Buffer
}

func newSlowDisk(limit time.Duration) *slowDisk {
	d := &slowDisk{now: time.Unix(1_000_000, 0)}
	d.m.slowSync = limit
	d.w = slowSyncs{limit: limit, dir: "/data/wal", logger: slog.New(slog.NewTextHandler(&d.logged, nil))}
	d.look()
	return d
}

func (d *slowDisk) look() { d.w.look(d.now, d.m.syncTime.read(), d.m.slowSyncs.Load()) }

// run lets seconds pass, in each of which there are so many syncs, and so many slow ones.
func (d *slowDisk) run(seconds, syncs, slow int) {
	for range seconds {
		for range syncs {
			d.m.observeSync(2*time.Millisecond, 1, 100)
		}
		for range slow {
			d.m.observeSync(300*time.Millisecond, 1, 100)
		}
		d.now = d.now.Add(time.Second)
		d.look()
	}
}

func (d *slowDisk) warnings() int { return strings.Count(d.logged.String(), "level=WARN") }

func TestSlowSyncsAreWarnedOfOnceAMinute(t *testing.T) {
	d := newSlowDisk(100 * time.Millisecond)
	d.run(60, 200, 1)
	require.Zero(t, d.warnings(), "one in two hundred is slow")
	require.False(t, d.w.are.Load())
	d.run(30, 50, 1)
	require.Equal(t, 1, d.warnings())
	require.True(t, d.w.are.Load())
	require.Regexp(t, `msg="syncs of the log are slow, and every write waits for them: see what else uses this disk, or move the directory to a faster one"`+
		` p99=\d+\.?\d*ms limit=100ms slow=30 syncs=1530 over=30s dir=/data/wal\n$`, d.logged.String())
	d.run(59, 50, 1)
	require.Equal(t, 1, d.warnings(), "less than a minute has passed")
	d.run(180, 50, 1)
	require.LessOrEqual(t, d.warnings(), 5)
	require.GreaterOrEqual(t, d.warnings(), 4)
	d.run(60, 50, 0)
	require.False(t, d.w.are.Load(), "it is over")
	said := d.warnings()
	d.run(120, 50, 0)
	require.Equal(t, said, d.warnings())
}

func TestSlowSyncsThatAreNoneOfIt(t *testing.T) {
	d := newSlowDisk(100 * time.Millisecond)
	d.run(29, 0, 0)
	d.run(1, 0, 1)
	d.run(60, 0, 0)
	require.Zero(t, d.warnings(), "a single one in half a minute")
	d.run(60, 0, 1)
	require.Equal(t, 1, d.warnings(), "all of a few")

	off := newSlowDisk(0)
	off.run(120, 0, 10)
	require.Zero(t, off.warnings(), "--slow-sync 0")
	require.Zero(t, off.m.slowSyncs.Load())
}
