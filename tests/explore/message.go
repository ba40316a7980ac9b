package explore

import (
	"fmt"
	"strings"

	"diskv/paxos"
)

// send adds messages, as they travel, to a set.
func (w *world) send(set []uint16, messages []paxos.Envelope) []uint16 {
	for _, e := range messages {
		for _, c := range w.carried(e) {
			set = insert(set, w.messageNumber(w.fault.touch(c)))
		}
	}
	return set
}

// carried returns e as it travels, if it does. What is left out or changed cannot
// hide a second choice:
//
//   - PreVote and PreVoteReply bind nobody; a timeout counts as a pre-vote won;
//   - a Nack makes its receiver give up, which a timeout does too, and go above
//     a round, which a further timeout does;
//   - there are no reads, so rounds are all zero, and a HeartbeatAck says
//     something only where an Accept left a gap;
//   - an Accept with a commit index does what the same does without it, followed
//     by a Heartbeat with it. So it travels as these two, which makes far fewer
//     different messages, but not where a member may recover: one takes from an
//     Accept only what is chosen.
func (w *world) carried(e paxos.Envelope) []paxos.Envelope {
	switch m := e.Message.(type) {
	case paxos.PreVote, paxos.PreVoteReply, paxos.Nack:
		return nil
	case paxos.Accept:
		m.Round = 0
		if w.losses > 0 || m.Commit == 0 {
			e.Message = m
			break
		}
		beat := e
		beat.Message = paxos.Heartbeat{Ballot: m.Ballot, Commit: m.Commit}
		m.Commit = 0
		e.Message = m
		return []paxos.Envelope{e, beat}
	case paxos.Heartbeat:
		m.Round = 0
		e.Message = m
	case paxos.HeartbeatAck:
		if !m.Gap {
			return nil
		}
		m.Round = 0
		e.Message = m
	}
	return []paxos.Envelope{e}
}

// spent reports whether e can do nothing any more at a receiver that has
// promised ballot b durably and will not lose that. It is dropped, so that
// states do not differ by it.
func spent(e paxos.Envelope, b paxos.Ballot, candidate bool) bool {
	if e.Vector[e.To].Epoch != 0 {
		return false // it may tell the receiver the epoch of its life
	}
	switch m := e.Message.(type) {
	case paxos.Prepare:
		return m.Ballot.Less(b) // refused
	case paxos.Accept:
		return m.Ballot.Less(b)
	case paxos.Heartbeat:
		return m.Ballot.Less(b)
	// The rest is for a candidate or leader under this ballot, and no ballot is
	// used twice.
	case paxos.Promise:
		return m.Ballot.Less(b) || m.Ballot == b && !candidate
	case paxos.Accepted:
		return m.Ballot.Less(b)
	case paxos.HeartbeatAck:
		return m.Ballot.Less(b)
	case paxos.Progress:
		return m.Ballot.Less(b)
	case paxos.RejoinRequest:
		return m.Ballot.Less(b)
	}
	return false
}

func showEntry(e paxos.Entry) string {
	switch e.Kind {
	case paxos.KindNoop:
		return fmt.Sprintf("%d=noop", e.Slot)
	case paxos.KindRejoin:
		j, err := paxos.DecodeRejoin(e.Value)
		if err != nil {
			return fmt.Sprintf("%d=%v", e.Slot, err)
		}
		return fmt.Sprintf("%d=rejoin(%d,%s)", e.Slot, j.Replica, showLife(j.Life))
	}
	return fmt.Sprintf("%d=%s", e.Slot, e.Value)
}

func showLife(l paxos.Life) string { return fmt.Sprintf("%d/%d", l.Epoch, l.Nonce) }

func showEntries(entries []paxos.Entry, ballots bool) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(" " + showEntry(e))
		if ballots {
			fmt.Fprintf(&b, "@%v", e.Ballot)
		}
	}
	return b.String()
}

// showMessage tells everything by which two messages differ in what they do, or
// nearly: a script names a message by how this begins.
func showMessage(e paxos.Envelope) string {
	var s string
	switch m := e.Message.(type) {
	case paxos.Prepare:
		s = fmt.Sprintf("prepare %v from %d", m.Ballot, m.From)
	case paxos.Promise:
		s = fmt.Sprintf("promise %v from %d commit %d:%s", m.Ballot, m.From, m.Commit, showEntries(m.Entries, true))
	case paxos.Accept:
		s = fmt.Sprintf("accept %v commit %d:%s", m.Ballot, m.Commit, showEntries(m.Entries, false))
	case paxos.Accepted:
		s = fmt.Sprintf("accepted %v through %d", m.Ballot, m.Through)
	case paxos.Heartbeat:
		s = fmt.Sprintf("heartbeat %v commit %d", m.Ballot, m.Commit)
	case paxos.HeartbeatAck:
		s = fmt.Sprintf("gap %v behind %d", m.Ballot, m.Held)
	case paxos.Progress:
		s = fmt.Sprintf("progress %v held %d", m.Ballot, m.Held)
		if m.Gap {
			s += " gap"
		}
	case paxos.RejoinNotice:
		s = fmt.Sprintf("rejoin-notice %v epoch %d, chosen %s", m.Ballot, m.Epoch, showLife(m.Chosen))
	case paxos.RejoinRequest:
		s = fmt.Sprintf("rejoin-request %v prev %d", m.Ballot, m.Prev)
	default:
		s = fmt.Sprintf("%T", m)
	}
	s = fmt.Sprintf("%d->%d %s", e.From, e.To, s)
	if e.Life.Epoch != 0 || e.Life.Nonce != uint64(e.From)+1 {
		s += " as " + showLife(e.Life)
	}
	if e.Vector != (paxos.Vector{}) {
		for id, l := range e.Vector {
			if l.Epoch != 0 {
				s += fmt.Sprintf(" knows %d as %s", id, showLife(l))
			}
		}
	}
	return s
}
