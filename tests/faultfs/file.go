package faultfs

import (
	"bytes"
	"errors"
	"path"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"diskv/tests/powerloss"
)

// open makes a handle of an inode.
func (f *FS) open(id powerloss.Inode, flags uint32, out *fuse.OpenOut) {
	f.nextFh++
	f.handles[f.nextFh] = &handle{inode: id, life: f.life, append: flags&syscall.O_APPEND != 0}
	out.Fh, out.OpenFlags = f.nextFh, fuse.FOPEN_DIRECT_IO
}

// handle returns an open file, unless the power was cut since.
func (f *FS) handle(fh uint64) (*handle, syscall.Errno) {
	h := f.handles[fh]
	if h == nil {
		return nil, syscall.EBADF
	}
	if f.down || h.life != f.life || !f.disk.Has(h.inode) {
		return nil, syscall.EIO
	}
	return h, 0
}

func (k kernel) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	dir, err := k.parent(in.NodeId)
	if err != 0 {
		return fuse.Status(err)
	}
	id := k.disk.Lookup(dir, name)
	switch {
	case id == 0:
		if id, err = k.create(OpCreate, &in.InHeader, name, syscall.S_IFREG|in.Mode&^syscall.S_IFMT); err != 0 {
			return fuse.Status(err)
		}
	case in.Flags&syscall.O_EXCL != 0:
		return fuse.Status(syscall.EEXIST)
	case k.disk.IsDir(id):
		return fuse.Status(syscall.EISDIR)
	case in.Flags&syscall.O_TRUNC != 0:
		if err := k.truncate(id, 0, in.Pid); err != 0 {
			return fuse.Status(err)
		}
	}
	k.entry(id, &out.EntryOut)
	k.open(id, in.Flags, &out.OpenOut)
	return fuse.OK
}

func (k kernel) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := powerloss.Inode(in.NodeId)
	if !k.disk.Has(id) {
		return fuse.ENOENT
	}
	if err, _ := k.before(OpOpen, k.path(id), in.Pid); err != 0 {
		return fuse.Status(err)
	}
	if !k.disk.Has(id) {
		return fuse.ENOENT
	}
	if in.Flags&syscall.O_TRUNC != 0 {
		if err := k.truncate(id, 0, in.Pid); err != 0 {
			return fuse.Status(err)
		}
	}
	k.open(id, in.Flags, out)
	return fuse.OK
}

func (k kernel) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.handles, in.Fh)
}

// Flush is not needed: the kernel does not ask again.
func (kernel) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

func (k kernel) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, err := k.handle(in.Fh)
	if err != 0 {
		return nil, fuse.Status(err)
	}
	if err, _ := k.before(OpRead, k.path(h.inode), in.Pid); err != 0 {
		return nil, fuse.Status(err)
	}
	if h, err = k.handle(in.Fh); err != 0 {
		return nil, fuse.Status(err)
	}
	data := k.disk.Data(h.inode)
	n := copy(buf, data[min(uint64(len(data)), in.Offset):])
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (k kernel) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, err := k.handle(in.Fh)
	if err != 0 {
		return 0, fuse.Status(err)
	}
	err, short := k.before(OpWrite, k.path(h.inode), in.Pid)
	if err != 0 {
		return 0, fuse.Status(err)
	}
	if h, err = k.handle(in.Fh); err != 0 {
		return 0, fuse.Status(err)
	}
	size := int64(len(k.disk.Data(h.inode)))
	off := int64(in.Offset)
	if h.append {
		off = size
	}
	if data = data[:short.of(off, len(data))]; len(data) == 0 && short.err != 0 {
		return 0, fuse.Status(short.err)
	}
	grow := max(0, off+int64(len(data))-size)
	if over := grow - k.free(); over > 0 {
		if over >= int64(len(data)) {
			return 0, fuse.Status(syscall.ENOSPC)
		}
		data = data[:int64(len(data))-over]
		grow -= over
	}
	if len(data) == 0 {
		return 0, fuse.OK
	}
	k.grown(h.inode, grow)
	k.do(powerloss.Op{Kind: powerloss.Write, Inode: h.inode, Off: off, Data: bytes.Clone(data)})
	return uint32(len(data)), fuse.OK
}

