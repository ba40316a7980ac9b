package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
)

// memDisk is a file system that remembers what a power cut would leave: of
// contents what sync was called for, of names what syncDir was called for. It
// can refuse to do one operation, or that one and all that follow.
type memDisk struct {
	names   map[string]*memInode
	durable map[string]*memInode

	ops     int
	failAt  int  // number of the operation that fails; 0: none
	crashed bool // everything fails from failAt on
	crash   bool
}

type memInode struct{ data, durable []byte }

var errInjected = errors.New("injected fault")

func newMemDisk() *memDisk {
	return &memDisk{names: map[string]*memInode{}, durable: map[string]*memInode{}}
}

// step counts an operation that changes something and says whether it fails.
func (d *memDisk) step() error {
	d.ops++
	if d.ops == d.failAt {
		d.crashed = d.crash
		return errInjected
	}
	if d.crashed {
		return errInjected
	}
	return nil
}

// after returns the disk as it may look after a power cut.
func (d *memDisk) after(names map[string]*memInode, contents func(*memInode) []byte) *memDisk {
	next := newMemDisk()
	for name, inode := range names {
		data := slices.Clone(contents(inode))
		next.names[name] = &memInode{data: data, durable: data}
	}
	next.durable = maps.Clone(next.names)
	return next
}

func (d *memDisk) create(path string) (file, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	d.names[path] = &memInode{}
	return &memFile{d, d.names[path]}, nil
}

func (d *memDisk) edit(path string) (file, error) {
	if d.names[path] == nil {
		return d.create(path)
	}
	return &memFile{d, d.names[path]}, nil
}

func (d *memDisk) open(path string) (file, error) {
	if d.names[path] == nil {
		return nil, fs.ErrNotExist
	}
	return &memFile{d, d.names[path]}, nil
}

func (d *memDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	if d.names[from] == nil {
		return fs.ErrNotExist
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *memDisk) remove(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	if d.names[path] == nil {
		return fs.ErrNotExist
	}
	delete(d.names, path)
	return nil
}

func (d *memDisk) syncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.durable = maps.Clone(d.names)
	return nil
}

func (d *memDisk) list(string) ([]string, error) {
	var names []string
	for path := range d.names {
		names = append(names, filepath.Base(path))
	}
	return names, nil
}

type memFile struct {
	d     *memDisk
	inode *memInode
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	if off >= int64(len(f.inode.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.inode.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.step(); err != nil {
		return 0, err
	}
	if grow := int(off) + len(b) - len(f.inode.data); grow > 0 {
		f.inode.data = append(f.inode.data, make([]byte, grow)...)
	}
	return copy(f.inode.data[off:], b), nil
}

func (f *memFile) truncate(size int64) error {
	if err := f.d.step(); err != nil {
		return err
	}
	f.inode.data = slices.Clone(f.inode.data[:size])
	return nil
}

func (f *memFile) sync() error {
	if err := f.d.step(); err != nil {
		return err
	}
	f.inode.durable = slices.Clone(f.inode.data)
	return nil
}

func (f *memFile) size() (int64, error)        { return int64(len(f.inode.data)), nil }
func (f *memFile) startFlush(_, _ int64) error { return f.d.step() }
func (f *memFile) forget()                     {}
func (f *memFile) Close() error                { return nil }
