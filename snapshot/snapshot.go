// Package snapshot keeps the state of a replica at one slot as one file that
// is either there whole and verified, or not there at all.
//
// What it guarantees:
//
//   - A file under its final name was written whole, flushed, and read back
//     before it got that name. A crash at any point of [Create] or of
//     [Incoming.Finish] leaves what was there before, or the new file, never
//     neither and never a part of one.
//   - Every byte is covered by a checksum. A flipped bit, a cut, a block from
//     another place or file end in a [*CorruptionError] that names file and
//     offset; [Reader.Next] says io.EOF only after the whole file was verified.
//   - Memory is bounded: a length is checked against the file before anything
//     is taken on its account, and [Verify] needs less than a megabyte whatever
//     the size of the file and of its records.
//   - Writing is paced: what was written is sent to the disk every few MiB, so
//     that the flush at the end does not stand in the way of the log's syncs.
//
// What it leaves to others: what records and [Header.State] mean, when a
// snapshot is taken, which ones are still needed ([Clean] is told), and that
// no two of Create, Receive and Clean work on the same slot of one directory at
// the same time. The directory must exist.
//
// Writing and reading back:
//
//	info, err := snapshot.Create(dir, header, func(add func([]byte) error) error {
//		for _, record := range state {
//			if err := add(record); err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
//	r, err := snapshot.Open(info.Path)
//	defer r.Close()
//	for {
//		record, err := r.Next()
//		if errors.Is(err, io.EOF) {
//			break // all of it was there, and was what was written
//		}
//		if err != nil {
//			return err // nothing that was read so far may be used
//		}
//		use(record)
//	}
//
// A file is a header, blocks and a footer; format.go has the bytes, and
// docs/format.md the reasons:
//
//	+--------+---------+---------+-- ... --+--------+
//	| header | block 0 | block 1 |         | footer |
//	+--------+---------+---------+-- ... --+--------+
package snapshot

import (
	"errors"
	"fmt"
)

// Limits of the format.
const (
	// MaxState is the length of the longest [Header.State], in bytes.
	MaxState = 64 << 10
	// MaxRecord is the length of the longest record, in bytes: the largest
	// value that a key can have, 512 MiB, and room for what goes with it.
	MaxRecord = 512<<20 + 1<<20
)

// Errors that callers tell apart.
var (
	// ErrVersion says that a file was written by a newer version of the
	// program: it is intact, and this version cannot read it.
	ErrVersion = errors.New("snapshot format is newer than this program; run the version that wrote it, or a later one")
	// ErrTooLarge is returned by Create for a record above [MaxRecord] or a
	// state above [MaxState], and by [Incoming.Write] for bytes beyond the size
	// that was announced.
	ErrTooLarge = errors.New("above the limit")
	// ErrNotContiguous is returned by [Incoming.Write] for bytes that do not
	// start at [Incoming.Offset].
	ErrNotContiguous = errors.New("bytes do not follow what was received")
	// ErrIncomplete is returned by [Incoming.Finish] while bytes are missing.
	ErrIncomplete = errors.New("transfer is not complete")
	// ErrClosed is returned by the methods of what was closed.
	ErrClosed = errors.New("already closed")
)

// Header says what a snapshot is a snapshot of. It is on disk, versioned and
// checksummed.
type Header struct {
	Cluster uint64 // cluster id
	Group   uint64 // number of the replica group
	Slot    uint64 // the snapshot holds the effect of every slot up to and including this one
	Config  uint64 // number of the shardmaster's config that is in force
	LogTime int64  // log time at Slot, nanoseconds since the Unix epoch
	State   []byte // the replica's hard state, opaque, at most MaxState bytes
}

// Info describes a complete snapshot file.
type Info struct {
	Path     string   // where it is
	Header   Header   // what it is of; State belongs to the owner of the Info
	Size     int64    // length of the file, in bytes
	Records  uint64   // number of records
	RawBytes uint64   // sum of the lengths of the records, uncompressed
	Digest   [32]byte // SHA-256 of the file up to the digest itself; names it in transfers
}

// CorruptionError says that a snapshot file is damaged.
type CorruptionError struct {
	File   string // path of the file
	Offset int64  // byte at which the damaged part of the file starts
	Reason string // what is wrong there
}

// Error names the file, the place and the remedy.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("snapshot %s is corrupt at offset %d: %s; restore the file or fetch the snapshot from another replica",
		e.File, e.Offset, e.Reason)
}
