package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tempDir is t.TempDir in memory, where there is such a thing: these tests keep
// books of syncs themselves and need not wait for a disk.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "diskv-wal-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { require.NoError(tb, os.RemoveAll(dir)) })
	return dir
}

const testID = 0x1122334455667788

// How long a test waits for what must happen, and how often it looks.
const (
	waitFor = 10 * time.Second
	tick    = 50 * time.Microsecond
)

// quiet are options of a log that never goes idle and waits for no disk, and whose
// files grow as they are written to, so that what is in them depends on the calls alone.
func quiet() Options {
	return Options{idle: time.Hour, rest: time.Hour, disk: &disk{noSync: true, append: true}}
}

// acks follows what a log reports.
type acks struct {
	mu      sync.Mutex
	changed *sync.Cond
	durable uint64
	failed  []error
	late    bool // something was reported durable after the failure
}

// ahead are quiet options of a log whose files have their size in advance.
func ahead() Options { return Options{idle: time.Hour, rest: time.Hour, disk: &disk{noSync: true}} }

// watch makes o report to the acks that it returns.
func watch(o *Options) *acks {
	a := &acks{}
	a.changed = sync.NewCond(&a.mu)
	o.OnDurable = func(index uint64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.late = a.late || len(a.failed) > 0 || index <= a.durable
		a.durable = index
		a.changed.Broadcast()
	}
	o.OnFail = func(err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.failed = append(a.failed, err)
		a.changed.Broadcast()
	}
	return a
}

// wait returns when index is durable or the log has failed, which it reports.
func (a *acks) wait(index uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.durable < index && len(a.failed) == 0 {
		a.changed.Wait()
	}
	return a.durable >= index
}

func (a *acks) now() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.durable
}

func state(s string) Record { return Record{Type: TypeState, Payload: []byte(s)} }

func data(tag uint64, s string) Record {
	return Record{Type: TypeData, Tag: tag, Payload: []byte(s)}
}

// say describes a record in a line.
func say(r Record) string {
	s := string(r.Payload)
	if len(s) > 40 {
		s = fmt.Sprintf("%s... (%d bytes)", s[:30], len(s))
	}
	return fmt.Sprintf("%d %s tag %d %q", r.Index, r.Type, r.Tag, s)
}

// collect returns a replay function and what it was called with.
func collect() (func(Record) error, *[]string) {
	var got []string
	return func(r Record) error {
		got = append(got, say(r))
		return nil
	}, &got
}

// reopen opens the log, closes it, and returns what it replayed.
func reopen(t *testing.T, dir string) ([]string, Report) {
	t.Helper()
	replay, got := collect()
	l, report, err := Open(dir, quiet(), replay)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return *got, report
}

// fill makes a log with the given appends, each of them synced for itself, and
// leaves it as a kill would: without a mark at its end.
func fill(t *testing.T, dir string, o Options, batches ...[]Record) {
	t.Helper()
	a := watch(&o)
	l, err := Create(dir, testID, []byte("state 0"), o)
	require.NoError(t, err)
	for _, b := range batches {
		ready(t, l)
		require.True(t, a.wait(l.Append(b)))
	}
	ready(t, l)
	kill(t, l)
}

// ready returns when the segment behind the tail has been made.
func ready(t *testing.T, l *Log) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.next != nil
	}, waitFor, tick)
}

var errKilled = errors.New("killed")

// kill ends the log's goroutines and writes nothing more.
func kill(t *testing.T, l *Log) {
	t.Helper()
	l.fail(errKilled)
	require.ErrorIs(t, l.Close(), errKilled)
}

// copyTree copies a directory, and returns the copy.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(tempDir(t), "copy")
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// treeSize returns the sum of all file sizes below dir.
func treeSize(t *testing.T, dir string) (sum int64) {
	t.Helper()
	require.NoError(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // renamed or removed by the log meanwhile
		case err == nil && info.Mode().IsRegular():
			sum += info.Size()
		}
		return err
	}))
	return sum
}
