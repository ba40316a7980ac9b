package wal

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

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
type tail struct {
	number uint64
	path   string
	disk   *disk
	place  place
	log    *tidwall.Log
	batch  tidwall.Batch
	buf    []byte // one frame

	entries uint64 // frames in the file and staged
	size    int64  // bytes in the file
	staged  int    // bytes staged
}

// createTail makes the directory and the empty file of a segment, durably.
func createTail(d *disk, dir string, number, logID uint64) (*tail, error) {
	sub := segmentDir(dir, number)
	if err := d.mkdir(sub); err != nil {
		return nil, err
	}
	t := newTail(d, dir, number, logID)
	err := d.do(change{kind: changeCreate, path: t.path}, func() error { return t.open(sub) })
	if err == nil {
		err = t.sync()
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
func openTail(d *disk, dir string, s segment, logID uint64) (*tail, error) {
	t := newTail(d, dir, s.number, logID)
	if err := t.open(segmentDir(dir, s.number)); err != nil {
		return nil, err
	}
	t.entries, t.size = s.entries, s.size
	info, err := os.Stat(t.path)
	if err != nil {
		t.close()
		return nil, err
	}
	n, err := t.log.LastIndex()
	if err != nil || n != s.entries || info.Size() != s.size {
		t.close()
		return nil, fmt.Errorf("%s changed while it was opened: %d entries, %d bytes, expected %d and %d (is another process using it?)",
			t.path, n, info.Size(), s.entries, s.size)
	}
	return t, nil
}

func newTail(d *disk, dir string, number, logID uint64) *tail {
	return &tail{number: number, path: segmentPath(dir, number), disk: d, place: placeOf(logID, number)}
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
	return nil
}

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

func (t *tail) sync() error {
	return t.disk.do(change{kind: changeSync, path: t.path}, t.log.Sync)
}

// close closes the file, all of which is synced. The sync that tidwall/wal does
// on the way has nothing to write.
func (t *tail) close() {
	_ = t.log.Close()
}

// abandon gives up the file after an error. tidwall/wal cannot close without a
// sync, and a failed sync is not tried again, so closing is left to the garbage
// collector.
func (t *tail) abandon() {
	t.log = nil
}
