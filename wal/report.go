package wal

import (
	"errors"
	"fmt"
	"io/fs"
)

// Errors on which a caller branches.
var (
	// ErrNoLog says that the directory holds no log: it is missing or empty, or
	// a Create did not get to its end. It is a fs.ErrNotExist too. For a caller
	// who knows that there was a log it means that the log is lost.
	ErrNoLog = fmt.Errorf("no log in the directory: %w", fs.ErrNotExist)
	// ErrExists says that Create found a log, or the remains of one. It is a
	// fs.ErrExist too.
	ErrExists = fmt.Errorf("the directory holds a log already: %w", fs.ErrExist)
	// ErrClosed says that the log was closed before the call.
	ErrClosed = errors.New("log is closed")
	// ErrTooLarge says that a batch was above MaxBatch, or a state above it.
	ErrTooLarge = errors.New("records larger than a log can take in one piece")
)

// CorruptionError is damage to something that was durable, or to the files
// around it. The log is as it was found: nothing is cut, moved or repaired.
type CorruptionError struct {
	// File is the path of the damaged file or directory.
	File string
	// Index is the first record that is lost, or 0 if that is not known.
	Index uint64
	// Offset is the place in the file, in bytes.
	Offset int64
	// Reason says what was found there.
	Reason string
}

// Error names the place, what is wrong there, and what can be done.
func (e *CorruptionError) Error() string {
	record := ""
	if e.Index != 0 {
		record = fmt.Sprintf(" record %d,", e.Index)
	}
	return fmt.Sprintf("log damaged: %s,%s offset %d: %s (nothing was changed; a member of a group recovers from"+
		" the others, a single node needs a backup; diskvlog repair says what else can be done)", e.File, record, e.Offset, e.Reason)
}

// Report is what Open or Scan found.
type Report struct {
	// LogID is the random number that Create was given.
	LogID uint64
	// FirstSegment and LastSegment number the segments that hold something. One
	// more, empty, may be ready behind the last.
	FirstSegment, LastSegment uint64
	// FirstIndex and LastIndex number the records: the log is empty when
	// LastIndex is FirstIndex-1.
	FirstIndex, LastIndex uint64
	// States and Data count the records of each kind. The copies of states in
	// segment headers are not counted.
	States, Data uint64
	// Bytes is the size of all segment files, after what was cut.
	Bytes int64
	// CleanClose is true if the log was closed and not written to since.
	CleanClose bool
	// Rewritten is true if Open wrote the tail to a new file, as it does after
	// every exit that was not clean.
	Rewritten bool
	// Torn is true if the end was cut as a power cut leaves it: what was cut had
	// not been reported durable.
	Torn bool
	// Suspect is true if the end was cut and a power cut does not explain what
	// was there: records that were reported durable may be missing. It stays true
	// at every Open until ClearSuspect, so a crash right behind Open does not
	// hide it; Cut is set only by the call that finds it.
	Suspect bool
	// Cut says what was cut, or nil. Scan says what Open would cut.
	Cut *Cut
}

// Cut is a torn or suspect end of the log.
type Cut struct {
	// File is the path of the segment file, Segment its number.
	File    string
	Segment uint64
	// Offset is where the cut is and Bytes how much was behind it.
	Offset, Bytes int64
	// Index is the first record that is not there any more, if it ever was.
	Index uint64
	// Reason says what was found at Offset.
	Reason string
	// Kept is the path of the file that holds the bytes now. Empty from Scan.
	Kept string
}

// String describes the cut in one line.
func (c *Cut) String() string {
	s := fmt.Sprintf("%s: %d bytes from offset %d on, record %d: %s", c.File, c.Bytes, c.Offset, c.Index, c.Reason)
	if c.Kept != "" {
		s += "; kept in " + c.Kept
	}
	return s
}
