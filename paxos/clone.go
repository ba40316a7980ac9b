package paxos

import (
	"maps"
	"slices"
)

// Clone returns a copy of c that goes its own way: what is put into one is not
// seen by the other. They share Config.Rand and the values of entries. It is
// for tests that search what may follow from a state (tests/explore).
func (c *Core) Clone() *Core {
	n := *c
	n.window.entries = slices.Clone(c.window.entries)
	n.fresh = slices.Clone(c.fresh)
	n.election.adopted = maps.Clone(c.election.adopted)
	n.election.chosen = maps.Clone(c.election.chosen)
	n.lead.rounds = slices.Clone(c.lead.rounds)
	n.lead.reads = slices.Clone(c.lead.reads)
	for i := range n.lead.peers {
		n.lead.peers[i].inflight = slices.Clone(c.lead.peers[i].inflight)
	}
	n.out.Entries = slices.Clone(c.out.Entries)
	n.out.Messages = slices.Clone(c.out.Messages)
	n.out.AfterSync = slices.Clone(c.out.AfterSync)
	n.out.Committed = slices.Clone(c.out.Committed)
	n.out.Reads = slices.Clone(c.out.Reads)
	n.out.LogReads = slices.Clone(c.out.LogReads)
	n.out.NeedSnapshot = slices.Clone(c.out.NeedSnapshot)
	if c.out.Readmitted != nil {
		l := *c.out.Readmitted
		n.out.Readmitted = &l
	}
	return &n
}
