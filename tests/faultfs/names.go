package faultfs

import (
	"path"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"diskv/tests/powerloss"
)

// maxName is the longest name, in bytes.
const maxName = 255

// do applies an operation, and records it.
func (f *FS) do(op powerloss.Op) {
	f.disk.Apply(op)
	if f.record != nil {
		f.record.Ops = append(f.record.Ops, op)
	}
}

// path returns where an inode is, or was last, below the mount.
func (f *FS) path(id powerloss.Inode) string {
	p := ""
	for id != powerloss.Root {
		a := f.attrs[id]
		if a == nil {
			break
		}
		p = path.Join(a.name, p)
		id = a.parent
	}
	return p
}

// parent returns the directory of a request, which may be gone.
func (f *FS) parent(id uint64) (powerloss.Inode, syscall.Errno) {
	dir := powerloss.Inode(id)
	switch {
	case f.down:
		return 0, syscall.EIO
	case !f.disk.Has(dir):
		return 0, syscall.ENOENT
	case !f.disk.IsDir(dir):
		return 0, syscall.ENOTDIR
	}
	return dir, 0
}

func (k kernel) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	dir, err := k.parent(in.NodeId)
	if err != 0 {
		return fuse.Status(err)
	}
	if len(name) > maxName {
		return fuse.Status(syscall.ENAMETOOLONG)
	}
	id := k.disk.Lookup(dir, name)
	if id == 0 {
		return fuse.ENOENT
	}
	k.entry(id, out)
	return fuse.OK
}

// entry describes an inode to the kernel, which keeps nothing of it.
func (f *FS) entry(id powerloss.Inode, out *fuse.EntryOut) {
	out.NodeId, out.Generation = uint64(id), 1
	f.fill(id, &out.Attr)
}

// create makes a file, a directory or a socket under a new name.
func (f *FS) create(op Op, in *fuse.InHeader, name string, mode uint32) (powerloss.Inode, syscall.Errno) {
	dir, err := f.parent(in.NodeId)
	if err != 0 {
		return 0, err
	}
	if len(name) > maxName {
		return 0, syscall.ENAMETOOLONG
	}
	if err, _ := f.before(op, path.Join(f.path(dir), name), in.Pid); err != 0 {
		return 0, err
	}
	if dir, err = f.parent(in.NodeId); err != 0 { // it may have waited
		return 0, err
	}
	if f.disk.Lookup(dir, name) != 0 {
		return 0, syscall.EEXIST
	}
	id := f.disk.NewInode()
	kind := powerloss.Create
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		kind = powerloss.Mkdir
	}
	f.do(powerloss.Op{Kind: kind, Dir: dir, Name: name, Inode: id})
	a := newAttr(mode, in.Owner)
	a.parent, a.name = dir, name
	f.attrs[id] = a
	f.touch(dir)
	return id, 0
}

func (k kernel) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, err := k.create(OpMkdir, &in.InHeader, name, syscall.S_IFDIR|in.Mode&^syscall.S_IFMT)
	if err == 0 {
		k.entry(id, out)
	}
	return fuse.Status(err)
}

// Mknod makes files and sockets; a socket is an empty file to the model.
func (k kernel) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch in.Mode & syscall.S_IFMT {
	case 0, syscall.S_IFREG, syscall.S_IFSOCK, syscall.S_IFIFO:
	default:
		return fuse.Status(syscall.EPERM)
	}
	mode := in.Mode
	if mode&syscall.S_IFMT == 0 {
		mode |= syscall.S_IFREG
	}
	id, err := k.create(OpCreate, &in.InHeader, name, mode)
	if err == 0 {
		k.entry(id, out)
	}
	return fuse.Status(err)
}

func (k kernel) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return k.remove(in, name, false)
}

func (k kernel) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return k.remove(in, name, true)
}

