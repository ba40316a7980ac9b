// Package inspect looks into a data directory without a process that runs it: what
// it is of, every record of its log and snapshots in words, and whether all of it
// is as it must be.
//
//	d, err := inspect.Open(dir)
//	info, err := d.Info(progress)                   // one screen
//	err = inspect.Dump(path, filter, print)         // record by record
//	check, err := inspect.Verify(dir, progress)     // check.Verdict, check.Fault
//	state, err := d.Replay(moment, progress)        // what the group held then
//
// It guarantees:
//
//   - It only reads directories; of a state at a moment it writes the file that is
//     asked for. It takes no lock, so that diskvd may use the directory
//     meanwhile: what changes under its eyes is looked at again, and is no fault
//     unless it is there twice.
//   - It says of a damaged directory what diskvd would say that starts on it: it
//     reads with the same code (wal.Scan, snapshot.Reader, the decoders of replica
//     and kv). Beyond that it checks what the protocol promises of a log.
//   - Memory does not grow with the log: a segment is held at a time. Only Verify
//     and Replay load a snapshot as a start does, and need what its data takes.
//   - Whatever the files hold, there is an answer, and no panic.
//
// It leaves to others: changing anything, and how the answers look on a terminal.
package inspect
