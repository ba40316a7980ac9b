package server

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// spaceInterval is how often the free space is looked at.
const spaceInterval = time.Second

// watchDisk watches the free space of the data directory, so that writes are
// refused before the disk is full, and resume by themselves; and that it is still there.
func (n *Node) watchDisk() {
	ticker := time.NewTicker(spaceInterval)
	defer ticker.Stop()
	known := true
	for {
		if !n.holdsDirectory() {
			return
		}
		free, err := n.opts.free(n.dir.path)
		low := err == nil && free < n.opts.MinFreeBytes
		if err != nil && known {
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

// holdsDirectory reports whether the directory is the node's. If it is not any more the
// node has failed: what it acknowledged from now on would be lost with it.
func (n *Node) holdsDirectory() bool {
	err := n.dir.held()
	if err != nil {
		n.fail(err)
	}
	return err == nil
}

// freeBytes returns how much more can be written to a directory's disk.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
