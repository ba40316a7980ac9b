package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// walk reads a log from its first segment to its end, checks everything and
// changes nothing.
type walk struct {
	dir      string
	manifest manifest
	// visit gets every sound frame. The payload of a header is its state. It
	// aliases a buffer that holds the segment and that nobody writes to later.
	visit func(segment uint64, f *frame, off int64) error

	segments   []segment // those that hold something sound
	last       uint64    // index of the last sound record
	state      []byte
	stateIndex uint64
	cut        *Cut
	suspect    bool
	cutBytes   []byte // what is behind the cut
	tailBytes  []byte // the sound bytes of the last of segments
	padding    int    // zeros behind them, which are no part of the log
	blank      int    // zeros in the segment that was made ready
	leftovers  []uint64
	report     Report
}

// newWalk reads MANIFEST and the names in dir. An error is ErrNoLog, a
// CorruptionError, or a failed read.
func newWalk(dir string, visit func(uint64, *frame, int64) error) (*walk, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoLog)
	}
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range names {
		if n, ok := segmentNumber(e.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	m, err := readManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		ok, err := unfinished(dir, numbers)
		if err != nil {
			return nil, err
		}
		if ok {
			return nil, fmt.Errorf("%s: %w", dir, ErrNoLog)
		}
		return nil, &CorruptionError{File: filepath.Join(dir, manifestName), Reason: "the file is missing though there are segments"}
	}
	if err != nil {
		return nil, err
	}
	w := &walk{dir: dir, manifest: m, visit: visit}
	w.report.LogID, w.report.Suspect = m.logID, m.suspect
	for _, n := range numbers {
		if n >= m.first && n <= m.newest {
			continue
		}
		if n > m.newest {
			// Nothing was written to one that was being made ready.
			if used, err := segmentUsed(dir, n); err != nil || used {
				return nil, errors.Join(err, &CorruptionError{
					File:   segmentDir(dir, n),
					Reason: fmt.Sprintf("%s names segment %d as the newest, so this one is of another log or %s is an old copy", manifestName, m.newest, manifestName),
				})
			}
		}
		w.leftovers = append(w.leftovers, n)
	}
	return w, nil
}

// unfinished reports whether a directory without MANIFEST is at most what a
// Create left that did not get to its end: no segment, or a header and nothing
// behind it in segment 1.
func unfinished(dir string, numbers []uint64) (bool, error) {
	if len(numbers) == 0 {
		return true, nil
	}
	if len(numbers) > 1 || numbers[0] != 1 {
		return false, nil
	}
	data, err := readSegment(dir, 1)
	var damage *CorruptionError
	if errors.As(err, &damage) {
		return true, nil // no file yet
	}
	return bytes.Count(data, []byte(frameMagic)) <= 1, err
}

// segmentUsed reports whether something was written to a segment, which need not be
// there.
func segmentUsed(dir string, number uint64) (bool, error) {
	data, err := readSegmentFile(segmentPath(dir, number))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return !unwritten(data), err
}

// trimZeros returns b without the zeros at its end: a file that was given its size in
// advance has them where nothing was written yet.
func trimZeros(b []byte) []byte {
	for len(b) >= len(zeros) && bytes.Equal(b[len(b)-len(zeros):], zeros[:]) {
		b = b[:len(b)-len(zeros)]
	}
	return bytes.TrimRight(b, "\x00")
}

var zeros [4096]byte // as many as are compared at once

// unwritten reports whether there are only zeros in b.
func unwritten(b []byte) bool { return len(trimZeros(b)) == 0 }

// readSegment returns the bytes of a segment that must be there.
func readSegment(dir string, number uint64) ([]byte, error) {
	sub, path := segmentDir(dir, number), segmentPath(dir, number)
	names, err := os.ReadDir(sub)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptionError{File: sub, Reason: "the segment is missing"}
	}
	if err != nil {
		return nil, err
	}
	for _, e := range names {
		// tidwall/wal would take these for parts of its log.
		if n := e.Name(); len(n) >= 20 && n != segmentFile && n[0] >= '0' && n[0] <= '9' {
			return nil, &CorruptionError{File: filepath.Join(sub, n), Reason: "a file that no segment has"}
		}
	}
	data, err := readSegmentFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptionError{File: path, Reason: "the segment's file is missing"}
	}
	return data, err
}

// openRegular opens a file for reading, but not what is no file: a pipe would make
// the caller wait for ever.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &CorruptionError{File: path, Reason: "not a regular file: " + info.Mode().String()}
	}
	return os.Open(path)
}

// readSegmentFile returns the bytes of a segment's file.
func readSegmentFile(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSegmentFile {
		return nil, &CorruptionError{File: path, Reason: fmt.Sprintf("not a segment's file: %d bytes", info.Size())}
	}
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data[:n], nil
}

