// Package faultfs is a file system, mounted by FUSE, that loses power and has
// faults on demand: what a real process is given as the disk of its data
// directory. What a cut may leave is decided by package powerloss, the same model
// from which package crashstates enumerates.
//
//	fs := faultfs.New(t, faultfs.Options{})       // or Mount(dir, options)
//	... run diskvd with --dir fs.Dir()+"/data" ...
//	fs.Fault(faultfs.Fault{Op: faultfs.OpSync, Path: "data/wal/", Err: syscall.EIO, Count: 1})
//	fs.Free(1 << 20)                              // room for one more MiB
//	fs.PowerCut(seed)                             // from now on every operation fails: EIO
//	... kill the process ...
//	fs.PowerOn()                                  // what the medium holds; start again
//
// Contents are in memory. It has what diskvd uses, and the usual rest: open flags,
// append, reads and writes at offsets, truncation, fallocate that lengthens, sync of
// files and directories, rename, remove, readdir, statfs, flock (by the kernel), and
// sockets. It has no hard or symbolic links, no extended attributes, no shared
// mappings (files are opened for direct I/O, so that the kernel keeps no copy), and
// sync_file_range does nothing, as on any FUSE. Modes, owners and times are kept, but
// no cut takes them back.
//
// After a failed sync processes go on to see what they wrote, and the medium does
// not hold it, whatever is synced later: PowerCut loses it, and so does DropCaches
// without a cut. A write fails before anything of it is seen, unless the fault says
// how much is written first; a fault of any other operation leaves no trace.
//
// A process that had a file open at a cut gets EIO from it for ever. One that is not
// killed before PowerOn can open files anew: kill it first.
//
// While a sync waits (Delay), the kernel lets nobody write to that file; Clear and
// PowerCut end the wait, and so does a SIGKILL.
//
// The kernel and the server must not deadlock: a process may serve the mount and use
// it, as tests do, as long as it maps no file of it.
package faultfs
