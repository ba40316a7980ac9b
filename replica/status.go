package replica

import (
	"fmt"
	"time"

	"diskv/paxos"
)

// Status is what an operator wants to know of a replica.
type Status struct {
	Identity  Identity
	Role      string
	Leader    paxos.ReplicaID
	HasLeader bool
	Ballot    paxos.Ballot // promised
	Commit    paxos.Slot
	Applied   paxos.Slot
	Last      paxos.Slot // highest accepted
	LogStart  paxos.Slot
	LogTime   int64 // ns since the Unix epoch
	LogBytes  int64 // appended since the newest snapshot
	Snapshot  SnapshotInfo
	Saving    bool // another one is being written
	// SavingFailed: the last one could not be written, and is tried again.
	SavingFailed bool
	Queued       int // commands without a slot
	Undecided    int // slots proposed here and not applied
	// Members is what a leader knows of each, by index; else empty.
	Members []MemberStatus
	// Disks is what this replica knows of every member's disk, by index.
	Disks []DiskStatus

	// Since the process started.
	Elections     uint64 // begun by this replica
	LeaderChanges uint64 // how often it saw a leader that it did not know
}

// DiskStatus is what a replica knows of a member's disk.
type DiskStatus struct {
	// Votes: it was heard lately, or is this replica's, and it is whole. A follower
	// does not hear the other followers.
	Votes bool
	// Lost: it was last heard that the disk is lost, and not yet that the member has
	// been let back.
	Lost    bool
	Heard   bool          // since this process started
	Silence time.Duration // since then, if it was
	Epoch   uint64        // newest known
	Boot    uint64        // newest known; 0: none
}

// MemberStatus is what a leader knows of a member.
type MemberStatus struct {
	Match   paxos.Slot    // accepted up to here
	Silence time.Duration // since the last answer
}

// Status describes the replica.
func (r *Replica) Status() Status {
	s := Status{
		Identity: r.id, Role: "forming", LogTime: r.logTime, LogBytes: r.snapshots.logBytes, Snapshot: r.snapshots.newest,
		Disks: r.disks(), Elections: r.elections, LeaderChanges: r.leaderChanges,
		Saving: r.snapshots.taking != nil, SavingFailed: r.snapshots.failed,
	}
	if r.hasLostDisk() {
		s.Role = "recovering"
	}
	if r.core == nil {
		return s
	}
	if !r.core.Recovering() {
		s.Role = r.core.Role().String()
	}
	s.Leader, s.HasLeader = r.core.LeaderID()
	s.Ballot, s.Commit, s.Applied = r.core.Promised(), r.core.Commit(), r.core.Applied()
	s.Last, s.LogStart = r.core.Last(), r.core.LogStart()
	s.Queued, s.Undecided = len(r.proposals.queue), len(r.proposals.waiting)
	if r.leading {
		s.Members = make([]MemberStatus, 0, r.id.Size)
		for id := range paxos.ReplicaID(r.id.Size) {
			match, heard := r.core.Match(id)
			s.Members = append(s.Members, MemberStatus{Match: match, Silence: r.now.Mono - heard})
		}
	}
	return s
}

// disks returns what is known of every member's disk.
func (r *Replica) disks() []DiskStatus {
	out := make([]DiskStatus, r.id.Size)
	for i := range out {
		seen := r.sightingOf(i)
		d := DiskStatus{
			Votes: seen.state == intact, Lost: seen.state == recovering, Heard: seen.at != 0, Silence: r.now.Mono - seen.at,
			Boot: r.peers.memory[i].Boot,
		}
		if r.core != nil {
			d.Epoch = r.core.Lives()[i].Epoch
		}
		if i == int(r.id.Index) {
			d.Epoch, d.Boot = r.id.Life.Epoch, r.id.Boot
		}
		out[i] = d
	}
	return out
}

// Leader returns who leads, if that is known, and whether it is this replica.
func (r *Replica) Leader() (id paxos.ReplicaID, known, leading bool) {
	return r.leader, r.hasLeader, r.leading
}

// LeaderTime returns, on a leader, its estimate of log time, in ns since the
// Unix epoch.
func (r *Replica) LeaderTime() (int64, bool) { return r.leaderTime(), r.leading }

// Ready reports whether the replica can serve: it votes, and leads or follows a
// leader. If not, why says in words what is missing.
func (r *Replica) Ready() (ok bool, why string) {
	switch {
	case r.form.wrong != "":
		return false, r.form.wrong
	case r.core == nil && !r.hasLostDisk():
		return false, fmt.Sprintf("the group has not formed: waiting for all %d members to be started with --bootstrap", r.id.Size)
	case r.core == nil:
		return false, "this member lost its disk, or its group has never formed; it waits for a group with a leader: " + r.missing()
	case !r.hasLeader:
		return false, fmt.Sprintf("no leader: fewer than %d of %d members can be reached, or an election is under way; %s",
			r.id.Size/2+1, r.id.Size, r.missing())
	case r.id.Phase == PhaseRecovering:
		return false, fmt.Sprintf("this member lost its disk and is recovering: slot %d of %d; it does not vote yet", r.core.Applied(), r.core.Commit())
	}
	return true, ""
}
