package crashreplay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"diskv/tests/proc"
)

// kill ends the processes as a crash does, at once, and starts them again later.
func (s *suffering) kill() error {
	s.told("killed; started after %v", s.Lasts)
	if err := s.killAll(); err != nil {
		return err
	}
	return s.startLater()
}

// killAll ends the members' processes at about the same instant.
func (s *suffering) killAll() error {
	for _, m := range s.members {
		if m.Running() {
			_ = m.Signal(os.Kill)
		}
	}
	return s.each((*proc.Member).Kill)
}

// startLater starts the members when their time is over and waits until they are whole.
func (s *suffering) startLater() error {
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	if err := s.each(func(m *proc.Member) error { return m.Start() }); err != nil {
		return err
	}
	return s.whole()
}

// The points at which a process is killed.
var points = []struct {
	name string
	kill func(s *suffering, m *proc.Member) error
}{
	{"as a write is acknowledged", (*suffering).killAtAnswer},
	{"while it takes a snapshot", (*suffering).killInSnapshot},
	{"in its start, three times", (*suffering).killInStart},
	{"while it ends and hands over", (*suffering).killInHandover},
}

// killAt kills a process at a chosen point.
func (s *suffering) killAt() error {
	p := points[s.chance.IntN(len(points))]
	s.told("killed %s", p.name)
	m := s.members[0]
	if err := p.kill(s, m); err != nil {
		return err
	}
	if err := m.Kill(); err != nil {
		return err
	}
	return s.startLater()
}

// pointPatience is how long a chosen point is waited for. The process is killed in any case.
const pointPatience = 3 * time.Second

// reach looks again and again whether a point is reached.
func (s *suffering) reach(every time.Duration, reached func() bool) error {
	for end := time.Now().Add(pointPatience); time.Now().Before(end) && !reached(); {
		if err := s.wait(every); err != nil {
			return err
		}
	}
	return nil
}

func (s *suffering) killAtAnswer(*proc.Member) error {
	select {
	case <-s.answers.next():
		return nil
	case <-time.After(pointPatience):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// killInSnapshot waits for the temporary file of a snapshot.
func (s *suffering) killInSnapshot(m *proc.Member) error {
	return s.reach(200*time.Microsecond, func() bool {
		entries, err := os.ReadDir(filepath.Join(m.Dir, "snapshot"))
		for _, e := range entries {
			if err == nil && !strings.HasSuffix(e.Name(), ".snap") {
				return true
			}
		}
		return false
	})
}

// killInStart starts the process and kills it some ms later, again and again.
func (s *suffering) killInStart(m *proc.Member) error {
	for range 3 {
		if err := m.Kill(); err != nil {
			return err
		}
		if err := m.Start(); err != nil {
			return err
		}
		if err := s.wait(time.Duration(1+s.chance.IntN(150)) * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// killInHandover asks the process to end, which has a leader hand over, and kills it some ms
// later.
func (s *suffering) killInHandover(m *proc.Member) error {
	if err := m.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.wait(time.Duration(s.chance.IntN(40)) * time.Millisecond)
}

// pause stops the processes for longer than an election takes.
func (s *suffering) pause() error {
	s.told("stopped for %v", s.Lasts)
	if err := s.each((*proc.Member).Pause); err != nil {
		return err
	}
	err := s.wait(s.Lasts)
	if fault := s.each((*proc.Member).Resume); err == nil {
		err = fault
	}
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return s.whole()
}
