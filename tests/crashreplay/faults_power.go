package crashreplay

import (
	"fmt"
	"syscall"
	"time"

	"diskv/tests/faultfs"
	"diskv/tests/proc"
)

// disk is the file system under the directory of a member.
func (s *suffering) disk(m *proc.Member) *faultfs.FS { return s.disks[m.Index] }

// power cuts the power of the members: their disks keep what was synced, and of the rest
// nothing, all, or some.
func (s *suffering) power() error {
	s.told("power cut; on again after %v", s.Lasts)
	for _, m := range s.members {
		s.disk(m).PowerCut(s.chance.Uint64())
	}
	if err := s.killAll(); err != nil {
		return err
	}
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	s.powerOn()
	if err := s.each(func(m *proc.Member) error { return m.Start() }); err != nil {
		return err
	}
	return s.whole()
}

func (s *suffering) powerOn() {
	for _, m := range s.members {
		s.disk(m).PowerOn()
	}
}

// errorEndsWithin is how long a process may take to end when a sync of its log has failed.
const errorEndsWithin = 10 * time.Second

// syncError has a sync of the log fail. The process has to end: what it would go on to
// answer might not be there.
func (s *suffering) syncError() error {
	m := s.members[0]
	after := s.chance.IntN(20)
	s.told("sync of the log fails (EIO), the %d. from now", after+1)
	armed := s.disk(m).Fault(faultfs.Fault{Op: faultfs.OpSync, Path: "data/wal/", Err: syscall.EIO, After: after, Count: 1})
	for end := time.Now().Add(s.Lasts); time.Now().Before(end) && armed.Hits() == 0; {
		if err := s.wait(5 * time.Millisecond); err != nil {
			return err
		}
	}
	if armed.Hits() > 0 {
		for end := time.Now().Add(errorEndsWithin); m.Running(); {
			if time.Now().After(end) {
				return fmt.Errorf("member %d goes on, though a sync of its log has failed", m.Index)
			}
			if err := s.wait(5 * time.Millisecond); err != nil {
				return err
			}
		}
	}
	return s.mend()
}

// ioError has operations fail, on whatever files.
func (s *suffering) ioError() error {
	m := s.members[0]
	op := faultfs.OpAny
	if s.chance.IntN(2) == 0 {
		op = faultfs.OpWrite | faultfs.OpCreate | faultfs.OpRename | faultfs.OpSyncDir
	}
	paths := []string{"", "data/", "data/snapshot/", "data/wal/", "data/PEERS*", "data/IDENTITY*"}
	path := paths[s.chance.IntN(len(paths))]
	count := 1 + s.chance.IntN(3)
	s.told("%d operations on %q fail (EIO)", count, path)
	s.disk(m).Fault(faultfs.Fault{Op: op, Path: path, Err: syscall.EIO, After: s.chance.IntN(30), Count: count})
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	return s.mend()
}

// shortWrite has a write to the log end in its middle.
func (s *suffering) shortWrite() error {
	m := s.members[0]
	errno := []syscall.Errno{syscall.EIO, syscall.ENOSPC}[s.chance.IntN(2)]
	bytes := 1 + s.chance.IntN(600)
	s.told("a write to the log ends after %d bytes (%v)", bytes, errno)
	s.disk(m).Fault(faultfs.Fault{Op: faultfs.OpWrite, Path: "data/wal/", Short: bytes, Err: errno, After: s.chance.IntN(20), Count: 2})
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	return s.mend()
}

// noSpace fills the disks.
func (s *suffering) noSpace() error {
	room := int64(s.chance.IntN(128 << 10))
	s.told("%d bytes of disk are left for %v", room, s.Lasts)
	for _, m := range s.members {
		s.disk(m).Free(room)
	}
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	return s.mend()
}

func (s *suffering) slowDisk() error {
	each := time.Duration(20+s.chance.IntN(500)) * time.Millisecond
	if s.chance.IntN(3) == 0 {
		each = 3 * time.Second
	}
	s.told("each sync takes %v for %v", each, s.Lasts)
	for _, m := range s.members {
		s.disk(m).Fault(faultfs.Fault{Op: faultfs.OpSync, Delay: each})
	}
	if err := s.wait(s.Lasts); err != nil {
		return err
	}
	return s.mend()
}

// endsLate is how long a process that an error ends may take for it when the fault is over.
const endsLate = 500 * time.Millisecond

// mend takes the faults of the disks away and starts again, as a supervisor would, what has
// ended by them. What a failed sync left is in the caches of the system by then; at
// times it is not, and at times the power is cut on top.
func (s *suffering) mend() error {
	for _, m := range s.members {
		s.disk(m).Clear()
		s.disk(m).Free(-1)
	}
	if err := s.wait(endsLate); err != nil {
		return err
	}
	var ended []*proc.Member
	for _, m := range s.members {
		if !m.Running() {
			ended = append(ended, m)
		}
	}
	for _, m := range ended {
		d := s.disk(m)
		switch s.chance.IntN(4) {
		case 0:
			s.told("member %d has ended; its caches are dropped, and it is started again", m.Index)
			d.DropCaches()
		case 1:
			s.told("member %d has ended; its power is cut, and it is started again", m.Index)
			d.PowerCut(s.chance.Uint64())
			d.PowerOn()
		default:
			s.told("member %d has ended; it is started again", m.Index)
		}
		if err := m.Start(); err != nil {
			return err
		}
	}
	return s.whole()
}