// run walks all segments.
func (w *walk) run() error {
	for n := w.manifest.first; n <= w.manifest.newest; n++ {
		data, err := readSegment(w.dir, n)
		if err != nil {
			return err
		}
		if n == w.manifest.newest && n > w.manifest.first && unwritten(data) {
			w.blank = len(data)
			break // ready in advance
		}
		if w.cut != nil {
			c := w.cut
			w.cut, w.suspect = nil, false
			return w.damage(c.Segment, c.Offset, fmt.Sprintf("%s, though segment %d was begun", c.Reason, n))
		}
		if err := w.segment(n, data); err != nil {
			return err
		}
	}
	if w.last < w.manifest.durable {
		tail := w.segments[len(w.segments)-1]
		return w.damage(tail.number, tail.size, fmt.Sprintf("the log ends here, though %s says that record %d was durable", manifestName, w.manifest.durable))
	}
	w.summarize()
	return nil
}

// segment walks the segment n, whose bytes are data.
func (w *walk) segment(n uint64, data []byte) error {
	p := placeOf(w.manifest.logID, n)
	s := segment{number: n}
	var off int64
	var f frame // outside, since visit makes it escape
	for off < int64(len(data)) || off == 0 {
		var size int
		var what fault
		var err error
		f, size, what, err = p.decode(data[off:], off)
		if what != faultNone {
			if off > 0 && unwritten(data[off:]) {
				break // nothing was written here
			}
			if what == faultFormat {
				return w.damage(n, off, err.Error())
			}
			if err := w.end(p, n, data, off, what); err != nil {
				return err
			}
			break
		}
		if f.typ == TypeHeader {
			err = w.header(n, off, &f)
		} else if f.typ == TypeMark {
			err = w.expect(n, off, &f, w.last)
		} else if err = w.expect(n, off, &f, w.last+1); err == nil {
			w.last++
			if f.typ == TypeState {
				w.state, w.stateIndex = f.payload, f.index
				w.report.States++
			} else {
				w.report.Data++
			}
		}
		if err != nil {
			return err
		}
		s.note(&f)
		if err := w.visit(n, &f, off); err != nil {
			return err
		}
		off += int64(size)
	}
	if n == w.manifest.cleanSegment && off < w.manifest.cleanSize {
		return w.damage(n, off, fmt.Sprintf("the file ends here, but had %d bytes when the log was closed", w.manifest.cleanSize))
	}
	if s.size = off; off > 0 {
		w.segments = append(w.segments, s)
		w.tailBytes = data[:off]
		w.padding = len(data) - int(off)
	}
	return nil
}

// expect checks that a sound frame has the index that its place in the log asks
// for.
func (w *walk) expect(n uint64, off int64, f *frame, index uint64) error {
	if off == 0 || f.index != index {
		return w.damage(n, off, fmt.Sprintf("a %s with index %d is out of place", f.typ, f.index))
	}
	return nil
}

// header checks the header f of the segment n, replaces its payload by the state
// in it, and takes over what it says.
func (w *walk) header(n uint64, off int64, f *frame) error {
	h, err := decodeHeader(f.payload)
	if err != nil {
		return w.damage(n, off, err.Error())
	}
	if off != 0 || h.logID != w.manifest.logID || h.segment != n || h.stateIndex > f.index {
		return w.damage(n, off, "a segment header is out of place")
	}
	f.payload = h.state
	if n == w.manifest.first {
		w.last, w.state, w.stateIndex = f.index, h.state, h.stateIndex
		w.report.FirstIndex = f.index + 1
		return nil
	}
	if f.index != w.last {
		return w.damage(n-1, w.segments[len(w.segments)-1].size,
			fmt.Sprintf("records up to %d are missing in front of segment %d", f.index, n))
	}
	if h.stateIndex != w.stateIndex || !bytes.Equal(h.state, w.state) {
		return w.damage(n, off, fmt.Sprintf("the state in the header is not the one of record %d", w.stateIndex))
	}
	return nil
}

// damage returns a CorruptionError for the record behind the last sound one.
func (w *walk) damage(n uint64, off int64, reason string) error {
	return &CorruptionError{File: segmentPath(w.dir, n), Index: w.last + 1, Offset: off, Reason: reason}
}

// faultReasons say in words what is wrong with bytes that are no frame.
var faultReasons = map[fault]string{
	faultShort:   "the file ends inside a frame",
	faultHead:    "no valid frame here",
	faultPayload: "the checksum of the payload is wrong",
}

// end decides what the first fault in the log is: damage to something durable,
// which is the error returned, or a torn or suspect end, for which it sets cut.
//
// It is damage if anything says that the next record or the frame at off was
// durable: a segment that was begun later (run looks at that, too), MANIFEST, or
// a frame behind the fault. Otherwise it is torn if a power cut explains it: the
// file ends inside the frame, or what was written ends inside its head, or a sector from
// there on to the end of what was to be written was not, and reads as zeros. Otherwise it
// is suspect.
func (w *walk) end(p place, n uint64, data []byte, off int64, what fault) error {
	m := &w.manifest
	reason := faultReasons[what]
	if off == 0 {
		reason = "no valid segment header"
		if other := foreign(data, m.logID, n); other != "" {
			return w.damage(n, off, other)
		}
	}
	next := w.last + 1
	switch {
	case off == 0 && n == m.first:
		return w.damage(n, off, reason+", though a log has one before it is a log")
	case n < m.newest-1, off == 0 && n < m.newest:
		return w.damage(n, off, reason+", though later segments were begun")
	case m.durable >= next, n == m.cleanSegment && off < m.cleanSize:
		return w.damage(n, off, reason+", though "+manifestName+" says that it was durable")
	}
	if at, ok := claimed(p, data, off, next); ok {
		return w.damage(n, off, reason+fmt.Sprintf(", though the frame at offset %d says that it was durable", at))
	}
	short := what == faultShort || halfHead(data[off:])
	data = data[:p.intended(data, off)]
	w.suspect = !short && !zeroSector(data, int(off))
	switch {
	case w.suspect:
		reason += ", and every sector from there on holds something"
	case !short:
		reason += ", and a sector from there on was not written"
	case what != faultShort:
		reason += ", and what was written ends in its head"
	}
	w.cut = &Cut{
		File: segmentPath(w.dir, n), Segment: n, Offset: off, Bytes: int64(len(data)) - off,
		Index: next, Reason: reason,
	}
	w.cutBytes = data[off:]
	return nil
}

