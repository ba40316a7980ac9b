package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"diskv/kv"
	"diskv/wal"
)

// Filter says which records Dump hands out. The zero Filter is all of them.
type Filter struct {
	// FirstSlot and LastSlot bound the slots of entries, 0: not. With a bound only
	// accepted entries pass.
	FirstSlot, LastSlot uint64
	// Kinds are those that pass; empty: all.
	Kinds []string
	// Key passes commands on that key, or the key itself, in a snapshot. Nil: all.
	Key []byte
	// Session passes operations of that session, or the session itself.
	Session kv.SessionID
	// Since and Until bound the time of the leader that is in batches. What has no
	// time of its own has that of the batch before it. Zero: no bound.
	Since, Until time.Time
	// ValueBytes is how many bytes of an argument are shown, negative: all.
	ValueBytes int
}

// Dump hands out the records of a data directory, of its wal/, of one segment in
// that, or of a snapshot file. Of a data directory it is the log. A fault in the
// files is a *Fault, behind all that could be read before it. Visit's errors end it.
func Dump(path string, filter Filter, progress Progress, visit func(*Record) error) error {
	s := sieve{Filter: filter, visit: visit}
	return s.dump(path, progress)
}

// sieve passes on what a filter lets through.
type sieve struct {
	Filter
	visit func(*Record) error
	now   time.Time // of the last batch
}

func (s *sieve) dump(path string, progress Progress) error {
	kind, err := classify(path)
	if err != nil {
		return err
	}
	d := describer{show: s.ValueBytes}
	dir := &Directory{Path: path}
	switch kind {
	case kindData:
		dir, err = Open(path)
		if dir == nil {
			return err // a damaged IDENTITY does not keep the log from being read
		}
		err = s.log(&d, dir.walPath(), progress)
	case kindLog:
		err = s.log(&d, path, progress)
	case kindSegment:
		err = s.segment(&d, path, progress)
	case kindSnapshot:
		err = d.dumpSnapshot(path, progress, s.pass)
	}
	if f, ok := faultOf(err); ok {
		return dir.explain(f)
	}
	return err
}

func (s *sieve) log(d *describer, dir string, progress Progress) error {
	total, _ := sizeOf(dir)
	done := int64(0)
	report, _, err := scanLog(dir, func(f frame) error {
		done += f.size()
		progress.tell(done, total)
		return s.pass(d.record(&f))
	})
	if isNoLog(err) {
		return &Fault{File: dir, Reason: "there is no log in it", Remedy: "a replica that was just formatted, or has just lost its disk, has none"}
	}
	if err == nil && report.Suspect && report.Cut != nil {
		c := report.Cut
		return &Fault{File: c.File, Index: c.Index, Offset: c.Offset, Reason: c.Reason, Remedy: "diskvlog verify tells what to do"}
	}
	return err
}

func (s *sieve) segment(d *describer, path string, progress Progress) error {
	number := uint64(0)
	if n, err := strconv.ParseUint(filepath.Base(path), 10, 64); err == nil {
		number = n
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		number, _ = strconv.ParseUint(filepath.Base(filepath.Dir(path)), 10, 64)
	}
	progress.tell(0, 1)
	report, err := wal.ScanSegment(path, func(r wal.Record, off int64) error {
		return s.pass(d.record(&frame{Record: r, segment: number, offset: off}))
	})
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty: it is the segment that was made ready in advance", path)
	}
	if err == nil && report.Problem != "" {
		file := path
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			file = filepath.Join(path, "00000000000000000001")
		}
		return &Fault{
			File: file, Index: report.LastIndex + 1, Offset: report.Bytes, Reason: report.Problem,
			Remedy: "whether that is a torn end or damage only the whole log can tell: diskvlog verify on the data directory",
		}
	}
	return err
}

// pass hands on a record that the filter lets through.
func (s *sieve) pass(r *Record) error {
	if r.Time != nil {
		s.now = *r.Time
	}
	if !s.lets(r) {
		return nil
	}
	return s.visit(r)
}

