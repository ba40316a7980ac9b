package wal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	tidwall "github.com/tidwall/wal"
)

// segmentFile is the name that tidwall/wal gives to the one file of a log that
// starts at 1. It and the names of segment directories are on disk.
const segmentFile = "00000000000000000001"

// rewriteTemp is the name of a segment file that is not whole yet. tidwall/wal
// ignores names shorter than 20 characters.
const rewriteTemp = "rewrite"

// segmentDir returns the directory of a segment in the directory of a log.
func segmentDir(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d", number))
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(segmentDir(dir, number), segmentFile)
}

// segmentNumber returns the number that the name of a directory stands for.
func segmentNumber(name string) (uint64, bool) {
	if len(name) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(name, 10, 64)
	return n, err == nil && n > 0
}

// segment is what is known of a segment that holds records.
type segment struct {
	number  uint64
	prior   uint64 // index of the last record before it
	last    uint64 // index of the last record in it; prior if it has none
	data    uint64 // records of TypeData, whose tags are in
	minTag  uint64 // the range minTag to maxTag
	maxTag  uint64
	entries uint64 // frames, header and marks included
	size    int64  // bytes
	marked  bool   // the last frame is a mark
}

// note counts f, the next frame of the segment.
func (s *segment) note(f *frame) {
	s.entries++
	s.marked = f.typ == TypeMark
	switch f.typ {
	case TypeHeader:
		s.prior, s.last = f.index, f.index
	case TypeState:
		s.last = f.index
	case TypeData:
		s.last = f.index
		if s.data == 0 {
			s.minTag, s.maxTag = f.tag, f.tag
		}
		s.minTag, s.maxTag = min(s.minTag, f.tag), max(s.maxTag, f.tag)
		s.data++
	}
}

// mayHold reports whether a record with a tag in the range may be in s.
func (s *segment) mayHold(from, to uint64) bool {
	return s.data > 0 && s.minTag <= to && s.maxTag >= from
}

// tail is a segment that is open for writing. After an error it must not be
// used again: tidwall/wal then remembers bytes that are not in the file.
//
// The file has its full size in advance, where the file system can give it that
// without writing: syncing a batch then writes the batch and nothing about the file.
// What was not written yet reads as zeros. A segment that rests or is closed is cut to
// what it holds.
type tail struct {
	number uint64
	path   string
	disk   *disk
	place  place
	log    *tidwall.Log
	file   *os.File // the same one: tidwall/wal lends its own to nobody
	batch  tidwall.Batch
	buf    []byte // one frame

	entries   uint64 // frames in the file and staged
	size      int64  // bytes of frames in the file
	full      int64  // bytes that the file is to have in advance
	allocated int64  // bytes that it was given in advance; 0 if it has just its frames
	grows     bool   // it cannot be given any
	staged    int    // bytes staged
}

// createTail makes the directory and the empty file of a segment, durably, and gives
// the file a size.
func createTail(d *disk, dir string, number, logID uint64, full int64) (*tail, error) {
	sub := segmentDir(dir, number)
	if err := d.mkdir(sub); err != nil {
		return nil, err
	}
	t := newTail(d, dir, number, logID, full)
	err := d.do(change{kind: changeCreate, path: t.path}, func() error { return t.open(sub) })
	if err == nil {
		err = t.allocate()
	}
	if err == nil {
		err = t.syncFile()
	}
	if err == nil {
		err = d.syncDir(sub)
	}
	if err == nil {
		err = d.syncDir(dir)
	}
	if err != nil {
		t.abandon()
		return nil, err
	}
	return t, nil
}

// openTail opens a segment whose file was checked and is as s says.
func openTail(d *disk, dir string, s segment, logID uint64, full int64) (*tail, error) {
	t := newTail(d, dir, s.number, logID, full)
	if err := t.open(segmentDir(dir, s.number)); err != nil {
		t.abandon()
		return nil, err
	}
	t.entries, t.size = s.entries, s.size
	info, err := t.file.Stat()
	if err != nil {
		t.abandon()
		return nil, err
	}
	n, err := t.log.LastIndex()
	if err != nil || n != s.entries || info.Size() != s.size {
		t.abandon()
		return nil, fmt.Errorf("%s changed while it was opened: %d entries, %d bytes, expected %d and %d (is another process using it?)",
			t.path, n, info.Size(), s.entries, s.size)
	}
	return t, nil
}

