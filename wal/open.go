package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Create makes a new log in dir, which may exist but must not hold a log, and
// opens it. id is a random number that no other log has; state is the first
// hard state, which is durable when Create returns. state is copied.
//
// The log exists from the moment that its MANIFEST does, which is last. What a
// Create left that did not get so far is removed by the next one.
func Create(dir string, id uint64, state []byte, o Options) (*Log, error) {
	o, err := o.withDefaults(dir)
	if err != nil {
		return nil, fmt.Errorf("create log %s: %w", dir, err)
	}
	if len(state) > MaxBatch {
		return nil, fmt.Errorf("create log %s: %w: a state of %d bytes", dir, ErrTooLarge, len(state))
	}
	l, err := create(dir, id, state, o)
	if err != nil {
		return nil, fmt.Errorf("create log %s: %w", dir, err)
	}
	l.start()
	return l, nil
}

func create(dir string, id uint64, state []byte, o Options) (*Log, error) {
	_, err := newWalk(dir, nil)
	if !errors.Is(err, ErrNoLog) {
		var damage *CorruptionError
		if err == nil || errors.As(err, &damage) {
			err = errors.Join(ErrExists, err)
		}
		return nil, err
	}
	if err := o.disk.mkdirAll(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(segmentDir(dir, 1)); err == nil {
		if err := o.disk.removeSegment(segmentDir(dir, 1)); err != nil {
			return nil, err
		}
	}
	t, err := createTail(o.disk, dir, 1, id, o.SegmentBytes)
	if err != nil {
		return nil, err
	}
	first := frame{typ: TypeHeader, payload: header{logID: id, segment: 1, state: state}.encode()}
	t.stage(first)
	if err := t.flush(); err != nil {
		t.abandon()
		return nil, err
	}
	m := manifest{logID: id, first: 1, newest: 1}
	if err := m.replace(o.disk, dir); err != nil {
		t.abandon()
		return nil, err
	}
	s := segment{number: 1, size: t.size}
	s.note(&first)
	return newLog(dir, m, o, []segment{s}, t, bytes.Clone(state), 0), nil
}

// Open opens the log in dir and calls replay for each State and Data record in
// order, beginning with the state in the header of the oldest segment. The
// payload that replay gets aliases a buffer that nobody writes to later: it may
// be kept, but keeps its whole segment in memory.
//
// When Open fails replay may have been called: what it built is then to be
// thrown away. The error is one of replay, ErrNoLog, a CorruptionError, or what
// reading or repairing met. An end that is torn or suspect is no error: it is
// cut and kept aside, and the report says so. A suspect log must not be relied
// on before the caller has seen to it; see ClearSuspect.
func Open(dir string, o Options, replay func(Record) error) (*Log, Report, error) {
	o, err := o.withDefaults(dir)
	if err != nil {
		return nil, Report{}, fmt.Errorf("open log %s: %w", dir, err)
	}
	l, report, err := open(dir, o, replay)
	if err != nil {
		return nil, report, fmt.Errorf("open log: %w", err)
	}
	l.start()
	return l, report, nil
}

func open(dir string, o Options, replay func(Record) error) (*Log, Report, error) {
	var w *walk
	w, err := newWalk(dir, func(n uint64, f *frame, _ int64) error {
		r := Record{Type: f.typ, Index: f.index, Tag: f.tag, Payload: f.payload}
		switch {
		case f.typ == TypeHeader && n == w.manifest.first:
			r.Type, r.Index = TypeState, w.stateIndex
		case f.typ == TypeHeader, f.typ == TypeMark:
			return nil
		}
		return replay(r)
	})
	if err != nil {
		return nil, Report{}, err
	}
	if err := w.run(); err != nil {
		return nil, w.report, err
	}
	if err := w.repair(o); err != nil {
		return nil, w.report, fmt.Errorf("%s: nothing is lost, but the end of the log could not be made safe;"+
			" start again when the cause is gone: %w", dir, err)
	}
	tailSegment := w.segments[len(w.segments)-1]
	t, err := openTail(o.disk, dir, tailSegment, w.manifest.logID, o.SegmentBytes)
	if err != nil {
		return nil, w.report, err
	}
	l := newLog(dir, w.manifest, o, w.segments, t, bytes.Clone(w.state), w.stateIndex)
	l.positions = positionsOf(w.tailBytes, placeOf(w.manifest.logID, tailSegment.number))
	if n := tailSegment.number + 1; n == w.manifest.newest {
		l.next, err = openTail(o.disk, dir, segment{number: n}, w.manifest.logID, o.SegmentBytes)
		if err != nil {
			t.abandon()
			return nil, w.report, err
		}
	}
	return l, w.report, nil
}

// repair makes the files such that the log can be written to: a suspect end is
// on record before it is cut, what is cut is kept, and the tail, unless the log
// was closed cleanly, is a new file that was synced. The old file's content may
// be what the page cache has and the disk does not.
func (w *walk) repair(o Options) error {
	d := o.disk
	if w.suspect && !w.manifest.suspect {
		m := w.manifest
		m.suspect = true
		if err := m.replace(d, w.dir); err != nil {
			return err
		}
		w.manifest = m
	}
	if err := w.removeLeftovers(d); err != nil {
		return err
	}
	if w.cut != nil {
		kept, err := keepAside(d, o.Quarantine, w.cut, w.cutBytes)
		if err != nil {
			return fmt.Errorf("keep aside what is cut: %w", err)
		}
		w.cut.Kept = kept
		o.Logger.Warn("log cut at its end", "suspect", w.suspect, "file", w.cut.File, "offset", w.cut.Offset,
			"bytes", w.cut.Bytes, "record", w.cut.Index, "reason", w.cut.Reason, "kept", kept)
	}
	if w.blank > 0 || w.cut != nil && w.cut.Offset == 0 {
		// Nothing is in the newest segment: it is as if made ready, and has no size yet.
		if err := w.rewrite(d, w.manifest.newest, nil); err != nil {
			return err
		}
	}
	if w.report.CleanClose {
		return nil
	}
	tail := &w.segments[len(w.segments)-1]
	if !tail.marked {
		// The file will have been synced when it is used, so it may say so.
		mark := frame{typ: TypeMark, index: w.last, durable: w.last}
		w.tailBytes = appendEntry(w.tailBytes[:len(w.tailBytes):len(w.tailBytes)], placeOf(w.manifest.logID, tail.number), mark)
		tail.note(&mark)
		w.report.Bytes += int64(len(w.tailBytes)) - tail.size
		tail.size = int64(len(w.tailBytes))
	}
	w.report.Rewritten = true
	return w.rewrite(d, tail.number, w.tailBytes)
}

// rewrite puts content into a new file in the place of a segment's.
func (w *walk) rewrite(d *disk, n uint64, content []byte) error {
	temp := filepath.Join(segmentDir(w.dir, n), rewriteTemp)
	if err := d.writeFile(temp, content); err != nil {
		// Give back what may be the last space on the disk.
		return errors.Join(err, d.remove(temp))
	}
	if err := d.rename(temp, segmentPath(w.dir, n)); err != nil {
		return err
	}
	return d.syncDir(segmentDir(w.dir, n))
}

// removeLeftovers removes what a crash left behind of segments that were being
// dropped or made ready, and temporary files.
func (w *walk) removeLeftovers(d *disk) error {
	for _, n := range w.leftovers {
		if err := d.removeSegment(segmentDir(w.dir, n)); err != nil {
			return err
		}
	}
	temps := []string{filepath.Join(w.dir, manifestTemp)}
	for n := w.manifest.first; n <= w.manifest.newest; n++ {
		temps = append(temps, filepath.Join(segmentDir(w.dir, n), rewriteTemp))
	}
	for _, temp := range temps {
		if _, err := os.Lstat(temp); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := d.remove(temp); err != nil {
			return err
		}
	}
	return nil
}

// keepAside writes what is cut to a file in the directory quarantine and returns
// its path. The same cut made again after a crash finds its file there.
func keepAside(d *disk, quarantine string, c *Cut, content []byte) (string, error) {
	if err := d.mkdirAll(quarantine); err != nil {
		return "", err
	}
	for i := 0; ; i++ {
		path := filepath.Join(quarantine, fmt.Sprintf("segment-%020d-offset-%d.%d", c.Segment, c.Offset, i))
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		// The same cut may have been made before; a file that is there may not
		// have got as far as the disk. One with other bytes is of an earlier cut.
		if err == nil && !bytes.Equal(old, content) {
			continue
		}
		if err := d.writeFile(path, content); err != nil {
			// So that starts on a full disk do not leave file after file.
			return "", errors.Join(err, d.remove(path))
		}
		return path, d.syncDir(quarantine)
	}
}
