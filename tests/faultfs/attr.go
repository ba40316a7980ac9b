package faultfs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"diskv/tests/powerloss"
)

// attr is what is known of an inode beside what the model keeps.
type attr struct {
	parent   powerloss.Inode
	name     string
	unlinked bool
	mode     uint32
	owner    fuse.Owner
	mtime    time.Time
}

func newAttr(mode uint32, owner fuse.Owner) *attr {
	return &attr{mode: mode, owner: owner, mtime: time.Now()}
}

// touch notes that an inode was changed.
func (f *FS) touch(id powerloss.Inode) {
	if a := f.attrs[id]; a != nil {
		a.mtime = time.Now()
	}
}

// fill describes an inode.
func (f *FS) fill(id powerloss.Inode, out *fuse.Attr) {
	a := f.attrs[id]
	out.Ino, out.Mode, out.Owner, out.Nlink = uint64(id), a.mode, a.owner, 1
	out.Blksize = 4096
	out.SetTimes(&a.mtime, &a.mtime, &a.mtime)
	switch {
	case f.disk.IsDir(id):
		out.Nlink = 2
	case a.unlinked:
		out.Nlink = 0
	}
	if !f.disk.IsDir(id) {
		out.Size = uint64(len(f.disk.Data(id)))
		out.Blocks = (out.Size + 511) / 512
	}
}

func (k kernel) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := powerloss.Inode(in.NodeId)
	if k.down {
		return fuse.EIO
	}
	if !k.disk.Has(id) {
		return fuse.ENOENT
	}
	k.fill(id, &out.Attr)
	return fuse.OK
}

func (k kernel) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := powerloss.Inode(in.NodeId)
	if fh, ok := in.GetFh(); ok {
		if _, err := k.handle(fh); err != 0 {
			return fuse.Status(err)
		}
	}
	if k.down {
		return fuse.EIO
	}
	if !k.disk.Has(id) {
		return fuse.ENOENT
	}
	if size, ok := in.GetSize(); ok {
		if k.disk.IsDir(id) {
			return fuse.Status(syscall.EISDIR)
		}
		if err := k.truncate(id, int64(size), in.Pid); err != 0 {
			return fuse.Status(err)
		}
	}
	a := k.attrs[id]
	if mode, ok := in.GetMode(); ok {
		a.mode = a.mode&syscall.S_IFMT | mode
	}
	if uid, ok := in.GetUID(); ok {
		a.owner.Uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		a.owner.Gid = gid
	}
	if t, ok := in.GetMTime(); ok {
		a.mtime = t
	}
	k.fill(id, &out.Attr)
	return fuse.OK
}

// Access lets everybody in: it is for tests.
func (kernel) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

func (k kernel) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return fuse.EIO
	}
	const block = 512
	free := uint64(k.free()) / block
	*out = fuse.StatfsOut{
		Bsize: block, Frsize: block, NameLen: maxName, Bfree: free, Bavail: free,
		Blocks: free + uint64(k.used)/block, Files: 1 << 20, Ffree: 1 << 19,
	}
	return fuse.OK
}