// grown counts bytes that a file has got or lost.
func (f *FS) grown(id powerloss.Inode, n int64) {
	if !f.attrs[id].unlinked {
		f.used += n
	}
	f.touch(id)
}

// truncate changes the length of a file. It may wait.
func (f *FS) truncate(id powerloss.Inode, size int64, pid uint32) syscall.Errno {
	if err, _ := f.before(OpTruncate, f.path(id), pid); err != 0 {
		return err
	}
	if !f.disk.Has(id) {
		return syscall.EIO
	}
	grow := size - int64(len(f.disk.Data(id)))
	switch {
	case grow == 0:
		return 0
	case size > 1<<32:
		return syscall.EFBIG // it would be in memory
	case grow > f.free():
		return syscall.ENOSPC
	}
	f.grown(id, grow)
	f.do(powerloss.Op{Kind: powerloss.Truncate, Inode: id, Size: size})
	return 0
}

// Fallocate lengthens a file; other modes are not there.
func (k kernel) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, err := k.handle(in.Fh)
	if err != 0 {
		return fuse.Status(err)
	}
	if in.Mode != 0 {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	end := int64(in.Offset + in.Length)
	if end <= int64(len(k.disk.Data(h.inode))) {
		return fuse.OK
	}
	return fuse.Status(k.truncate(h.inode, end, in.Pid))
}

func (k kernel) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status { return k.sync(OpSync, in) }

func (k kernel) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return k.sync(OpSyncDir, in)
}

// sync makes what was done before it, and while it waited, durable; or loses it.
func (f *FS) sync(op Op, in *fuse.FsyncIn) fuse.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.handle(in.Fh)
	if err != 0 {
		return fuse.Status(err)
	}
	err, _ = f.before(op, f.path(h.inode), in.Pid)
	if err != 0 && !errors.Is(err, syscall.EINTR) && !f.down {
		f.do(powerloss.Op{Kind: powerloss.FailedSync, Inode: h.inode})
	}
	if err != 0 {
		return fuse.Status(err)
	}
	if h, err = f.handle(in.Fh); err != 0 {
		return fuse.Status(err)
	}
	f.do(powerloss.Op{Kind: powerloss.Sync, Inode: h.inode})
	return fuse.OK
}

func (k kernel) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	dir, err := k.parent(in.NodeId)
	if err != 0 {
		return fuse.Status(err)
	}
	k.open(dir, 0, out)
	out.OpenFlags = 0
	return fuse.OK
}

func (k kernel) ReleaseDir(in *fuse.ReleaseIn) { k.Release(nil, in) }

func (k kernel) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, err := k.handle(in.Fh)
	if err != 0 {
		return fuse.Status(err)
	}
	if in.Offset == 0 {
		h.names = k.list(h.inode)
	}
	for i := int(in.Offset); i < len(h.names); i++ {
		if !out.AddDirEntry(h.names[i]) {
			break
		}
	}
	return fuse.OK
}

func (f *FS) list(dir powerloss.Inode) []fuse.DirEntry {
	out := []fuse.DirEntry{
		{Name: ".", Mode: syscall.S_IFDIR, Ino: uint64(dir), Off: 1},
		{Name: "..", Mode: syscall.S_IFDIR, Ino: uint64(max(powerloss.Root, f.attrs[dir].parent)), Off: 2},
	}
	for _, name := range f.disk.Names(dir) {
		id := f.disk.Lookup(dir, name)
		out = append(out, fuse.DirEntry{
			Name: path.Base(name), Mode: f.attrs[id].mode & syscall.S_IFMT, Ino: uint64(id), Off: uint64(len(out) + 1),
		})
	}
	return out
}
