package faultfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/faultfs"
)

// disk is a mounted file system under test, with the calls that a test makes of it.
type disk struct {
	*faultfs.FS
	t *testing.T
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	return &disk{faultfs.New(t, faultfs.Options{Record: true}), t}
}

func (d *disk) path(name string) string { return filepath.Join(d.Dir(), name) }

// open opens a file, which is closed with the test.
func (d *disk) open(name string, flags int) *os.File {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), flags, 0o600)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = f.Close() })
	return f
}

// write writes to an offset of a file, which is made if it is not there.
func (d *disk) write(name string, off int64, content string) {
	d.t.Helper()
	f := d.open(name, os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte(content), off)
	require.NoError(d.t, err)
	require.NoError(d.t, f.Close())
}

func (d *disk) sync(name string) {
	d.t.Helper()
	f := d.open(name, os.O_RDONLY)
	require.NoError(d.t, f.Sync())
	require.NoError(d.t, f.Close())
}

func (d *disk) read(name string) string {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	require.NoError(d.t, err)
	return string(b)
}
