package proc

import (
	"fmt"
	"os"
)

// LoseDisk ends the process as a crash does, and deletes its directory: the next
// start finds an empty disk in its place.
func (m *Member) LoseDisk() error {
	if err := m.Kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(m.Dir); err != nil {
		return fmt.Errorf("delete the directory of member %d: %w", m.Index, err)
	}
	return nil
}

// CopyDisk copies the directory of a process that does not run to a directory
// that does not exist, as an image for later.
func (m *Member) CopyDisk(to string) error {
	if m.Running() {
		return fmt.Errorf("copy the directory of member %d: %w", m.Index, errRunning)
	}
	return os.CopyFS(to, os.DirFS(m.Dir))
}

// Abandon leaves the process that runs to the Member that it returns. M is then
// without one, so that another can be started beside it.
func (m *Member) Abandon() *Member {
	old := *m
	m.ended = make(chan struct{})
	close(m.ended)
	m.paused = false
	return &old
}
