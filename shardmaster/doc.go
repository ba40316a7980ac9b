// Package shardmaster is the configuration state machine: which group owns which
// shard. It makes one numbered [shard.Config] after the other; the groups take them
// in order and move their data by themselves.
//
// A machine is driven in log order, like any other state machine:
//
//	p, refusal := shardmaster.Prepare(args)   // anywhere: refuses what is wrong in itself
//	m.Begin(slot, logTime)                    // once per slot
//	reply = m.Apply(reply[:0], p.Encoded)     // a change
//	reply, ok := m.Query(reply, now, p.Encoded) // a read; writes no log
//
// It guarantees:
//
//   - Every config follows from the one before by one change, and there is one of
//     each number. The same log gives the same configs everywhere.
//   - All changes can be repeated: what is so already changes nothing and answers the
//     number of the newest config.
//   - JOIN, LEAVE and BALANCE leave groups whose sizes differ by at most one shard,
//     with the fewest moves that this takes. MOVE is kept until the next of these.
//   - Every config that a group may still have to take is kept; so is the newest.
//
// It leaves to others: how a group takes a config (package kv), whether a group is
// up, and what a client does with a config.
//
// The commands are those of one RESP command:
//
//	DISKV.SHARDS JOIN gid addr... [IF num]       a group joins, or has new addresses
//	DISKV.SHARDS LEAVE gid [IF num]              its shards go to the others
//	DISKV.SHARDS MOVE first[-last] gid [IF num]  these shards go to that group
//	DISKV.SHARDS BALANCE [IF num]                evens out what MOVE has done
//	DISKV.SHARDS PASSED gid num drained          a group says how far it is
//	DISKV.SHARDS QUERY [num]                     a config, encoded; the newest
//	DISKV.SHARDS GROUPS                          how far the groups are
//
// A change answers the number of the newest config. IF num refuses it unless the
// newest config is num.
package shardmaster
