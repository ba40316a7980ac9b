package inspect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// frame is one frame of the log with its place.
type frame struct {
	wal.Record
	segment uint64
	offset  int64
}

// Progress is told now and then how many of the bytes to be read have been. It may
// be nil.
type Progress func(done, total int64)

func (p Progress) tell(done, total int64) {
	if p != nil {
		p(min(done, total), total)
	}
}

// How often, and with which pauses, a log that changes under our eyes is read again
// before what was found there is believed.
const (
	rereads     = 5
	rereadPause = 50 * time.Millisecond
)

// scanLog reads the log in dir. A fault in a log that is being written to is looked
// at again: what is still there after a pause, at the same place, is believed. Each
// frame is visited once. Live tells that the log changed meanwhile.
func scanLog(dir string, visit func(frame) error) (report wal.Report, live bool, err error) {
	var segment uint64 // of the last frame that was visited
	offset := int64(-1)
	before := fingerprint(dir)
	for try := 0; ; try++ {
		var own error
		last := err
		lastCut := report.Cut
		report, err = wal.Scan(dir, func(n uint64, r wal.Record, off int64) error {
			if n < segment || n == segment && off <= offset {
				return nil
			}
			segment, offset = n, off
			own = visit(frame{Record: r, segment: n, offset: off})
			return own
		})
		if own != nil || err == nil && report.Cut == nil {
			return report, live || fingerprint(dir) != before, err
		}
		again := err != nil && last != nil && err.Error() == last.Error() ||
			err == nil && lastCut != nil && *report.Cut == *lastCut
		now := settled(dir, before)
		if now == before || again || try == rereads {
			return report, live || now != before, err
		}
		before, live = now, true
	}
}

// settled returns the fingerprint of a log in which a fault was found, after a pause
// if somebody may be writing to it.
func settled(dir, before string) string {
	if now := fingerprint(dir); now == before && !locked(filepath.Join(filepath.Dir(dir), "LOCK")) {
		return now
	}
	time.Sleep(rereadPause)
	return fingerprint(dir)
}

// fingerprint is another one when a log has been written to.
func fingerprint(dir string) string {
	manifest, err := readSmall(filepath.Join(dir, "MANIFEST"))
	out := fmt.Sprintf("%x %v", manifest, err != nil)
	names, err := os.ReadDir(dir)
	if err != nil {
		return out
	}
	for _, e := range names[max(len(names)-3, 0):] {
		info, err := os.Stat(filepath.Join(dir, e.Name(), "00000000000000000001"))
		if err == nil {
			out += fmt.Sprintf(" %s %d %d", e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return out
}

// sizeOf returns the bytes of all regular files below a directory.
func sizeOf(dir string) (bytes int64, files int) {
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return nil // what vanishes meanwhile is not counted
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
			files++
		}
		return nil
	})
	return bytes, files
}

// size is about what a frame takes in its file.
func (f *frame) size() int64 { return int64(len(f.Payload)) + 48 }

// toReplica is the record as a replica has it. A header repeats the state.
func (f *frame) toReplica() replica.Record {
	out := replica.Record{Kind: replica.RecordState, Slot: paxos.Slot(f.Tag), Payload: f.Payload}
	if f.Type == wal.TypeData {
		out.Kind = replica.RecordEntry
	}
	return out
}

// isNoLog tells whether a directory has no log where it should have one.
func isNoLog(err error) bool { return errors.Is(err, wal.ErrNoLog) }
