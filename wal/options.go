package wal

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

const (
	defaultSegmentBytes = 3 << 20
	// The writer puts no more into one write and sync, unless one Append brings
	// it: an unbounded batch would grow the tail, which tidwall/wal keeps in
	// memory, and the latency of those who wait behind it.
	maxWrite = 1 << 20
	// How long the log must have been quiet before a sync mark is written. Much
	// longer than the pause between one sync and the next batch of a client
	// that waits for each answer: no such client ever pays for a mark.
	defaultIdle = 25 * time.Millisecond
	// How long it must have been quiet before files are cut to what they hold. To have
	// their size again takes the next batch a fraction of a millisecond.
	defaultRest = time.Second
)

// Options of a log. The zero value is usable, but a caller who gives no OnFail
// will not hear of a full disk before Close.
//
// The functions are called from one goroutine of the log, one at a time. They
// must return soon, since nothing is written meanwhile, and must not call Close.
// They may call Append.
type Options struct {
	// SegmentBytes is the size in bytes above which the tail is followed by a
	// new segment, and that files have in advance while there is writing. The tail is
	// held in memory, so small is quick. 0 means 3 MiB.
	SegmentBytes int64
	// Quarantine is the directory that keeps what Open cuts off. It is made when
	// it is needed. Empty means "quarantine" in the log's directory.
	Quarantine string
	// Guard, if it is given, is asked before a file is made, renamed or removed: an error
	// keeps it from being done, and is that of whatever wanted it. A path may have
	// become that of another directory since the log was opened. It is called from several
	// goroutines.
	Guard func() error
	// OnDurable is told that every record up to and including index is durable.
	// Indices only rise.
	OnDurable func(index uint64)
	// OnFail is called at most once, with the first failed write or sync. Behind
	// it nothing is written or reported any more.
	OnFail func(err error)
	// OnSync observes each write-and-sync of records: how long it took and how
	// many records and bytes of file it made durable.
	OnSync func(d time.Duration, records, bytes int)
	// Logger gets a line when segments come and go and when something is cut.
	// Nil means silence.
	Logger *slog.Logger

	disk *disk         // file operations; tests watch and break them
	idle time.Duration // before a sync mark
	rest time.Duration // before files give back what they have in advance
}

// withDefaults returns o with every field usable.
func (o Options) withDefaults(dir string) (Options, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.SegmentBytes < 0 || o.SegmentBytes > MaxSegmentBytes {
		return o, fmt.Errorf("segment size of %d bytes: must be between 1 and %d", o.SegmentBytes, MaxSegmentBytes)
	}
	if o.Quarantine == "" {
		o.Quarantine = filepath.Join(dir, "quarantine")
	}
	if o.OnDurable == nil {
		o.OnDurable = func(uint64) {}
	}
	if o.OnFail == nil {
		o.OnFail = func(error) {}
	}
	if o.OnSync == nil {
		o.OnSync = func(time.Duration, int, int) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.disk == nil {
		o.disk = &disk{}
	}
	if o.Guard != nil {
		o.disk.guard = o.Guard
	}
	if o.idle == 0 {
		o.idle = defaultIdle
	}
	if o.rest == 0 {
		o.rest = defaultRest
	}
	return o, nil
}
