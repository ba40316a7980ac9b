package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// disk is what this package asks of a file system. There is one in production;
// the tests have another that loses, at a crash, what was not flushed.
type disk interface {
	// create opens an empty file for reading and writing, in place of one that
	// may be there.
	create(path string) (file, error)
	// edit opens a file for reading and writing and makes it if need be.
	edit(path string) (file, error)
	// open opens a file for reading.
	open(path string) (file, error)
	rename(from, to string) error
	remove(path string) error
	// syncDir makes the names in dir durable.
	syncDir(dir string) error
	// list returns the names of the files in dir, in no order.
	list(dir string) ([]string, error)
}

// file is an open file of a [disk].
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	size() (int64, error)
	truncate(size int64) error
	// sync makes contents and length durable.
	sync() error
	// startFlush asks the disk to begin with bytes [from, to), and waits until
	// it has what stands before from and was asked for earlier. It makes
	// nothing durable, it only leaves less to do for sync.
	startFlush(from, to int64) error
	// forget drops clean pages from memory, if the system can, so that what is
	// read next comes from the disk.
	forget()
}

// osDisk is the operating system's file system.
type osDisk struct{}

const fileMode = 0o640

func (osDisk) create(path string) (file, error) {
	return openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osDisk) edit(path string) (file, error) { return openFile(path, os.O_RDWR|os.O_CREATE) }
func (osDisk) open(path string) (file, error) { return openFile(path, os.O_RDONLY) }

func openFile(path string, flags int) (file, error) {
	f, err := os.OpenFile(path, flags, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(path string) error     { return os.Remove(path) }

func (osDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// osFile is an open file; startFlush and forget depend on the system.
type osFile struct{ *os.File }

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", f.Name())
	}
	return info.Size(), nil
}

func (f osFile) truncate(size int64) error { return f.Truncate(size) }
func (f osFile) sync() error               { return f.Sync() }

// flushEvery is how many bytes are written between two calls of startFlush:
// about twice as much is on its way to the disk at any time.
const flushEvery = 4 << 20

// pacer sends what is written to the disk as it goes.
type pacer struct {
	f       file
	started int64 // the disk was asked for everything below
}

// wrote is told how long the file has become.
func (p *pacer) wrote(end int64) error {
	if end-p.started < flushEvery {
		return nil
	}
	if err := p.f.startFlush(p.started, end); err != nil {
		return err
	}
	p.started = end
	return nil
}

// publish gives a whole, flushed file its final name, durably.
func publish(d disk, from, to string) error {
	if err := d.rename(from, to); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(to))
}
