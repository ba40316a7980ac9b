package wal

import (
	"fmt"
	"log/slog"
	"sync"
)

// Log is an open log. Its methods may be called from several goroutines; records
// of one Append stay together and in order.
//
// Invariants:
//  1. durable <= written <= last: synced, written to the tail, queued.
//  2. Everything in segments before the tail is synced before a byte is written
//     to the tail.
//  3. The tail has a durable header before a segment behind it is made ready and
//     before one in front of it is dropped.
//  4. After failed is set nothing is written and nothing is reported durable.
type Log struct {
	dir    string
	id     uint64
	o      Options
	disk   *disk
	logger *slog.Logger

	mu        sync.Mutex
	queue     []Record // appended, not yet taken by the writer
	groups    []int    // ends of the Appends in queue
	last      uint64   // index of the last record appended
	durable   uint64
	segments  []segment  // with durable content, oldest first; the last is the tail
	positions []position // of the durable Data records in the tail
	bytes     int64      // of segments
	rollAt    uint64     // roll behind this record, if roll
	roll      bool
	next      *tail   // made ready; nil while it is not
	wantNext  bool    // the keeper is to make next
	retired   []*tail // to be closed
	dropTag   uint64  // all tags up to it may be dropped
	drop      bool    // whether dropTag was set
	closing   bool
	failed    error

	wake    chan struct{} // to the writer: something above changed
	keep    chan struct{} // to the keeper: the same
	written chan struct{} // closed when the writer has ended
	kept    chan struct{} // closed when the keeper has ended
	closed  sync.Once

	// The writer's own.
	tail       *tail
	tailStats  segment // the tail with what is written but not yet synced
	state      []byte  // newest, written
	stateIndex uint64
	unmarked   bool       // records are durable behind the last mark
	fresh      []position // of records being written

	files    sync.Mutex // held while MANIFEST is replaced or segments are made or removed
	manifest manifest   // as on the disk; under files
	released bool       // the files are not ours any more; under files

	reads sync.Mutex // held while Read uses cache
	cache loaded     // the old segment read last
}

// newLog returns a Log that start sets going.
func newLog(dir string, m manifest, o Options, segments []segment, t *tail, state []byte, stateIndex uint64) *Log {
	tail := segments[len(segments)-1]
	l := &Log{
		dir: dir, id: m.logID, o: o, disk: o.disk, logger: o.Logger,
		last: tail.last, durable: tail.last, segments: segments,
		wake: make(chan struct{}, 1), keep: make(chan struct{}, 1),
		written: make(chan struct{}), kept: make(chan struct{}),
		tail: t, tailStats: tail, state: state, stateIndex: stateIndex,
		manifest: m,
	}
	for _, s := range segments {
		l.bytes += s.size
	}
	return l
}

func (l *Log) start() {
	l.wantNext = l.next == nil
	go l.write()
	go l.housekeep()
	nudge(l.keep)
}

// nudge wakes whoever waits on c.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Append queues records, sets their indices and returns that of the last one. It
// does no I/O and does not wait for any. Payloads belong to the log until
// OnDurable has been told of them: they must not be changed before. The slice
// recs itself stays the caller's.
//
// The records of one Append are written together and in order; a crash before
// they are durable may leave the first few of them. After a failure and after
// Close they go nowhere. Append panics if a type is not TypeState or TypeData or
// if a state has a tag, which are mistakes of the caller.
func (l *Log) Append(recs []Record) (last uint64) {
	size := 0
	for i := range recs {
		r := &recs[i]
		if r.Type != TypeData && (r.Type != TypeState || r.Tag != 0) {
			panic(fmt.Sprintf("wal: append of a record of type %d with tag %d", r.Type, r.Tag))
		}
		size += entrySize(len(r.Payload))
	}
	l.mu.Lock()
	for i := range recs {
		recs[i].Index = l.last + uint64(i) + 1
	}
	l.last += uint64(len(recs))
	last = l.last
	if len(recs) == 0 || l.failed != nil || l.closing {
		l.mu.Unlock()
		return last
	}
	if size > MaxBatch {
		l.failed = fmt.Errorf("%w: a batch of %d bytes, at most %d", ErrTooLarge, size, MaxBatch)
	} else {
		l.queue = append(l.queue, recs...)
		l.groups = append(l.groups, len(l.queue))
	}
	l.mu.Unlock()
	nudge(l.wake)
	return last
}

// Roll asks for a new segment behind what has been appended so far. It returns
// at once; the segment begins when that is written and a new segment is ready,
// which at most delays it by a few records. A tail without records is not
// followed by another.
func (l *Log) Roll() {
	l.mu.Lock()
	l.roll, l.rollAt = true, l.last
	l.mu.Unlock()
	nudge(l.wake)
}

// FirstIndex returns the index of the oldest record that the log holds, or of
// the next one if it holds none.
func (l *Log) FirstIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[0].prior + 1
}

// LastIndex returns the index of the record appended last, durable or not.
func (l *Log) LastIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Durable returns the index up to which every record is durable.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Bytes returns the size of all segment files.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// Segments returns how many segments hold something.
func (l *Log) Segments() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.segments)
}

// ID returns the random number that Create was given.
func (l *Log) ID() uint64 { return l.id }

// ClearSuspect makes the log trusted again: from then on Open does not report it
// as suspect. It is to be called when what follows from the suspicion is durable
// elsewhere, or in the log itself: that the replica recovers, or that an
// operator accepts the loss.
func (l *Log) ClearSuspect() error {
	l.files.Lock()
	defer l.files.Unlock()
	if !l.manifest.suspect {
		return nil
	}
	return l.changeManifest(func(m *manifest) { m.suspect = false })
}

// fail ends the log, for the first reason given. The writer tells OnFail.
func (l *Log) fail(err error) {
	l.mu.Lock()
	if l.failed == nil {
		l.failed = fmt.Errorf("log %s failed, nothing more is written to it: %w", l.dir, err)
	}
	l.mu.Unlock()
	nudge(l.wake)
}

// Close writes and syncs what is queued, notes that the log was closed cleanly
// and releases its files; OnDurable is called meanwhile. It returns the failure
// that ended the log, if one did. A second Close does nothing.
func (l *Log) Close() error {
	err := ErrClosed
	l.closed.Do(func() { err = l.close() })
	return err
}

func (l *Log) close() error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	nudge(l.wake)
	<-l.written
	close(l.keep)
	<-l.kept

	l.files.Lock()
	defer l.files.Unlock()
	l.released = true
	l.mu.Lock()
	open := append(l.retired, l.tail)
	if l.next != nil {
		open = append(open, l.next)
	}
	err := l.failed
	l.mu.Unlock()
	if err != nil {
		for _, t := range open {
			t.abandon()
		}
		return err
	}
	for _, t := range open {
		if err := t.close(); err != nil {
			return l.unclean(err)
		}
	}
	m := l.manifest
	m.durable, m.cleanSegment, m.cleanSize = l.durable, l.tail.number, l.tail.size
	if m == l.manifest {
		return nil
	}
	if err := m.replace(l.disk, l.dir); err != nil {
		return l.unclean(err)
	}
	return nil
}

// unclean says that everything is durable, but that the log does not say so.
func (l *Log) unclean(err error) error {
	return fmt.Errorf("close log %s: everything is durable, but the next start will check its end: %w", l.dir, err)
}
