package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errSync marks a failed sync of a file or directory: what was written before
// it may or may not be on the disk, whatever a later sync says.
var errSync = errors.New("sync failed")

// changeKind is a kind of change to files.
type changeKind uint8

const (
	changeMkdir changeKind = iota + 1
	changeCreate
	changeAllocate
	changeTruncate
	changeWrite
	changeSync
	changeSyncDir
	changeRename
	changeRemove
)

// ofPath reports whether a change is made by a path, and not to an open file.
func (k changeKind) ofPath() bool {
	switch k {
	case changeMkdir, changeCreate, changeRename, changeRemove:
		return true
	case changeAllocate, changeTruncate, changeWrite, changeSync, changeSyncDir:
	}
	return false
}

// change is one change to files, as small as a crash can separate them.
type change struct {
	kind changeKind
	path string
	to   string // changeRename: the new path
	off  int64  // changeWrite: where
	n    int    // changeWrite: how many bytes; changeAllocate, changeTruncate: the new size
}

// disk makes all changes to files. Tests look on through before, which may
// forbid a change, and after, and so know every state that a crash could leave.
type disk struct {
	before func(change) error
	after  func(change)
	guard  func() error // before a path is changed, unless nil
	noSync bool         // tests that keep books of syncs need not wait for them
	append bool         // files get their size by being written to, as where they cannot get it in advance
}

// do makes the change c by calling f.
func (d *disk) do(c change, f func() error) error {
	if d.before != nil {
		if err := d.before(c); err != nil {
			return d.explain(c, err)
		}
	}
	if d.guard != nil && c.kind.ofPath() {
		if err := d.guard(); err != nil {
			return err
		}
	}
	if !d.noSync || (c.kind != changeSync && c.kind != changeSyncDir) {
		if err := f(); err != nil {
			return d.explain(c, err)
		}
	}
	if d.after != nil {
		d.after(c)
	}
	return nil
}

// explain adds to err what was being done, where it does not say so itself.
func (d *disk) explain(c change, err error) error {
	switch c.kind {
	case changeWrite:
		return fmt.Errorf("write %d bytes at offset %d of %s: %w", c.n, c.off, c.path, err)
	case changeAllocate, changeTruncate:
		return fmt.Errorf("give %s a size of %d bytes: %w", c.path, c.n, err)
	case changeSync, changeSyncDir:
		return fmt.Errorf("%w: %s: %w", errSync, c.path, err)
	}
	return err
}

// mkdirAll makes path and what is missing above it, durably. One that is there
// is made durable too: it may stem from an attempt that ended before that.
func (d *disk) mkdirAll(path string) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(path); err != nil {
		if _, err := os.Stat(parent); err != nil && parent != path {
			if err := d.mkdirAll(parent); err != nil {
				return err
			}
		}
		if err := d.mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return d.syncDir(parent)
}

func (d *disk) mkdir(path string) error {
	return d.do(change{kind: changeMkdir, path: path}, func() error { return os.Mkdir(path, 0o750) })
}

// writeFile makes a file with the given content, synced. A file of that name is
// overwritten, so it must be one that nobody relies on.
func (d *disk) writeFile(path string, content []byte) (err error) {
	var f *os.File
	err = d.do(change{kind: changeCreate, path: path}, func() (err error) {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
		return err
	})
	if f != nil {
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	if err != nil {
		return err
	}
	if len(content) > 0 {
		err = d.do(change{kind: changeWrite, path: path, n: len(content)}, func() error {
			_, err := f.Write(content)
			return err
		})
		if err != nil {
			return err
		}
	}
	return d.do(change{kind: changeSync, path: path}, f.Sync)
}

func (d *disk) syncDir(path string) error {
	return d.do(change{kind: changeSyncDir, path: path}, func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

func (d *disk) rename(from, to string) error {
	return d.do(change{kind: changeRename, path: from, to: to}, func() error { return os.Rename(from, to) })
}

// remove removes a file or an empty directory, if it is there.
func (d *disk) remove(path string) error {
	return d.do(change{kind: changeRemove, path: path}, func() error {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// removeSegment removes a segment's directory. It does not sync.
func (d *disk) removeSegment(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.remove(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return d.remove(path)
}
