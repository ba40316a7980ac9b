package replica

import (
	"fmt"
	"strings"
	"time"

	"diskv/paxos"
)

// recovery is what a replica that lost its disk does to be let back.
type recovery struct {
	life   *paxos.Life // to vote with again
	sync   uint64      // makes the hard state of that durable
	lookAt time.Duration
	sayAt  time.Duration
}

// reportInterval is how often a replica that cannot serve, or does not vote,
// says why.
const reportInterval = 10 * time.Second

// noteRecovery takes from the core what concerns this replica's disk.
func (r *Replica) noteRecovery(rd paxos.Ready) {
	if rd.Readmitted != nil {
		r.recovery.life, r.recovery.sync = rd.Readmitted, rd.Sync
	}
	if rd.Lost != "" {
		r.warn("this member has lost its disk", "because", rd.Lost)
		r.out.Lost = rd.Lost
	}
}

// readmitAfter has the identity of a voter stored once the hard state of the
// readmission is durable: first {promise, epoch} in the log, then IDENTITY,
// then the first vote.
func (r *Replica) readmitAfter(sync uint64) {
	if r.recovery.life == nil || sync < r.recovery.sync || r.form.pending != nil {
		return
	}
	id := r.id
	id.Phase, id.Life = PhaseMember, *r.recovery.life
	r.recovery.life = nil
	r.form.pending = &NewIdentity{Identity: id}
	r.out.Identity = r.form.pending
}

// tickRecovery looks around while there is no leader, and says at a steady
// interval what is waited for.
func (r *Replica) tickRecovery() {
	rc := &r.recovery
	if r.core != nil && r.id.Phase == PhaseRecovering && !r.hasLeader && r.now.Mono >= rc.lookAt {
		rc.lookAt = r.now.Mono + time.Second
		r.sayHello()
	}
	serving := r.core != nil && r.hasLeader && r.id.Phase == PhaseMember
	if serving || r.id.Size == 1 {
		rc.sayAt = r.now.Mono + reportInterval
		return
	}
	if rc.sayAt == 0 {
		rc.sayAt = r.now.Mono + reportInterval
	}
	if r.now.Mono >= rc.sayAt {
		rc.sayAt = r.now.Mono + reportInterval
		_, why := r.Ready()
		r.warn(why)
	}
}

// roster is what a replica last heard of every member's disk.
type roster [paxos.MaxReplicas]sighting

// sighting is when and how a member was heard.
type sighting struct {
	at    time.Duration
	state memberState
}

// memberState is what has become of a member's disk.
type memberState uint8

const (
	unheard    memberState = iota // nothing is known
	intact                        // it votes
	recovering                    // it lost its disk and does not vote
	unformed                      // it waits for the group to form
)

// sightingOf returns what is known of a member's disk now: of one that was not heard for
// a while nothing, unless it had lost its disk.
func (r *Replica) sightingOf(i int) sighting {
	const fresh = 2 * time.Second
	s := r.roster[i]
	switch {
	case i != int(r.id.Index):
		if s.state != recovering && r.now.Mono-s.at > fresh {
			s.state = unheard
		}
		return s
	case r.id.Phase == PhaseMember:
		s.state = intact
	case r.hasLostDisk():
		s.state = recovering
	default:
		s.state = unformed
	}
	s.at = r.now.Mono
	return s
}

// noteMember notes what a message tells of its sender's disk, unless it is of another
// cluster.
func (r *Replica) noteMember(e paxos.Envelope) {
	if e.Cluster != 0 && r.id.Cluster != 0 && e.Cluster != r.id.Cluster {
		return
	}
	s := sighting{at: r.now.Mono, state: intact}
	switch m := e.Message.(type) {
	case paxos.FormHello:
		s.state = unformed
		if m.Recovering || r.id.Phase == PhaseMember && r.core.Lives()[e.From].Nonce != e.Life.Nonce {
			s.state = recovering
		}
	case paxos.Progress, paxos.RejoinRequest:
		s.state = recovering
	case paxos.SnapshotAck, paxos.FormStored:
		return // both kinds of members send it
	}
	r.roster[e.From] = s
}

// hasLostDisk reports whether this replica knows that it has lost its disk and
// has not been let back.
func (r *Replica) hasLostDisk() bool { return r.id.Phase == PhaseRecovering || r.form.outlived }

// missing says who is intact, who lost its disk, who was not heard, and what is
// needed for the group to go on.
func (r *Replica) missing() string {
	lists := make(map[memberState][]string)
	for i := range r.id.Size {
		state := r.sightingOf(i).state
		lists[state] = append(lists[state], fmt.Sprint(i))
	}
	list := func(s memberState) string {
		if len(lists[s]) == 0 {
			return "none"
		}
		return strings.Join(lists[s], ",")
	}
	quorum := r.id.Size/2 + 1
	out := fmt.Sprintf("intact: %s; lost their disks: %s; not heard: %s", list(intact), list(recovering), list(unheard))
	if len(lists[unformed]) > 0 {
		out += "; not formed: " + list(unformed)
	}
	switch {
	case r.id.Size-len(lists[recovering]) < quorum:
		out += fmt.Sprintf("; %d members whose disks are intact are needed, and that many are not left: the group stops rather than forget."+
			" If no disk can be put back, diskvlog recover --force-new-group begins a new group with what a survivor holds,"+
			" or what was put aside in quarantine/ of a member whose log or snapshot was damaged", quorum)
	default:
		out += fmt.Sprintf("; needed: %d intact members that reach each other", quorum)
	}
	return out
}

// AcceptAll applies, after the replay and in place of Start, what was accepted
// and is not known as chosen, and returns how many slots that were. It is for an
// operator's new group that begins with what one survivor holds: the replica
// must not be started any more.
func (r *Replica) AcceptAll() (int, error) {
	entries := r.core.AcceptAll()
	return len(entries), r.apply(entries)
}
