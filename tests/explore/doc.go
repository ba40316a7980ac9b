// Package explore searches every state that a few members of a group can get
// into from a given beginning, within bounds, for a slot with two values.
//
// The simulation (tests/sim) draws long runs of a whole replica at random; this
// package takes the consensus core alone, [paxos.Core], and leaves nothing out.
// It is the code that diskvd runs, with its real message encoding; only the
// driver, the network and the disks are of this package:
//
//	w := newWorld(bounds{members: 3, candidates: ids(0, 1), rounds: 2, slots: 2, proposals: 2})
//	res := w.search(w.initial())
//	if res.violation != nil { ... }  // res.violation.story tells the shortest way there
//
// A state is what the members hold in memory and on their disks, what is on its
// way to the disks, every message that was ever sent, and every vote that was
// ever durable. A step is one thing that happens to one member: a message
// arrives, a sync ends, IDENTITY is stored, its timers run out, a value is
// proposed, it crashes and starts again, its disk is lost.
//
// Messages never disappear: each may arrive at any later time, again and again,
// or never. So loss, doubling, delay and reordering need no steps of their own.
//
// What is checked, after every step (observe.go): a slot never has two values
// that a quorum of members has durably accepted, each under one ballot, in
// whatever life of their disks; a member applies nothing but what is chosen in
// this sense; no invariant of the core breaks. Safety only: a state in which
// nothing more can happen is not looked for.
//
// The search takes steps of members from a table: a member is a function of its
// state and the input, so each pair is tried once on a clone of the Core, and
// after that the whole group is a handful of numbers (member.go, search.go).
// Steps are written and read in one language (script.go), so the story of a
// failure is a script that plays it again.
//
// docs/testing-explore.md has what is left out, the bounds and the results.
package explore