func newTail(d *disk, dir string, number, logID uint64, full int64) *tail {
	return &tail{number: number, path: segmentPath(dir, number), disk: d, place: placeOf(logID, number), full: full, grows: d.append}
}

func (t *tail) open(sub string) (err error) {
	t.log, err = tidwall.Open(sub, &tidwall.Options{
		NoSync:      true, // sync does it, once for each batch
		SegmentSize: math.MaxInt,
		NoCopy:      true,
		DirPerms:    0o750,
		FilePerms:   0o640,
	})
	if err != nil {
		return fmt.Errorf("open segment %d: %w", t.number, err)
	}
	// Before anything is written: the failure of a later write-back is told to those who
	// have the file open then.
	t.file, err = os.OpenFile(t.path, os.O_RDWR, 0)
	return err
}

// allocate gives the file its full size, if it has less. tidwall/wal goes on to write
// where the frames end. It is no error if there is no room, or if it cannot be: the file
// then grows with what is written.
func (t *tail) allocate() error {
	if t.grows || t.allocated > 0 || t.size >= t.full {
		return nil
	}
	return t.disk.do(change{kind: changeAllocate, path: t.path, n: int(t.full)}, func() error {
		done, err := allocate(t.file, t.full)
		if done {
			t.allocated = t.full
			return nil
		}
		t.grows = true
		// Some of it may be there: not to be kept from others.
		if cut := t.file.Truncate(t.size); !noRoom(cut) {
			err = errors.Join(err, cut)
		}
		return err
	})
}

// giveBack cuts the file, all of which is synced, to what it holds. What it had in
// advance may be there again after a power cut, until the next sync.
func (t *tail) giveBack() error {
	if t.allocated <= t.size {
		return nil
	}
	err := t.disk.do(change{kind: changeTruncate, path: t.path, n: int(t.size)}, func() error { return t.file.Truncate(t.size) })
	switch {
	case noRoom(err): // some file systems need some for this; what is there says nothing
		return nil
	case err == nil:
		t.allocated = 0
	}
	return err
}

// noRoom reports whether there was no room on the disk for something.
func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// stage adds a frame to what flush writes. It copies the payload.
func (t *tail) stage(f frame) {
	t.buf = t.place.appendFrame(t.buf[:0], f, t.size+int64(t.staged))
	t.entries++
	t.batch.Write(t.entries, t.buf)
	t.staged += entrySize(len(f.payload))
	if cap(t.buf) > maxWrite {
		t.buf = nil
	}
}

// flush writes what was staged in one piece and syncs it.
func (t *tail) flush() error {
	if err := t.allocate(); err != nil {
		return err
	}
	c := change{kind: changeWrite, path: t.path, off: t.size, n: t.staged}
	if err := t.disk.do(c, func() error { return t.log.WriteBatch(&t.batch) }); err != nil {
		return err
	}
	if t.staged > 4*maxWrite {
		t.batch = tidwall.Batch{} // one large batch must not be remembered for ever
	}
	t.size += int64(t.staged)
	t.staged = 0
	return t.sync()
}

// sync makes what was written durable, and the length of the file if that has changed.
func (t *tail) sync() error {
	return t.disk.do(change{kind: changeSync, path: t.path}, func() error { return syncData(t.file) })
}

// syncFile makes all of the file durable.
func (t *tail) syncFile() error {
	return t.disk.do(change{kind: changeSync, path: t.path}, t.file.Sync)
}

// close cuts the file, all of which is synced, to what it holds and closes it. The sync
// that tidwall/wal does on the way has nothing to write.
func (t *tail) close() error {
	if t.allocated > t.size {
		err := t.giveBack()
		if err == nil {
			err = t.syncFile()
		}
		if err != nil {
			t.abandon()
			return err
		}
	}
	return errors.Join(t.log.Close(), t.file.Close())
}

// abandon gives up the file after an error. tidwall/wal cannot close without a
// sync, and a failed sync is not tried again, so closing is left to the garbage
// collector.
func (t *tail) abandon() {
	t.log = nil
	if t.file != nil {
		_ = t.file.Close()
	}
}
