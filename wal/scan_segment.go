package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// SegmentReport is what ScanSegment found.
type SegmentReport struct {
	// LogID and Number are what the segment's header says.
	LogID, Number uint64
	// FirstIndex and LastIndex number its records; it has none when LastIndex is
	// FirstIndex-1.
	FirstIndex, LastIndex uint64
	// Bytes is the size of its sound part, Behind how many follow it before those that
	// nothing was written to, which are zeros.
	Bytes, Behind int64
	// Problem says what is wrong behind the sound part. Empty when nothing is there.
	Problem string
}

// ScanSegment reads one segment by itself: a directory of a log, or the file in
// one. It calls visit for every sound frame, as [Scan] does, and ends at the first
// one that is not: what that means only the whole log can tell, so it is no
// error but in the report.
//
// The error is one of visit, a failed read, or a CorruptionError if the file does
// not begin with the header of a segment. A file in which nothing is written is an
// io.EOF: it is a segment that was made ready in advance.
func ScanSegment(path string, visit func(r Record, offset int64) error) (SegmentReport, error) {
	data, file, err := readLoneSegment(path)
	if err != nil {
		return SegmentReport{}, err
	}
	if unwritten(data) {
		return SegmentReport{}, fmt.Errorf("%s is an empty segment: %w", file, io.EOF)
	}
	id, number, ok := owner(data)
	if !ok {
		return SegmentReport{Behind: int64(len(data))}, &CorruptionError{File: file, Reason: "it does not begin with the header of a segment"}
	}
	p := placeOf(id, number)
	report := SegmentReport{LogID: id, Number: number}
	for off := int64(0); off < int64(len(data)); {
		f, size, what, err := p.decode(data[off:], off)
		if what == faultNone {
			what, err = report.take(&f, off)
		}
		if what != faultNone {
			if unwritten(data[off:]) {
				break
			}
			if err == nil {
				err = errors.New(faultReasons[what])
			}
			report.Problem = err.Error()
			report.Behind = int64(p.intended(data, off)) - off
			break
		}
		if err := visit(Record{Type: f.typ, Index: f.index, Tag: f.tag, Payload: f.payload}, off); err != nil {
			return report, err
		}
		off += int64(size)
		report.Bytes = off
	}
	return report, nil
}

// take counts a sound frame that follows those before it, and replaces the payload
// of a header by the state in it.
func (r *SegmentReport) take(f *frame, off int64) (fault, error) {
	want := r.LastIndex
	switch {
	case off == 0: // owner has checked that it is a header
		h, err := decodeHeader(f.payload)
		if err != nil {
			return faultFormat, err
		}
		f.payload = h.state
		r.FirstIndex, want = f.index+1, f.index
	case f.typ == TypeState, f.typ == TypeData:
		want++
	case f.typ == TypeHeader:
		return faultFormat, errors.New("a segment header is out of place")
	}
	if f.index != want {
		return faultFormat, fmt.Errorf("a %s with index %d is out of place", f.typ, f.index)
	}
	r.LastIndex = want
	return faultNone, nil
}

// readLoneSegment returns the bytes of a segment, given its directory or file, and
// the path of the file.
func readLoneSegment(path string) (data []byte, file string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, path, err
	}
	file = path
	if info.IsDir() {
		file = filepath.Join(path, segmentFile)
	}
	data, err = readSegmentFile(file)
	if info.IsDir() && errors.Is(err, fs.ErrNotExist) {
		err = &CorruptionError{File: file, Reason: "the segment's file is missing"}
	}
	return data, file, err
}

// owner returns the log and the number of the segment that data is, if it begins
// with a sound header.
func owner(data []byte) (logID, number uint64, ok bool) {
	const start = frameHead + 1 // of the payload, at the earliest
	for k := 0; k < maxPrefix && len(data) >= start+k+headerFixed; k++ {
		id, n := headerOwner(data[start+k:])
		if f, _, what, _ := placeOf(id, n).decode(data, 0); what == faultNone && f.typ == TypeHeader {
			return id, n, true
		}
	}
	return 0, 0, false
}
