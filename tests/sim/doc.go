// Package sim runs whole replica groups on a virtual clock, with fakes for the
// network, the disks and the clocks, against everything that can go wrong, and
// checks what the group promises.
//
// Package replica is one replica as a pure function, so this package drives the
// code that diskvd drives, and one number, the seed, decides everything: the
// size of the group, its options, every delay, every loss and every crash.
//
//	res := sim.Run(sim.Options{Seed: 42, Ops: 500}) // Groups: true for several groups
//	if res.Err != nil { ... }       // broken promise; the same seed shows it again
//
// A run has two phases. First clients work while faults happen: messages are
// lost, doubled, delayed and reordered, members are cut off, stopped, killed in
// the middle of what they do, disks are slow and forget what was not synced,
// clocks are wrong, disks are lost and old copies of them put back. Then the faults
// stop, and the group must agree and serve within a bounded time; or, if a majority
// has lost its disks, must never answer again and say why.
//
// What is checked is in check.go (while it runs, by an observer that sees every
// disk and every message) and in history.go (what the clients saw). The marks
// count what really happened, so that a test can tell that a rare branch was
// taken at all.
//
// A run has one group that owns every shard, or two to four with shardmasters, among
// which an operator moves shards while clients follow them. What has to hold over
// all groups together is checked in moves.go.
//
// The package guarantees that the same seed, number of operations and kind of run
// give the same run, event by event, on every machine; Result.Trace is the proof. It
// leaves everything that is not the engine to others.
package sim
