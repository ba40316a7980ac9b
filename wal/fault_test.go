package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryFailure lets each change that a life of a log makes fail in turn:
// the log ends then, says so once, reports nothing more and changes nothing
// more, and the next start finds all that was acknowledged.
func TestEveryFailure(t *testing.T) {
	t.Run("growing", func(t *testing.T) { everyFailure(t, false) })
	t.Run("ahead", func(t *testing.T) { everyFailure(t, true) })
}

func everyFailure(t *testing.T, ahead bool) {
	t.Helper()
	for k := 0; ; k++ {
		base := tempDir(t)
		tr := newTrace(t, base)
		var mu sync.Mutex
		seen, failedAt := 0, -1
		var failed change
		late := 0
		tr.broken = func(c change) error {
			mu.Lock()
			defer mu.Unlock()
			if failedAt >= 0 && c.kind == changeSync && c.path == failed.path && failed.kind == changeSync {
				late++
			}
			seen++
			if seen-1 != k {
				return nil
			}
			failedAt, failed = k, c
			return syscall.EIO
		}
		a := &actor{
			t: t, tr: tr, dir: filepath.Join(base, "wal"), rng: rand.New(rand.NewPCG(7, 7)),
			story: &story{appended: map[uint64]Record{}}, ahead: ahead,
		}
		hint := func() string { return fmt.Sprintf("failure %d, %+v", k, failed) }
		err := func() (err error) {
			if a.log, err = Create(a.dir, testID, nil, a.options()); err != nil {
				return err
			}
			for range 3 {
				a.append(2)
				a.log.Roll()
				a.tr.add(event{drop: 3})
				a.story.dropped = 3
				dropErr := a.log.DropThrough(3)
				if dropErr != nil {
					require.ErrorIs(t, dropErr, syscall.EIO, hint())
				}
			}
			created := a.acks
			err = a.log.Close()
			a.log.Append([]Record{data(1, "harmless")})
			require.False(t, created.late, hint())
			require.LessOrEqual(t, len(created.failed), 1, hint())
			if len(created.failed) == 1 {
				require.ErrorIs(t, err, syscall.EIO, "%s: Close says why", hint())
				require.ErrorIs(t, created.failed[0], syscall.EIO, hint())
			}
			return err
		}()
		if err != nil {
			require.ErrorIs(t, err, syscall.EIO, hint())
		}
		require.Zero(t, late, "%s: a failed sync was tried again", hint())
		if failedAt < 0 {
			require.NoError(t, err)
			require.Greater(t, k, 50, "the sweep saw a whole life")
			return
		}
		tr.broken = nil
		if a.acks != nil {
			a.story.acked = a.acks.now()
		}
		_, err = Scan(a.dir, func(uint64, Record, int64) error { return nil })
		if errors.Is(err, ErrNoLog) {
			require.Zero(t, a.story.acked, hint())
			a.create()
		} else {
			a.open(hint())
		}
		a.append(1)
		require.NoError(t, a.log.Close(), hint())
	}
}

// TestRepairSurvivesItsOwnFailures lets each change that Open makes to a torn
// and to a suspect log fail in turn. The next start must do it all.
func TestRepairSurvivesItsOwnFailures(t *testing.T) {
	files, full := rotten(t)
	content := files[inSegment(3)]
	for name, bad := range map[string]string{
		"torn":    content[:len(content)-50],
		"suspect": content[:len(content)-1] + "x",
	} {
		t.Run(name, func(t *testing.T) {
			for k := 0; ; k++ {
				dir := plant(t, with(files, inSegment(3), bad))
				o := quiet()
				seen := 0
				o.disk.before = func(change) error {
					if seen++; seen-1 == k {
						return syscall.ENOSPC
					}
					return nil
				}
				l, report, err := Open(dir, o, func(Record) error { return nil })
				if err == nil {
					require.Greater(t, k, 5)
					require.NotNil(t, report.Cut)
					_ = l.Close()
					return
				}
				require.ErrorIs(t, err, syscall.ENOSPC)
				if names, err := os.ReadDir(filepath.Join(dir, "quarantine")); err == nil {
					require.LessOrEqual(t, len(names), 1, "failure %d", k)
				}
				replay, got := collect()
				l, report, err = Open(dir, quiet(), replay)
				require.NoError(t, err)
				require.Equal(t, full[:len(*got)], *got)
				require.GreaterOrEqual(t, len(*got), len(full)-2)
				require.Equal(t, name == "suspect", report.Suspect, "failure %d must not hide the suspicion", k)
				require.NoError(t, l.Close())
				names, err := os.ReadDir(filepath.Join(dir, "quarantine"))
				require.NoError(t, err)
				require.Len(t, names, 1, "failure %d", k)
			}
		})
	}
}

// TestNothingIsReportedOnceTheLogHasFailed: the keeper may fail while the writer
// waits for its sync.
func TestNothingIsReportedOnceTheLogHasFailed(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	var l *Log
	o.disk.before = func(c change) error {
		if c.kind == changeWrite && c.off > 0 {
			l.fail(errKilled)
		}
		return nil
	}
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	require.False(t, a.wait(l.Append([]Record{data(1, "x")})))
	require.ErrorIs(t, l.Close(), errKilled)
	require.Zero(t, a.now())
	require.Zero(t, l.Durable())
}

func TestDropTriesAgainAfterAFullDisk(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	o.SegmentBytes = 1
	full := false
	o.disk.before = func(c change) error {
		if full && c.kind == changeCreate {
			return syscall.ENOSPC
		}
		return nil
	}
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	for i := range uint64(4) {
		ready(t, l)
		a.wait(l.Append([]Record{data(i, "x")}))
	}
	ready(t, l)
	full = true
	require.ErrorIs(t, l.DropThrough(2), syscall.ENOSPC)
	full = false
	require.True(t, a.wait(l.Append([]Record{data(9, "it goes on")})))
	require.NoError(t, l.DropThrough(2))
	require.EqualValues(t, 4, l.FirstIndex())
	require.NoError(t, l.Close())
}

func TestTooLargeABatchFailsTheLog(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	require.True(t, a.wait(l.Append([]Record{data(1, "x")})))
	large := make([]byte, MaxBatch/4)
	last := l.Append([]Record{{Type: TypeData, Payload: large}, {Type: TypeData, Payload: large}, {Type: TypeData, Payload: large}, {Type: TypeData, Payload: large}})
	require.False(t, a.wait(last))
	require.ErrorIs(t, l.Close(), ErrTooLarge)
	_, err = Create(filepath.Join(dir, "other"), testID, make([]byte, MaxBatch+1), quiet())
	require.ErrorIs(t, err, ErrTooLarge)
	got, _ := reopen(t, dir)
	require.Len(t, got, 2)
}

func TestErrorsSayWhatAndWhere(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	o.disk.before = func(c change) error {
		if c.kind == changeWrite && c.off > 0 {
			return syscall.ENOSPC
		}
		return nil
	}
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	require.False(t, a.wait(l.Append([]Record{data(1, "x")})))
	err = l.Close()
	require.ErrorIs(t, err, syscall.ENOSPC)
	for _, part := range []string{dir, inSegment(1), "no space left", "write 46 bytes at offset 73"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "\n")
}
