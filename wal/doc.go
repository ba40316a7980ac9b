// Package wal is an append-only log of opaque records that survives kill -9,
// power cuts and failing disks, or says exactly where it did not.
//
// A [Log] is a directory. Records are queued by [Log.Append], written and
// synced in groups by one goroutine, and reported durable in order through
// [Options.OnDurable]. After a restart [Open] hands back every record that was
// ever reported durable, in order, and perhaps some more that had been queued
// behind them; never a record that was not appended, never one with a changed
// bit, never one out of its place.
//
//	l, report, err := wal.Open(dir, wal.Options{OnDurable: acks, OnFail: stop}, replay)
//	if errors.Is(err, wal.ErrNoLog) {
//		l, err = wal.Create(dir, id, state, o)
//	}
//	...
//	l.Append([]wal.Record{{Type: wal.TypeState, Payload: promise}, {Type: wal.TypeData, Tag: slot, Payload: entry}})
//	...                    // OnDurable(2): now it may be answered
//	l.Roll()               // a snapshot begins: what follows goes to a new segment
//	l.DropThrough(slot)    // the snapshot is durable: its segments may go
//
// # What it guarantees
//
//   - What was reported durable is there after any crash of the process or the
//     machine, as long as the disk keeps what it confirmed (the assumptions are
//     listed in docs/format.md).
//   - Damage to it is a [*CorruptionError] that names file, record and offset.
//     Open then changes nothing.
//   - An end that a power cut tore is cut off, kept aside and reported. An end
//     that is damaged in a way in which a power cut does not damage files is
//     cut too, and the log is [Report.Suspect] until [Log.ClearSuspect].
//   - The first failed write or sync ends the log: [Options.OnFail] is called
//     once and nothing is reported durable any more. No sync is tried twice.
//
// # What it leaves to others
//
// The meaning of records, and what to do about a suspect or damaged log, is the
// caller's. So is the lock that keeps a second process out of the directory,
// and the watch over free space. Memory for queued records is not bounded here:
// whoever appends waits for OnDurable now and then.
//
// # How it is made
//
// github.com/tidwall/wal stores the bytes, in one small log of its own for each
// segment of ours:
//
//	dir/MANIFEST                                   names the first and the newest segment
//	dir/00000000000000000001/00000000000000000001  segment 1, a tidwall/wal log of one file
//	dir/00000000000000000002/00000000000000000001  segment 2, the tail
//	dir/00000000000000000003/00000000000000000001  segment 3, made ready in advance
//
// tidwall/wal has no checksums, does not sync directories, cannot open a torn
// file and stays usable after a failed write. So each entry that it stores is a
// frame (frame.go), files are checked before it opens them (scan.go), whole
// directories are made and dropped around it (manifest.go, keeper.go), and it is
// never used again after an error (writer.go). What it does not do either is to give
// files their size in advance, which makes syncs cheaper (segment.go).
//
// The goroutines: the writer owns the tail and calls the callbacks; the keeper
// makes the next segment ready and closes old ones. Neither starts before Open
// or Create returns nor outlives Close.
package wal
