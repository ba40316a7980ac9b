package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"diskv/paxos"
	"diskv/replica"
)

// Directory is a data directory as it lies on the disk.
type Directory struct {
	// Path is where it is.
	Path string
	// Identity is what IDENTITY says.
	Identity replica.Identity
}

// Open reads whose directory it is. A missing or damaged IDENTITY is a *Fault; one of
// a newer format is an error of another kind.
func Open(path string) (*Directory, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory: give the --dir of a diskvd", path)
	}
	d := &Directory{Path: filepath.Clean(path)}
	b, err := readSmall(d.file("IDENTITY"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, &Fault{
			File: d.file("IDENTITY"), Reason: "the file is missing: this is no data directory, or it has lost files",
			Remedy: "give the directory that diskvd was started with (--dir); a member of a group that starts here recovers from the others",
		}
	case err != nil:
		return d, err
	}
	d.Identity, err = replica.DecodeIdentity(b)
	switch {
	case errors.Is(err, replica.ErrIdentity):
		return d, d.explain(&Fault{File: d.file("IDENTITY"), Reason: err.Error()})
	case err != nil: // of a newer format: that is no damage
		return d, fmt.Errorf("%s: %w", d.file("IDENTITY"), err)
	}
	return d, nil
}

func (d *Directory) file(name string) string { return filepath.Join(d.Path, name) }
func (d *Directory) walPath() string         { return d.file("wal") }
func (d *Directory) snapshotPath() string    { return d.file("snapshot") }

// LogBytes returns the size of the log's files.
func (d *Directory) LogBytes() int64 {
	n, _ := sizeOf(d.walPath())
	return n
}

// maxSmall bounds the files that are read whole. They have some hundred bytes.
const maxSmall = 1 << 20

// readSmall reads a small file, whatever is there in its place.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSmall {
		return nil, &Fault{File: path, Reason: fmt.Sprintf("not a file of diskv: %v, %d bytes", info.Mode(), info.Size()), Remedy: "put the right file back"}
	}
	return os.ReadFile(path)
}

// InUse tells whether a process has the directory locked, as far as the system
// tells: it looks into /proc/locks, and takes no lock itself.
func (d *Directory) InUse() bool { return locked(d.file("LOCK")) }

func locked(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false
	}
	suffix := ":" + strconv.FormatUint(st.Ino, 10)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:01:131842 0 EOF
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] == "FLOCK" && f[3] == "WRITE" && strings.HasSuffix(f[5], suffix) {
			return true
		}
	}
	return false
}

// ServiceName says what a group is for.
func ServiceName(s paxos.Service) string {
	switch s {
	case paxos.ServicePlain:
		return "key/value store, every shard"
	case paxos.ServiceSharded:
		return "key/value store of a sharded cluster"
	case paxos.ServiceShardmaster:
		return "shardmaster"
	}
	return fmt.Sprintf("service %d", uint8(s))
}

// kindOf is what a path is.
type kindOf uint8

const (
	kindData     kindOf = iota + 1 // a data directory
	kindLog                        // a directory wal/
	kindSegment                    // a segment's directory or file
	kindSnapshot                   // a snapshot file
)

// classify says what a path is, by what is there.
func classify(path string) (kindOf, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(path, name))
		return err == nil
	}
	switch {
	case info.IsDir() && (there("IDENTITY") || there("wal")):
		return kindData, nil
	case info.IsDir() && there("MANIFEST"):
		return kindLog, nil
	case info.IsDir() && there("00000000000000000001"):
		return kindSegment, nil
	case info.IsDir():
		return 0, fmt.Errorf("%s is none of diskv's directories: give a data directory, its wal/, a segment in that, or a file", path)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 16)
	n, _ := f.ReadAt(head, 0)
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("diskvsnp")), strings.HasSuffix(path, ".snap"):
		return kindSnapshot, nil
	case bytes.Contains(head, []byte("\xf7dkv")), filepath.Base(path) == "00000000000000000001":
		return kindSegment, nil
	}
	return 0, fmt.Errorf("%s is neither a snapshot nor a segment of a log", path)
}
