// Package handover decides, on the leader of a sharded group, what has to be
// asked of the shardmasters and of other groups so that shards move, and which
// commands are to be proposed to its own group when the answers come.
//
// A [Mover] is a pure function of what it is told: no clock, socket or goroutine.
//
//	m := handover.New(handover.Options{Group: 7})
//	for {                                        // on the goroutine of the replica
//		m.Answered(id, reply, err)           // for each request that was carried out
//		out := m.Step(now, leading, store.Handover())
//		carry(out.Requests)                  // each ends in one Answered
//		propose(out.Propose)                 // through the group's own log
//	}
//
// It does five things, all of them for as long as they are due: it asks for the
// next config when everything that the present one gave to the group is installed;
// it pulls the streams of awaited shards, a few chunks ahead of what is applied; it
// has the next batch of shards frozen when the group that is to get it has asked for
// it ([Mover.Wanted]); it asks the groups that shards went to whether they have them, and has them
// released then; and it tells the shardmasters how far the group has come.
//
// Nothing that is safe depends on it. Whatever it proposes is judged by the group's
// log (package kv), so requests and proposals may be lost, doubled, late, and made
// by two leaders at once. It leaves the connections, and whom of several servers to
// ask, to its driver.
package handover
