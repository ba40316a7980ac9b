package wal

import (
	"errors"
	"fmt"
)

// housekeep is the keeper: it closes old segments, makes the next one ready
// while the tail is written to, and drops segments whose turn comes late.
func (l *Log) housekeep() {
	defer close(l.kept)
	for range l.keep {
		if err := l.tidy(); err != nil {
			l.fail(err)
		}
	}
}

func (l *Log) tidy() error {
	l.mu.Lock()
	retired, want, failed := l.retired, l.wantNext, l.failed != nil
	l.retired, l.wantNext = nil, false
	l.mu.Unlock()
	for _, t := range retired {
		if failed {
			t.abandon()
		} else if err := t.close(); err != nil {
			return fmt.Errorf("close a segment: %w", err)
		}
	}
	if failed {
		return nil
	}
	if want {
		if err := l.prepare(); err != nil {
			return err
		}
	}
	// What DropThrough could not drop because it was the tail.
	if err := l.dropSegments(); err != nil {
		l.logger.Warn("log segments not dropped", "err", err)
	}
	return nil
}

// prepare makes the next segment: its directory and its file of zeros, synced, and
// then a MANIFEST that names it. Only then may it be written to.
func (l *Log) prepare() error {
	l.files.Lock()
	defer l.files.Unlock()
	number := l.manifest.newest + 1
	t, err := createTail(l.disk, l.dir, number, l.id, l.o.SegmentBytes)
	if err != nil {
		return fmt.Errorf("make segment %d ready: %w", number, err)
	}
	if err := l.changeManifest(func(m *manifest) { m.newest = number }); err != nil {
		t.abandon()
		return fmt.Errorf("make segment %d ready: %w", number, err)
	}
	l.mu.Lock()
	l.next = t
	l.mu.Unlock()
	nudge(l.wake)
	return nil
}

// changeManifest replaces MANIFEST by what change makes of it. The caller holds
// files. After a failed sync it ends the log.
func (l *Log) changeManifest(change func(*manifest)) error {
	if l.released {
		return ErrClosed
	}
	l.mu.Lock()
	err, durable := l.failed, l.durable
	l.mu.Unlock()
	if err != nil {
		return err
	}
	m := l.manifest
	change(&m)
	m.durable = durable
	if err := m.replace(l.disk, l.dir); err != nil {
		if errors.Is(err, errSync) {
			l.fail(err)
		}
		return err
	}
	l.manifest = m
	return nil
}

// DropThrough allows the log to forget every record with a tag at or below tag,
// because a snapshot that covers them is durable, and drops whole segments from
// the oldest on as far as all their tags allow it. The tail is never dropped,
// nor is the newest state, which each segment carries along. What cannot be
// dropped yet because it is in the tail is dropped when the tail is followed by
// another segment, without a further call.
//
// An error means that segments may still be there, the log going on; a later
// call tries again. After a failed sync the log has failed, too.
func (l *Log) DropThrough(tag uint64) error {
	l.mu.Lock()
	l.dropTag, l.drop = max(l.dropTag, tag), true
	l.mu.Unlock()
	if err := l.dropSegments(); err != nil {
		return fmt.Errorf("drop log segments through tag %d: %w", tag, err)
	}
	return nil
}

// dropSegments drops what dropTag allows. MANIFEST forgets the segments before
// their files go: what a crash leaves of them is then removed by Open.
func (l *Log) dropSegments() error {
	l.files.Lock()
	defer l.files.Unlock()
	if l.released {
		return ErrClosed
	}
	l.mu.Lock()
	n := 0
	for l.drop && n < len(l.segments)-1 && l.segments[n].maxTag <= l.dropTag {
		n++
	}
	first := l.segments[n]
	dropped := l.segments[:n:n]
	l.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := l.changeManifest(func(m *manifest) { m.first = first.number }); err != nil {
		return err
	}
	l.mu.Lock()
	l.segments = append([]segment(nil), l.segments[n:]...)
	for _, s := range dropped {
		l.bytes -= s.size
	}
	l.mu.Unlock()
	l.forget(first.number)
	for _, s := range dropped {
		if err := l.disk.removeSegment(segmentDir(l.dir, s.number)); err != nil {
			return err
		}
	}
	l.logger.Debug("log segments dropped", "through_segment", first.number-1, "first_record", first.prior+1)
	if err := l.disk.syncDir(l.dir); err != nil {
		l.fail(err)
		return err
	}
	return nil
}
