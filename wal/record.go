package wal

// Type says what a record is. The numbers are on disk.
type Type uint8

// Types of records. Callers append only State and Data.
const (
	// TypeState is the caller's hard state, whole: the newest replaces all
	// older ones. It is copied into the header of every new segment, so that
	// dropping old segments forgets nothing.
	TypeState Type = 1
	// TypeData is a record of the caller.
	TypeData Type = 2
	// TypeMark is a sync mark: it says that everything before it is durable.
	TypeMark Type = 3
	// TypeHeader is the first frame of every segment.
	TypeHeader Type = 4
)

// String returns the word for t that tools and messages use.
func (t Type) String() string {
	switch t {
	case TypeState:
		return "state"
	case TypeData:
		return "data"
	case TypeMark:
		return "mark"
	case TypeHeader:
		return "header"
	}
	return "invalid"
}

// Limits. They bound what a damaged length can ask for, and what the offset of
// a frame can be.
const (
	// MaxBatch is the most bytes, frames included, that the records of one
	// Append may take. A larger batch fails the log with ErrTooLarge.
	MaxBatch = 256 << 20
	// MaxSegmentBytes is the largest allowed Options.SegmentBytes.
	MaxSegmentBytes = 256 << 20

	// A tail is at most twice MaxSegmentBytes and a batch long.
	maxSegmentFile = 1 << 30
	// A header carries a state and a few numbers.
	maxPayload = MaxBatch + headerFixed
)

// Record is one entry of the log.
type Record struct {
	// Type is TypeState or TypeData.
	Type Type
	// Index is the position in the log: 1, 2, 3 and so on, without gaps, over
	// all segments. Append sets it. A state that Open replays from the header
	// of the oldest segment has the index that it was appended with, 0 if it is
	// the one that Create was given.
	Index uint64
	// Tag is the caller's number for the record, a slot for instance. A segment
	// may be dropped when all tags in it are at or below that of DropThrough. It
	// is 0 for TypeState.
	Tag uint64
	// Payload is the caller's. Who may change or keep it is said at each
	// function that takes or gives records.
	Payload []byte
}