func (s *sieve) lets(r *Record) bool {
	switch {
	case len(s.Kinds) > 0 && !slices.Contains(s.Kinds, r.Kind),
		s.FirstSlot != 0 && (r.Ballot == "" || r.Slot < s.FirstSlot),
		s.LastSlot != 0 && (r.Ballot == "" || r.Slot > s.LastSlot),
		!s.Since.IsZero() && s.now.Before(s.Since),
		!s.Until.IsZero() && s.now.After(s.Until):
		return false
	}
	if s.Key == nil && !s.Session.IsValid() {
		return true
	}
	all := len(r.Commands)
	r.Commands = slices.DeleteFunc(r.Commands, func(c Command) bool {
		hasKey := slices.ContainsFunc(c.keys, func(k []byte) bool { return bytes.Equal(k, s.Key) })
		return s.Key != nil && !hasKey || s.Session.IsValid() && c.session != s.Session
	})
	r.Others = all - len(r.Commands)
	return len(r.Commands) > 0 || s.Key != nil && r.key != nil && bytes.Equal(r.key, s.Key) ||
		s.Session.IsValid() && r.session == s.Session
}

// followPause is how often Follow looks for more.
const followPause = 100 * time.Millisecond

// Follow is Dump on a data directory, or its wal/, that goes on with what is
// written to it until the context is over, which is no error.
func Follow(ctx context.Context, path string, filter Filter, visit func(*Record) error) error {
	kind, err := classify(path)
	if err != nil {
		return err
	}
	switch kind {
	case kindData:
		path = filepath.Join(path, "wal")
	case kindLog:
	case kindSegment, kindSnapshot:
		return fmt.Errorf("%s does not grow: follow a data directory", path)
	}
	s := sieve{Filter: filter, visit: visit}
	d := describer{show: filter.ValueBytes}
	f := follower{dir: path, visit: func(fr frame) error { return s.pass(d.record(&fr)) }}
	_, _, err = scanLog(path, func(fr frame) error {
		if ctx.Err() != nil {
			return errEnough
		}
		f.segment, f.offset = fr.segment, fr.offset
		return f.visit(fr)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
		err = f.more()
	}
	if fault, ok := faultOf(err); ok {
		return (&Directory{Path: path}).explain(fault)
	}
	return err
}

// follower reads what is appended to a log.
type follower struct {
	dir     string
	segment uint64 // of the last frame that was visited, and its offset
	offset  int64
	read    time.Time // modification of the segment's file before it was read last
	visit   func(frame) error
}

// more visits what has been written since.
func (f *follower) more() error {
	next, found, err := f.nextSegment()
	if err != nil {
		return err
	}
	// The next one is begun when the last frame of this one is in its file.
	if err := f.look(f.segment); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !found {
		return nil
	}
	f.segment, f.offset, f.read = next, -1, time.Time{}
	return f.look(next)
}

// look visits the frames of a segment that were not, if there may be any: two writes in
// quick succession may leave the same time.
func (f *follower) look(number uint64) error {
	path := filepath.Join(f.dir, fmt.Sprintf("%020d", number))
	info, err := os.Stat(filepath.Join(path, "00000000000000000001"))
	if err != nil {
		return err
	}
	if info.ModTime().Equal(f.read) && time.Since(f.read) > time.Second {
		return nil
	}
	_, err = wal.ScanSegment(path, func(r wal.Record, off int64) error {
		if off <= f.offset {
			return nil
		}
		f.offset = off
		return f.visit(frame{Record: r, segment: number, offset: off})
	})
	if errors.Is(err, io.EOF) {
		return nil
	}
	f.read = info.ModTime()
	return err
}

// nextSegment returns the lowest segment above the present one, if it was begun.
func (f *follower) nextSegment() (uint64, bool, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return 0, false, err
	}
	for _, e := range entries { // by name, which is by number
		n, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || len(e.Name()) != 20 || n <= f.segment {
			continue
		}
		return n, begun(filepath.Join(f.dir, e.Name(), "00000000000000000001")), nil
	}
	return 0, false, nil
}

// begun tells whether a segment's file has more than the zeros with which it was made
// ready: its first byte is the length of a frame.
func begun(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	first := make([]byte, 1)
	_, err = f.ReadAt(first, 0)
	return err == nil && first[0] != 0
}

func msTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