// halfHead reports whether there are only zeros in b before a frame at its front can have
// had its head.
func halfHead(b []byte) bool {
	b = trimZeros(b)
	_, k := binary.Uvarint(b[:min(maxPrefix, len(b))])
	if k <= 0 || !bytes.HasPrefix(b[k:], []byte(frameMagic)) {
		k = 1 // the least there is
	}
	return len(b) < k+frameHead
}

// intended returns up to where bytes were to be written, as far as that can be told, if
// there is a fault at off and something behind it: to the last one that is no zero, and
// to the end of the frame at off if its head is sound. Zeros behind it are what the file
// had before.
func (p place) intended(data []byte, off int64) int {
	b := data[off:]
	end := 0
	if n, k := binary.Uvarint(b[:min(maxPrefix, len(b))]); k > 0 {
		if h, ok := p.decodeHead(b[k:], off); ok && n == uint64(frameHead+h.length) {
			end = k + int(n)
		}
	}
	return int(off) + max(len(trimZeros(b)), min(end, len(b)))
}

// claimed looks behind off for a frame that says that index was durable, and
// returns its offset. A sound head is enough: what it says was true when it was
// made, whatever became of the payload.
func claimed(p place, data []byte, off int64, index uint64) (int64, bool) {
	for at := int(off) + 1; ; at++ {
		i := bytes.Index(data[at:], []byte(frameMagic))
		if i < 0 {
			return 0, false
		}
		at += i
		for k := 1; k <= maxPrefix && k <= at; k++ {
			if h, ok := p.decodeHead(data[at:], int64(at-k)); ok && (h.problem != nil || h.durable >= index) {
				return int64(at - k), true
			}
		}
	}
}

// zeroSector reports whether a sector of the file holds nothing but zeros from
// the offset from on: the rest of the sector of from, or a later one, of which
// the last may be short.
func zeroSector(data []byte, from int) bool {
	const sector = 512 // the least that disks write as a whole
	for start := from; start < len(data); {
		end := min((start/sector+1)*sector, len(data))
		if len(bytes.Trim(data[start:end], "\x00")) == 0 {
			return true
		}
		start = end
	}
	return false
}

// foreign says whose segment data is if it is sound, but not segment n of the log.
func foreign(data []byte, logID, n uint64) string {
	if id, number, ok := owner(data); ok {
		return fmt.Sprintf("this is segment %d of log %016x, not segment %d of log %016x", number, id, n, logID)
	}
	return ""
}

// summarize fills in the report.
func (w *walk) summarize() {
	r, m := &w.report, &w.manifest
	r.LastIndex = w.last
	for _, s := range w.segments {
		r.Bytes += s.size
	}
	if len(w.segments) > 0 {
		tail := w.segments[len(w.segments)-1]
		r.FirstSegment, r.LastSegment = w.segments[0].number, tail.number
		r.CleanClose = w.cut == nil && w.padding == 0 && m.cleanSegment == tail.number && m.cleanSize == tail.size
	}
	r.Cut, r.Torn = w.cut, w.cut != nil && !w.suspect
	r.Suspect = r.Suspect || w.suspect
}

// Scan reads the log in dir as Open would, and changes nothing: no end is cut
// and nothing that was left behind is removed. It calls visit for every sound
// frame with the number of its segment and its offset in the segment's file; a
// record may also be a TypeMark, or a TypeHeader with the state as its payload.
// The payload aliases memory that nobody writes to later. Report says what Open
// would do. A log that another process has open changes under the eyes of Scan
// and may look torn or damaged.
//
// The error is one of visit, ErrNoLog, a CorruptionError, or a failed read; the
// frames in front of a CorruptionError were visited, and the report counts them.
func Scan(dir string, visit func(segment uint64, r Record, offset int64) error) (Report, error) {
	w, err := newWalk(dir, func(n uint64, f *frame, off int64) error {
		return visit(n, Record{Type: f.typ, Index: f.index, Tag: f.tag, Payload: f.payload}, off)
	})
	if err != nil {
		return Report{}, err
	}
	if err := w.run(); err != nil {
		w.summarize()
		return w.report, err
	}
	return w.report, nil
}
