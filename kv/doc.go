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
// The shards of a store that [New] made are all served, for ever. That of a group
// among others, [NewSharded], takes the configs that say which group owns which
// shard, through its log, one after the other:
//
//	AppendTakeConfig   freezes what the group loses: [Store.Outgoing] keeps it, and
//	                   awaits what it gains
//	AppendInstall      takes in the next [Outgoing.Chunk] of another group; a shard
//	                   is served with its last key
//	AppendRelease      drops what another group has installed
//
// Each of them may be proposed twice, late or out of order: one that does not fit
// the state changes nothing. [Store.Handover] says what there is to do. A command
// on a shard that is not served gets [CodeWrongShard] and was not executed. Why
// nothing is lost, doubled or served twice is in docs/protocol.md, Moving shards.
//
// It leaves to others: which slot a command gets, what the time is, whether a
// read is linearizable, which group owns a shard, who carries chunks from group to
// group and when, and the connection commands (PING, HELLO, CLUSTER, ...), whose
// [Spec] a server adds to the [Table].
//
// A Store is for one goroutine at a time; only an Image and an Outgoing may be
// read by others.
//
// Adding a command means one line in the table (commands.go) and one function of
// type func(*call). The function first reads its arguments, failing on what is
// wrong with them; ends there if c.checking(), which is how [Prepare] gets to know
// of wrong syntax before it costs a log entry; and then does its work. It never
// changes a stored item in place: images share them.
package kv
