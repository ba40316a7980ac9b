package crashreplay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"diskv/tests/proc"
)

// suffering is a fault under way: what its injection may use. Its members are
// nobody else's until it has ended.
type suffering struct {
	*run
	*part
	Fault
	ctx     context.Context //nolint:containedctx // of the run
	chance  *rand.Rand
	members []*proc.Member
	rec     *Record
}

// injections are how faults are injected and healed. When one returns, its members are
// whole again.
var injections = map[Kind]func(s *suffering) error{
	Kill: (*suffering).kill, KillAt: (*suffering).killAt, KillAll: (*suffering).kill, Pause: (*suffering).pause,
	Lost: (*suffering).lose, Damaged: (*suffering).damage, Old: (*suffering).old, Swapped: (*suffering).swap,
	Partition: (*suffering).partition, OneWay: (*suffering).oneWay, Delay: (*suffering).delay,
	Disorder: (*suffering).disorder, Flapping: (*suffering).flap, Disconnect: (*suffering).disconnect,
	Power: (*suffering).power, PowerAll: (*suffering).power, SyncError: (*suffering).syncError, IOError: (*suffering).ioError,
	ShortWrite: (*suffering).shortWrite, NoSpace: (*suffering).noSpace, SlowDisk: (*suffering).slowDisk,
}

// suffer injects a fault and returns when its members are whole again.
func (r *run) suffer(ctx context.Context, f Fault, rec *Record) error {
	s := &suffering{run: r, part: r.parts[f.Group], Fault: f, ctx: ctx, chance: rand.New(rand.NewPCG(f.Seed, 1)), rec: rec}
	for _, m := range f.Members {
		s.members = append(s.members, s.group.Members[m])
	}
	seen := s.lostDisks()
	err := injections[f.Kind](s)
	lost := s.lostDisks() > seen
	if err == nil && lost && !f.Kind.mayLose() && !s.anyDamaged() {
		err = errors.New("a member takes its disk for lost, which it is not")
	}
	for _, m := range f.Members {
		s.damaged[m] = !lost && (s.damaged[m] || f.Kind == Damaged)
	}
	return err
}

// anyDamaged tells whether a file of a member was damaged that nobody has missed yet.
func (s *suffering) anyDamaged() bool {
	return slices.ContainsFunc(s.Members, func(m int) bool { return s.damaged[m] })
}

// mayLose tells whether a member may find its disk lost by a fault.
func (k Kind) mayLose() bool { return k == Lost || k == Damaged || k == Old }

// lostDisks counts how often the members have said that their disks are lost.
func (s *suffering) lostDisks() int {
	n := 0
	for _, m := range s.members {
		n += strings.Count(m.Output(), "has lost its disk")
	}
	return n
}

// told says what is done to the members.
func (s *suffering) told(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.records.detail(s.rec, text)
	s.say("%-11s %s  %s", s.Kind, s.called(fmt.Sprint(s.Members)), text)
}

// healed notes that nothing is done to the members any more: they are recovering.
func (s *suffering) healed() { s.records.heal(s.rec, s.now()) }

// wait waits for a time, or the end of the run.
func (s *suffering) wait(d time.Duration) error {
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// each calls f for every member until one fails.
func (s *suffering) each(f func(m *proc.Member) error) error {
	for _, m := range s.members {
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

// whole heals: it waits until all members vote and follow a leader.
func (s *suffering) whole() error {
	s.healed()
	return s.each(s.voter)
}

// until calls f until it returns nil, for as long as the run is patient.
func (s *suffering) until(what string, f func() error) error {
	deadline := time.Now().Add(s.o.Patience)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if errors.Is(err, errEnded) || time.Now().After(deadline) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if s.wait(20*time.Millisecond) != nil {
			return s.ctx.Err()
		}
	}
}

// errEnded says that a process has ended by itself.
var errEnded = errors.New("the process has ended by itself")

// voter waits until a member votes again and follows a leader, or leads.
func (s *suffering) voter(m *proc.Member) error {
	return s.until(fmt.Sprintf("member %d does not come back", m.Index), func() error {
		if !m.Running() {
			return fmt.Errorf("%w:\n%s", errEnded, tail(m.Output()))
		}
		info, err := m.Info()
		switch {
		case err != nil:
			return err
		case info["phase"] != "member":
			return fmt.Errorf("it is %s: %s", info["phase"], info["not_ready_because"])
		case info["ready"] != "1":
			return fmt.Errorf("it is not ready: %s", info["not_ready_because"])
		}
		return nil
	})
}

// tail is the end of what a process has printed.
func tail(output string) string {
	const most = 3000
	return output[max(0, len(output)-most):]
}
