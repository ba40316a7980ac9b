package wal

import (
	"fmt"
	"os"
)

// position is where a Data record is in its segment.
type position struct {
	tag     uint64
	off     int64 // of the entry
	payload int   // bytes
}

// positionsOf returns the positions of the Data records in a segment that was
// checked.
func positionsOf(data []byte, p place) []position {
	var out []position
	for off := 0; off < len(data); {
		f, size, what, _ := p.decode(data[off:], int64(off))
		if what != faultNone {
			break
		}
		if f.typ == TypeData {
			out = append(out, position{tag: f.tag, off: int64(off), payload: len(f.payload)})
		}
		off += size
	}
	return out
}

// loaded is an old segment in memory.
type loaded struct {
	number    uint64 // 0: none
	data      []byte
	positions []position
}

// Read returns the durable Data records with from <= Tag <= to in the order of
// the log, which is not always that of the tags: a tag may have been appended
// more than once. It stops before the record with which the payloads would
// exceed maxBytes, but returns at least one record if there is one. Nothing says
// that records were dropped: who asks knows how far it called DropThrough.
//
// The payloads are the caller's. Calls wait for each other; appending does not
// wait for them. Damage met on the way is a CorruptionError.
func (l *Log) Read(from, to uint64, maxBytes int) ([]Record, error) {
	l.reads.Lock()
	defer l.reads.Unlock()
	l.mu.Lock()
	closing := l.closing
	l.mu.Unlock()
	if closing {
		return nil, ErrClosed
	}
	r := reading{from: from, to: to, room: maxBytes}
	for number := uint64(0); !r.full; {
		s, tail, found := l.segmentAfter(number, &r)
		if !found {
			break
		}
		number = s.number
		var err error
		if tail != nil {
			err = l.readTail(&r, s, tail)
		} else {
			err = l.readOld(&r, s)
		}
		if err != nil && l.holds(s.number) {
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
	return r.out, nil
}

// reading gathers the records of one Read.
type reading struct {
	from, to uint64
	room     int
	full     bool
	out      []Record
}

// wants reports whether the record at p is to be returned, and sets full if it
// would be but for its size.
func (r *reading) wants(p position) bool {
	if p.tag < r.from || p.tag > r.to || r.full {
		return false
	}
	if len(r.out) > 0 && p.payload > r.room {
		r.full = true
		return false
	}
	return true
}

// add decodes the entry b and adds its record, with a copy of the payload.
func (r *reading) add(b []byte, at place, p position, path string) error {
	f, _, what, _ := at.decode(b, p.off)
	if what != faultNone || f.typ != TypeData || f.tag != p.tag {
		return &CorruptionError{File: path, Offset: p.off, Reason: "a record that was durable cannot be read back"}
	}
	r.out = append(r.out, Record{Type: TypeData, Index: f.index, Tag: f.tag, Payload: append([]byte(nil), f.payload...)})
	r.room -= len(f.payload)
	return nil
}

// segmentAfter returns the first segment above number that may hold a tag in the
// range, and, if it is the tail, the positions in it that r has room for and one
// more.
func (l *Log) segmentAfter(number uint64, r *reading) (s segment, tail []position, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.segments {
		if s.number <= number || !s.mayHold(r.from, r.to) {
			continue
		}
		if i < len(l.segments)-1 {
			return s, nil, true
		}
		tail, room := make([]position, 0, 16), r.room
		for _, p := range l.positions {
			if p.tag < r.from || p.tag > r.to {
				continue
			}
			tail = append(tail, p)
			if room -= p.payload; room < 0 {
				break
			}
		}
		return s, tail, true
	}
	return segment{}, nil, false
}

// holds reports whether a segment has not been dropped.
func (l *Log) holds(number uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return number >= l.segments[0].number
}

// readTail reads the records at the positions from the file: the tail grows, and
// what tidwall/wal has of it in memory is not to be trusted after an error.
func (l *Log) readTail(r *reading, s segment, positions []position) error {
	path := segmentPath(l.dir, s.number)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	at := placeOf(l.id, s.number)
	var run []byte // bytes of the file from start on
	var start int64
	for i, p := range positions {
		if !r.wants(p) {
			continue
		}
		end := p.off + int64(entrySize(p.payload))
		if end > start+int64(len(run)) {
			// As many of the next records as lie close together.
			for _, next := range positions[i+1:] {
				e := next.off + int64(entrySize(next.payload))
				if next.off-end > maxWrite/16 || e-p.off > maxWrite {
					break
				}
				end = e
			}
			start, run = p.off, make([]byte, end-p.off)
			if _, err := f.ReadAt(run, start); err != nil {
				return fmt.Errorf("%s, offset %d: %w", path, start, err)
			}
		}
		if err := r.add(run[p.off-start:], at, p, path); err != nil {
			return err
		}
	}
	return nil
}

// readOld reads records from an old segment, which stays in memory until another
// one is read or it is dropped.
func (l *Log) readOld(r *reading, s segment) error {
	at := placeOf(l.id, s.number)
	if l.cache.number != s.number {
		l.cache = loaded{}
		data, err := readSegment(l.dir, s.number)
		if err != nil {
			return err
		}
		if int64(len(data)) < s.size {
			return &CorruptionError{
				File: segmentPath(l.dir, s.number), Offset: int64(len(data)),
				Reason: fmt.Sprintf("the file ends here, but had %d bytes", s.size),
			}
		}
		l.cache = loaded{number: s.number, data: data[:s.size], positions: positionsOf(data[:s.size], at)}
	}
	if uint64(len(l.cache.positions)) != s.data {
		off := int64(0)
		if n := len(l.cache.positions); n > 0 {
			off = l.cache.positions[n-1].off
		}
		l.cache = loaded{}
		return &CorruptionError{
			File: segmentPath(l.dir, s.number), Offset: off,
			Reason: "records behind this place were durable and cannot be read back",
		}
	}
	for _, p := range l.cache.positions {
		if !r.wants(p) {
			continue
		}
		if err := r.add(l.cache.data[p.off:], at, p, segmentPath(l.dir, s.number)); err != nil {
			return err
		}
	}
	return nil
}

// forget lets go of the segment in memory if it is in front of first.
func (l *Log) forget(first uint64) {
	l.reads.Lock()
	defer l.reads.Unlock()
	if l.cache.number < first {
		l.cache = loaded{}
	}
}
