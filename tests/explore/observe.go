package explore

import (
	"fmt"
	"slices"

	"diskv/paxos"
)

// vote is an entry that a member has accepted durably, in some life of its
// disk. Votes are never taken back: a choice is for ever.
type vote struct {
	member paxos.ReplicaID
	entry  paxos.Entry
}

func (v vote) same(o vote) bool {
	return v.entry.Ballot == o.entry.Ballot && sameEntry(v.entry, o.entry)
}

// chosen returns the entries that quorums of votes have chosen. Whoever of a
// quorum voted twice counts once.
func (w *world) chosen(votes []uint16) []paxos.Entry {
	var out []paxos.Entry
	for i, a := range votes {
		v := w.votes[a]
		first := !slices.ContainsFunc(votes[:i], func(b uint16) bool { return w.votes[b].same(v) })
		if !first {
			continue
		}
		var who [paxos.MaxReplicas]bool
		n := 0
		for _, b := range votes[i:] {
			if o := w.votes[b]; o.same(v) && !who[o.member] {
				who[o.member] = true
				n++
			}
		}
		if n > w.members/2 {
			out = append(out, v.entry)
		}
	}
	return out
}

// judge returns what is wrong after a step, or nothing. The votes are those of
// the whole group, with the step's own; more says that there are new ones.
func (w *world) judge(votes []uint16, more bool, o *outcome) string {
	if o.broken != "" {
		return o.broken
	}
	if !more && len(o.applied) == 0 {
		return ""
	}
	chosen := w.chosen(votes)
	for i, a := range chosen {
		for _, b := range chosen[:i] {
			if a.Slot == b.Slot && !sameValue(a, b) {
				return fmt.Sprintf("slot %d has two chosen values: %s under %v and %s under %v",
					a.Slot, showEntry(b), b.Ballot, showEntry(a), a.Ballot)
			}
		}
	}
	for _, e := range o.applied {
		if !slices.ContainsFunc(chosen, func(c paxos.Entry) bool { return sameEntry(c, e) }) {
			return fmt.Sprintf("a member applies %s, which is not chosen", showEntry(e))
		}
	}
	return ""
}
