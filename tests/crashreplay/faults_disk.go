package crashreplay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"diskv/tests/proc"
)

// lose deletes the data directories; at times once more in the middle of the recovery.
func (s *suffering) lose() error {
	again := s.chance.IntN(3) == 0
	s.told("disk lost; started after %v", s.Lasts)
	if err := s.killAll(); err != nil {
		return err
	}
	if err := s.each(s.loseDisk); err != nil {
		return err
	}
	if again {
		if err := s.each(func(m *proc.Member) error { return m.Start() }); err != nil {
			return err
		}
		after := time.Duration(s.chance.IntN(800)) * time.Millisecond
		s.told("and again %v after its start", after)
		if err := s.wait(after); err != nil {
			return err
		}
		if err := s.each(s.loseDisk); err != nil {
			return err
		}
	}
	return s.startLater()
}

// loseDisk deletes the data directory of a process that it kills.
func (s *suffering) loseDisk(m *proc.Member) error { return errors.Join(m.LoseDisk(), s.settle(m)) }

// settle makes durable what was done to a member's directory behind its back: a later power
// cut must not take that back, which would be another fault.
func (s *suffering) settle(m *proc.Member) error {
	if s.disks == nil {
		return nil
	}
	return filepath.WalkDir(filepath.Dir(m.Dir), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// damage flips bits in a file.
func (s *suffering) damage() error {
	if err := s.killAll(); err != nil {
		return err
	}
	for _, m := range s.members {
		if err := os.RemoveAll(filepath.Join(m.Dir, "quarantine")); err != nil { // an operator may
			return err
		}
		name, bits, err := s.flip(m.Dir)
		if err != nil {
			return err
		}
		s.told("%d bits flipped in %s", bits, name)
		if err := s.settle(m); err != nil {
			return err
		}
	}
	return s.startLater()
}

// flip flips one to three bits of one of the files in a directory that are not empty. Every
// file is as likely as any other. Its name is as the directory has it.
func (s *suffering) flip(dir string) (name string, bits int, err error) {
	var files []string
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && fi.Size() > 0 {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		return "", 0, fmt.Errorf("no file to damage in %s: %w", dir, errors.Join(err))
	}
	path := files[s.chance.IntN(len(files))]
	b, err := os.ReadFile(path)
	if err != nil {
		return "", 0, err
	}
	bits = 1 + s.chance.IntN(3)
	for range bits {
		b[s.chance.IntN(len(b))] ^= 1 << s.chance.IntN(8)
	}
	name, _ = filepath.Rel(dir, path)
	return name, bits, os.WriteFile(path, b, 0o600)
}

// old puts a copy of a data directory back that is from before its disk was lost.
// A copy without a loss in between is found out as a best effort only (docs/protocol.md,
// "Old copies"), so what it does is no violation.
func (s *suffering) old() error {
	m := s.members[0]
	image := fmt.Sprintf("%s-old-%d", m.Dir, s.N)
	s.told("copied, lost, and the copy put back %v after its recovery", s.Lasts)
	if err := m.Kill(); err != nil {
		return err
	}
	if err := m.CopyDisk(image); err != nil {
		return err
	}
	if err := s.loseDisk(m); err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	if err := s.voter(m); err != nil {
		return err
	}
	recovered, err := epoch(m)
	if err != nil {
		return err
	}
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	if err := m.LoseDisk(); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(image, m.Dir), s.settle(m)); err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	s.healed()
	// It looks healthy until somebody tells it, and is not whole before.
	err = s.until(fmt.Sprintf("member %d is not found to have an old copy", m.Index), func() error {
		if !m.Running() {
			return fmt.Errorf("%w:\n%s", errEnded, tail(m.Output()))
		}
		now, err := epoch(m)
		if err == nil && now <= recovered {
			err = fmt.Errorf("it is in epoch %d, after %d", now, recovered)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.voter(m)
}

// epoch asks a member for its recovery epoch.
func epoch(m *proc.Member) (uint64, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(info["epoch"], 10, 64)
}

// swap gives members each other's data directories: both processes have to refuse them.
// One alone gets another's IDENTITY.
func (s *suffering) swap() error {
	if err := s.killAll(); err != nil {
		return err
	}
	var err error
	if len(s.members) == 1 {
		s.told("gets another's IDENTITY, and its own directory back after %v", s.Lasts)
		err = s.foreign(s.members[0])
	} else {
		s.told("get each other's directories, and their own back after %v", s.Lasts)
		one, two := s.members[0], s.members[1]
		err = errors.Join(s.refuses(one, "--dir", two.Dir), s.refuses(two, "--dir", one.Dir))
	}
	if err != nil {
		return err
	}
	return s.startLater()
}

// foreign has a member look at a directory with another's IDENTITY in the place of its own.
func (s *suffering) foreign(m *proc.Member) error {
	other := s.group.Members[(m.Index+1)%len(s.group.Members)]
	b, err := os.ReadFile(filepath.Join(other.Dir, "IDENTITY"))
	if err != nil {
		return err
	}
	aside := m.Dir + "-aside"
	err = errors.Join(os.Rename(m.Dir, aside), os.Mkdir(m.Dir, 0o750), os.WriteFile(filepath.Join(m.Dir, "IDENTITY"), b, 0o600))
	if err != nil {
		return err
	}
	err = s.refuses(m)
	return errors.Join(err, os.RemoveAll(m.Dir), os.Rename(aside, m.Dir), s.settle(m))
}

// refuses starts a member whose directory is another's.
func (s *suffering) refuses(m *proc.Member, args ...string) error {
	if err := m.Start(args...); err != nil {
		return err
	}
	status, err := m.Wait(s.ctx)
	switch {
	case err != nil:
		return err
	case status != 1 || !strings.Contains(tail(m.Output()), "belongs to member"):
		return fmt.Errorf("member %d does not refuse another's directory as it should: status %d\n%s", m.Index, status, tail(m.Output()))
	}
	return nil
}
