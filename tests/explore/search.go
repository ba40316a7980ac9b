package explore

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"diskv/paxos"
)

// bounds say how far a search goes. Within them it leaves nothing out.
type bounds struct {
	members   int
	rounds    uint64 // highest round of a ballot
	slots     int    // highest slot
	proposals int    // values, a, b, ... in the order in which they are proposed
	crashes   int
	losses    int

	candidates set // who may run for leader
	crashers   set // who may crash
	losers     set // who may lose its disk
	// slow are those whose syncs end in a step of their own, so that other things
	// can happen before. The syncs of others end at once.
	slow set

	states int // gives up after so many; 0 stands for no limit

	fault fault
}

// set is a set of members.
type set [paxos.MaxReplicas]bool

func ids(members ...paxos.ReplicaID) set {
	var s set
	for _, id := range members {
		s[id] = true
	}
	return s
}

// state is a state of the group.
type state struct {
	members   []int32  // by number in the table
	messages  []uint16 // that may still arrive, sorted
	votes     []uint16 // that were ever durable, sorted
	proposals uint8    // so far
	crashes   uint8
	losses    uint8
}

func (s *state) encode() []byte {
	b := make([]byte, 0, 5+4*len(s.members)+2*(len(s.messages)+len(s.votes)))
	b = append(b, s.proposals, s.crashes, s.losses)
	for _, m := range s.members {
		b = binary.LittleEndian.AppendUint32(b, uint32(m))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.messages)))
	for _, m := range s.messages {
		b = binary.LittleEndian.AppendUint16(b, m)
	}
	for _, v := range s.votes {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func (w *world) decode(b []byte) *state {
	s := &state{proposals: b[0], crashes: b[1], losses: b[2], members: make([]int32, w.members)}
	b = b[3:]
	for i := range s.members {
		s.members[i] = int32(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	s.messages = make([]uint16, binary.LittleEndian.Uint16(b))
	b = b[2:]
	for i := range s.messages {
		s.messages[i] = binary.LittleEndian.Uint16(b)
		b = b[2:]
	}
	s.votes = make([]uint16, len(b)/2)
	for i := range s.votes {
		s.votes[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return s
}

// initial returns the state of a group that has just formed.
func (w *world) initial() *state {
	s := &state{}
	for id := range paxos.ReplicaID(w.members) {
		var fx effects
		m := w.newMember(id, &fx)
		s.members = append(s.members, w.enter(m, &fx).next)
	}
	return s
}

// steps calls f for every step that may happen in s, within the bounds, until it
// says stop.
func (w *world) steps(s *state, f func(step) bool) {
	for _, n := range s.messages {
		if !f(step{w.messages[n].To, deliver, n}) {
			return
		}
	}
	for id, n := range s.members {
		id, m := paxos.ReplicaID(id), w.locals[n]
		if w.slow[id] && len(m.pending) > 0 && !f(step{id, sync, 0}) ||
			w.slow[id] && m.letBack != nil && !f(step{id, identity, 0}) ||
			w.candidates[id] && !f(step{id, timeout, 0}) ||
			int(s.proposals) < w.proposals && !f(step{id, propose, uint16(s.proposals)}) {
			return
		}
		if w.crashers[id] && int(s.crashes) < w.crashes {
			for kept := range len(m.unsynced()) + 1 {
				if !f(step{id, crash, uint16(kept)}) {
					return
				}
			}
		}
		if w.losers[id] && int(s.losses) < w.losses && !f(step{id, lose, uint16(s.losses)}) {
			return
		}
	}
}

// after returns the state behind a step, and what is wrong with it. The state is
// nil if the step cannot happen, or changes nothing.
func (w *world) after(s *state, st step) (*state, string) {
	o := w.outcome(s.members[st.member], st)
	if o == nil {
		return nil, ""
	}
	if o.broken == "" && o.next == s.members[st.member] && contains(s.messages, o.sent) && contains(s.votes, o.votes) {
		return nil, ""
	}
	votes := s.votes
	for _, v := range o.votes {
		votes = insert(votes, v)
	}
	if wrong := w.judge(votes, len(votes) > len(s.votes), o); wrong != "" {
		return nil, wrong
	}
	n := &state{members: s.members, messages: s.messages, votes: votes, proposals: s.proposals, crashes: s.crashes, losses: s.losses}
	for _, m := range o.sent {
		n.messages = insert(n.messages, m)
	}
	if o.next != s.members[st.member] {
		n.members = slices.Clone(s.members)
		n.members[st.member] = o.next
	}
	switch st.kind {
	case propose:
		n.proposals++
	case crash:
		n.crashes++
	case lose:
		n.losses++
	}
	w.dropSpent(n, func(m uint16) bool {
		return st.kind == lose || w.messages[m].To == st.member || contains(o.sent, []uint16{m})
	})
	return n, ""
}

// contains reports whether every number of part is in set.
func contains(set, part []uint16) bool {
	for _, n := range part {
		if _, found := slices.BinarySearch(set, n); !found {
			return false
		}
	}
	return true
}

// dropSpent drops the messages that can do nothing any more, of those that may
// have come to that.
func (w *world) dropSpent(s *state, suspect func(uint16) bool) {
	useless := func(n uint16) bool {
		if !suspect(n) {
			return false
		}
		e := w.messages[n]
		if w.losers[e.To] && int(s.losses) < w.losses {
			return false // it may forget what it has promised
		}
		l := w.locals[s.members[e.To]]
		return spent(e, l.promised, l.core.Role() == paxos.Candidate)
	}
	if slices.ContainsFunc(s.messages, useless) {
		s.messages = slices.DeleteFunc(slices.Clone(s.messages), useless)
	}
}

// result is what a search has found.
type result struct {
	states    int // different ones
	steps     int // tried
	depth     int // steps from the beginning to the farthest state
	locals    int // different states of one member
	messages  int // different ones
	complete  bool
	violation *violation
}

// violation is the shortest way from the beginning of a search to a state that
// must not be.
type violation struct {
	what  string
	steps []step
}

// node is how a state was reached first.
type node struct {
	parent int32
	step   step
}

// search visits every state that can be reached from s, nearest first.
func (w *world) search(s *state) result {
	seed1, seed2 := maphash.MakeSeed(), maphash.MakeSeed()
	visited := map[[2]uint64]struct{}{}
	isNew := func(b []byte) bool {
		key := [2]uint64{maphash.Bytes(seed1, b), maphash.Bytes(seed2, b)}
		if _, ok := visited[key]; ok {
			return false
		}
		visited[key] = struct{}{}
		return true
	}
	w.dropSpent(s, func(uint16) bool { return true })
	first := s.encode()
	isNew(first)
	nodes := []node{{parent: -1}}
	level := [][]byte{first}
	res := result{complete: true}
	for base := 0; len(level) > 0 && res.complete && res.violation == nil; res.depth++ {
		var next [][]byte
		nextBase := len(nodes)
		for i, b := range level {
			from := w.decode(b)
			level[i] = nil
			w.steps(from, func(st step) bool {
				res.steps++
				to, wrong := w.after(from, st)
				if wrong != "" {
					res.violation = &violation{what: wrong, steps: append(way(nodes, base+i), st)}
					return false
				}
				if to == nil {
					return true
				}
				if b := to.encode(); isNew(b) {
					next = append(next, b)
					nodes = append(nodes, node{parent: int32(base + i), step: st})
				}
				return true
			})
			if res.violation != nil {
				break
			}
			if w.states > 0 && len(nodes) >= w.states {
				res.complete = false
				break
			}
		}
		level, base = next, nextBase
	}
	res.states, res.locals, res.messages = len(nodes), len(w.locals), len(w.messages)
	return res
}

// way returns the steps from the beginning to nodes[i].
func way(nodes []node, i int) []step {
	var out []step
	for ; nodes[i].parent >= 0; i = int(nodes[i].parent) {
		out = append(out, nodes[i].step)
	}
	slices.Reverse(out)
	return out
}
