// Package kv is the key/value state machine: a B-tree of the keys of each shard,
// the commands on them, exactly-once sessions, and expiry, all of it decided by the
// log alone.
//
// A store is driven in log order. The reply of a command is RESP3:
//
//	p, refusal := kv.Prepare(args)         // anywhere: refuses what is wrong in itself
//	entry := p.Command.Append(nil)         // goes through the log
//	s.Begin(slot, logTime)                 // once per slot
//	reply = s.Apply(reply[:0], entry)      // once per command in it
//	reply, ok := s.Query(reply, now, query) // a read; writes no log
//
// It guarantees:
//
//   - The same log gives the same state, the same replies and the same [Store.Digest]
//     everywhere, also when it goes on from an [Image]. No clock, disk, network,
//     goroutine or chance has a part in it, and no command, however malformed, is
//     worse than an error reply.
//   - A key at or past its time is absent, in that log time: not before on any
//     replica and not later on any. How soon its memory is freed is bounded per
//     batch and per command, and nobody can see it in a reply.
//   - An operation of a session is applied once. See [SessionID].
//   - An [Image] stays as it was taken while the store goes on.
//
// It leaves to others: which slot a command gets, what the time is, whether a
// read is linearizable, which group owns a shard, and the connection commands
// (PING, HELLO, CLUSTER, ...), whose [Spec] a server adds to the [Table].
//
// A Store is for one goroutine at a time; only an Image may be read by another.
//
// Adding a command means one line in the table (commands.go) and one function of
// type func(*call). The function first reads its arguments, failing on what is
// wrong with them; ends there if c.checking(), which is how [Prepare] gets to know
// of wrong syntax before it costs a log entry; and then does its work. It never
// changes a stored item in place: images share them.
package kv