func (f *FS) remove(in *fuse.InHeader, name string, isDir bool) fuse.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, err := f.parent(in.NodeId)
	if err != 0 {
		return fuse.Status(err)
	}
	if err, _ := f.before(OpRemove, path.Join(f.path(dir), name), in.Pid); err != 0 {
		return fuse.Status(err)
	}
	if dir, err = f.parent(in.NodeId); err != 0 {
		return fuse.Status(err)
	}
	id := f.disk.Lookup(dir, name)
	if err := f.removable(id, isDir); err != 0 {
		return fuse.Status(err)
	}
	f.gone(id)
	f.do(powerloss.Op{Kind: powerloss.Remove, Dir: dir, Name: name})
	f.touch(dir)
	f.forgetSome()
	return fuse.OK
}

// removable says why a name cannot be taken away.
func (f *FS) removable(id powerloss.Inode, isDir bool) syscall.Errno {
	switch {
	case id == 0:
		return syscall.ENOENT
	case isDir && !f.disk.IsDir(id):
		return syscall.ENOTDIR
	case !isDir && f.disk.IsDir(id):
		return syscall.EISDIR
	case isDir && len(f.disk.Names(id)) > 0:
		return syscall.ENOTEMPTY
	}
	return 0
}

// gone counts what loses its name.
func (f *FS) gone(id powerloss.Inode) {
	if !f.disk.IsDir(id) {
		f.used -= int64(len(f.disk.Data(id)))
	}
	f.attrs[id].unlinked = true
}

func (k kernel) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	dir, err := k.parent(in.NodeId)
	if err != 0 {
		return fuse.Status(err)
	}
	toDir, err := k.parent(in.Newdir)
	if err != 0 {
		return fuse.Status(err)
	}
	if len(to) > maxName {
		return fuse.Status(syscall.ENAMETOOLONG)
	}
	if in.Flags&^unix.RENAME_NOREPLACE != 0 {
		return fuse.EINVAL
	}
	if err, _ := k.before(OpRename, path.Join(k.path(toDir), to), in.Pid); err != 0 {
		return fuse.Status(err)
	}
	if !k.disk.Has(dir) || !k.disk.Has(toDir) {
		return fuse.ENOENT
	}
	id, over := k.disk.Lookup(dir, from), k.disk.Lookup(toDir, to)
	switch {
	case id == 0:
		return fuse.ENOENT
	case over == id:
		return fuse.OK
	case over != 0 && in.Flags&unix.RENAME_NOREPLACE != 0:
		return fuse.Status(syscall.EEXIST)
	case over != 0:
		if err := k.removable(over, k.disk.IsDir(id)); err != 0 {
			return fuse.Status(err)
		}
		k.gone(over)
	}
	k.do(powerloss.Op{Kind: powerloss.Rename, Dir: dir, Name: from, ToDir: toDir, ToName: to})
	k.attrs[id].parent, k.attrs[id].name = toDir, to
	k.touch(dir)
	k.touch(toDir)
	k.forgetSome()
	return fuse.OK
}

// forgetSome gives memory back, from time to time.
func (f *FS) forgetSome() {
	if f.removed++; f.removed < 256 {
		return
	}
	f.removed = 0
	f.forget()
}

func (f *FS) forget() {
	held := map[powerloss.Inode]bool{}
	for _, h := range f.handles {
		held[h.inode] = true
	}
	f.disk.Forget(func(id powerloss.Inode) bool { return held[id] })
	for id := range f.attrs {
		if !f.disk.Has(id) {
			delete(f.attrs, id)
		}
	}
}

// rebuild makes books of what is there, when it has changed by itself.
func (f *FS) rebuild() {
	f.forget()
	f.used = 0
	for _, a := range f.attrs {
		a.unlinked = true
	}
	var walk func(dir powerloss.Inode)
	walk = func(dir powerloss.Inode) {
		for _, name := range f.disk.Names(dir) {
			id := f.disk.Lookup(dir, name)
			a := f.attrs[id]
			if a == nil {
				a = newAttr(syscall.S_IFDIR|0o750, f.attrs[powerloss.Root].owner)
				f.attrs[id] = a
			}
			a.parent, a.name, a.unlinked = dir, name, false
			if f.disk.IsDir(id) {
				walk(id)
			} else {
				f.used += int64(len(f.disk.Data(id)))
			}
		}
	}
	walk(powerloss.Root)
	f.attrs[powerloss.Root].unlinked = false
}
