package snapshot

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CreateAs is [Create] for a file outside of a replica's directory: it has any name.
// A file of that name is an error that is a fs.ErrExist, unless it is to be replaced,
// which is done in one step. The temporary files are in a directory beside it, whose
// name begins with a dot.
func CreateAs(file string, replace bool, h Header, write func(add func(record []byte) error) error) (Info, error) {
	if _, err := os.Lstat(file); err == nil && !replace {
		return Info{}, fmt.Errorf("create snapshot: %s: %w", file, fs.ErrExist)
	}
	dir := filepath.Dir(file)
	temp, err := os.MkdirTemp(dir, ".snapshot-")
	if err != nil {
		return Info{}, fmt.Errorf("create snapshot: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	info, err := Create(temp, h, write)
	if err != nil {
		return Info{}, err
	}
	if replace {
		err = os.Rename(info.Path, file)
	} else {
		err = os.Link(info.Path, file) // unlike a rename it replaces nothing
	}
	if err == nil {
		err = osDisk{}.syncDir(dir)
	}
	if err != nil {
		return Info{}, fmt.Errorf("create snapshot: %w", err)
	}
	info.Path = file
	return info, nil
}
