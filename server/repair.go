package server

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// Repair is a data directory that was looked at as a start would, offline, and what
// can be done so that a start goes on with it.
//
//	r, err := server.OpenRepair(dir, read)
//	defer r.Close()
//	switch r.Found { ... }          // nothing has been changed so far
//	kept, err := r.Cut(accepted)    // what a start would do, or what an operator accepted
//
// A repair that was interrupted, at any point, is repeated from the beginning.
type Repair struct {
	Identity replica.Identity
	Found    Finding
	// Why says what is wrong. Nil if nothing is.
	Why error
	// End is where the log is cut, nil if it was cut before, or need not be.
	End *wal.Cut
	// Slot is the last one that the log and the snapshot hold in front of that, and
	// Holds what, in numbers, of which everything up to slot Commit was applied. They
	// are not set of a damaged directory.
	Slot, Commit paxos.Slot
	Holds        string

	dir *dataDir
}

// Finding is what a start would make of a directory.
type Finding uint8

// The findings. Zero is invalid.
const (
	FoundWell    Finding = iota + 1 // a start goes on with it
	FoundNothing                    // there is no log yet: the group has not formed, or the disk was lost
	FoundTorn                       // a start cuts the end of the log, and nothing acknowledged is lost
	FoundSuspect                    // the end of the log may lack what was acknowledged
	FoundDamaged                    // something that was durable is damaged or missing
)

func (f Finding) String() string {
	return [...]string{FoundWell: "well", FoundNothing: "empty", FoundTorn: "torn", FoundSuspect: "suspect", FoundDamaged: "damaged"}[f]
}

// OpenRepair locks a directory, and reads everything in it, for which it needs the
// memory of a start. It changes nothing. Read, if it is not nil, is told of each record of
// the log how many bytes it has. The error is one of the system, or that it is not a
// directory to be repaired.
func OpenRepair(dir string, read func(bytes int)) (*Repair, error) {
	d, err := lockExisting(dir)
	if err != nil {
		return nil, err
	}
	r := &Repair{Identity: d.id, dir: d}
	if err := r.look(read); err != nil {
		_ = d.close()
		return nil, err
	}
	return r, nil
}

func (r *Repair) look(read func(bytes int)) error {
	if !r.dir.id.HasLog() {
		r.Found = FoundNothing
		return nil
	}
	rep, report, err := r.dir.replay(read)
	switch {
	case errors.As(err, new(damage)):
		r.Found, r.Why = FoundDamaged, err
		return nil
	case err != nil:
		return err
	case report.LogID != r.dir.id.LogID:
		return r.dir.otherLog()
	}
	if r.Identity.Size == 1 { // what it holds is chosen
		if _, err := rep.AcceptAll(); err != nil {
			return err
		}
	}
	st := rep.Status()
	r.Found, r.End, r.Slot, r.Commit, r.Holds = FoundWell, report.Cut, st.Last, st.Commit, machineOf(rep).holds()
	switch {
	case report.Suspect:
		r.Found, r.Why = FoundSuspect, r.dir.suspect(&report)
	case report.Torn:
		r.Found, r.Why = FoundTorn, fmt.Errorf("the log ends as a crash leaves it: %s", report.Cut)
	}
	return nil
}

// Acceptable tells whether an operator may accept that the end of the log is suspect.
// That is so where nobody else has acted on what may be missing: a member of a larger
// group has promised it to the others, and must not vote before they have let it back;
// a group of a cluster may have handed shards over.
func (r *Repair) Acceptable() bool {
	return r.Identity.Size == 1 && r.Identity.Service == paxos.ServicePlain
}

// Cut cuts a torn end of the log, as a start does, or a suspect one of which an
// operator has accepted the loss. What is cut is kept in a file of quarantine/, the
// name of which is returned; empty: it was cut before.
func (r *Repair) Cut(accepted bool) (kept string, err error) {
	switch {
	case r.Found != FoundTorn && r.Found != FoundSuspect:
		return "", fmt.Errorf("data directory %s: there is no end to be cut", r.dir.path)
	case r.Found == FoundSuspect && (!accepted || !r.Acceptable()):
		return "", r.Why
	}
	if err := r.dir.own(); err != nil {
		return "", err
	}
	report, err := wal.Repair(r.dir.walPath(), wal.Options{Quarantine: r.dir.quarantinePath()}, accepted)
	if err != nil {
		return "", fmt.Errorf("data directory %s: %w", r.dir.path, err)
	}
	if report.Cut == nil {
		return "", nil
	}
	return report.Cut.Kept, nil
}

// own refuses to write into a directory of another user, who could not read it then.
func (d *dataDir) own() error {
	info, err := os.Stat(d.identityPath())
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("data directory %s belongs to user %d, and diskvd could not read what user %d writes into it: run this as that user",
			d.path, st.Uid, os.Geteuid())
	}
	return nil
}

// Close lets go of the directory.
func (r *Repair) Close() { _ = r.dir.close() }
