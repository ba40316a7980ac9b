package server

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// spaceInterval is how often the free space is looked at.
const spaceInterval = time.Second

// watchDisk watches the free space of the data directory, so that writes are
// refused before the disk is full, and resume by themselves.
func (n *Node) watchDisk() {
	ticker := time.NewTicker(spaceInterval)
	defer ticker.Stop()
	known := true
	for {
		free, err := n.opts.free(n.dir.path)
		low := err == nil && free < n.opts.MinFreeBytes
		switch {
		case err == nil || !known:
		case errors.Is(err, fs.ErrNotExist):
			n.logger.Error("the data directory is gone, and nothing that is written now outlives this process: stop it, and put the directory back, or see docs/operations.md, A lost disk",
				"dir", n.dir.path)
		default:
			n.logger.Warn("free space is not known", "error", err)
		}
		known = err == nil
		n.freeDisk.Store(free)
		if n.lowDisk.Swap(low) != low {
			if low {
				n.logger.Warn("disk space is low: commands that need more are refused until there is room", "dir", n.dir.path, "free", free, "min free", n.opts.MinFreeBytes)
			} else {
				n.logger.Info("disk space is sufficient again", "dir", n.dir.path, "free", free)
			}
		}
		select {
		case <-ticker.C:
		case <-n.ended:
			return
		}
	}
}

// freeBytes returns how much more can be written to a directory's disk.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
