package server

import "time"

// spaceInterval is how often the free space is looked at.
const spaceInterval = time.Second

// watchDisk watches the free space of the data directory, so that writes are
// refused before the disk is full, and resume by themselves.
func (n *Node) watchDisk() {
	ticker := time.NewTicker(spaceInterval)
	defer ticker.Stop()
	for {
		free, err := n.dir.freeBytes()
		low := err == nil && free < n.opts.MinFreeBytes
		if err != nil {
			n.logger.Warn("free space is not known", "error", err)
		}
		if n.lowDisk.Swap(low) != low {
			if low {
				n.logger.Warn("disk space is low: commands that need more are refused", "dir", n.dir.path, "free", free, "min free", n.opts.MinFreeBytes)
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
