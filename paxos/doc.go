// Package paxos is the consensus core of a replica: Multi-Paxos as a pure
// state machine that decides which value goes into which slot of the log.
//
// It guarantees that no slot ever has two chosen values, that a slot counts as
// chosen only when a quorum holds its value durably under one ballot, and that
// a read is confirmed only by a leader that was still the leader after the
// read had arrived. It leaves everything else to its caller: the network, the
// disk, the clock, what the values mean, snapshots' contents.
//
// A [Core] is not safe for concurrent use and starts no goroutine. It takes
// inputs (a message arrived, time has passed, a sync has ended, a value or a
// read is wanted) and says in a [Ready] what is to be done about them:
//
//	c.Step(envelope)             // or Tick, Propose, Read, Durable, ...
//	rd := c.Ready()
//	log.Append(rd.Entries, rd.HardState)   // one batch; asks for sync number rd.Sync
//	send(rd.Messages)                      // may leave now
//	pending.Add(rd.Sync, rd.AfterSync)     // may leave once sync rd.Sync has ended
//	apply(rd.Committed)                    // in slot order
//	answer(rd.Reads)
//	...
//	c.Durable(rd.Sync)                     // later, when the sync has ended
//
// There is no acknowledgement of a Ready: what it hands out counts as handed
// out, and durability comes back as an input of its own. What it decided is in
// effect in memory at once; only what leaves the replica waits.
//
// The protocol and the argument for its safety are in docs/protocol.md. The
// sources are Lamport, Paxos Made Simple (2001), for the two phases; Chandra,
// Griesemer and Redstone, Paxos Made Live (2007), for the leader that runs
// phase 1 once; Ongaro, Consensus: Bridging Theory and Practice (2014), for
// the pre-vote (9.6), the hand-over (3.10) and the read index (6.4).
package paxos
