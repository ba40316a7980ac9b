//go:build !linux

package wal

import "os"

// allocate makes a file size bytes long without writing to it, and reports whether it
// has: not here.
func allocate(*os.File, int64) (bool, error) { return false, nil }

// syncData makes what was written to a file durable, and its length.
func syncData(f *os.File) error { return f.Sync() }
