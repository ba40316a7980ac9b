// Package replica is one replica as a pure function: the consensus core, the
// state machine, the position of everything in the log, the forming of the
// group and the snapshots, driven by inputs and read by outputs.
//
// It guarantees that what leaves it in an [Output] is safe to do in the order
// that the fields give, whatever is lost, repeated or late; that a command is
// answered as done only after it was applied from the replica's own durable
// log; and that the same inputs always give the same outputs. It leaves to its
// driver the sockets, the files and the clock; diskvd's driver and the
// simulation drive this same code.
//
//	r := replica.New(config)            // after a start: with what the snapshot held
//	for record in log { r.Replay(record) }
//	r.Start(now)
//	for {
//		inputs := take()            // first; a clock read before would be too early
//		r.Tick(now)
//		r.Receive(envelope)         // for each: Propose, Read, LogDurable, SnapshotSaved, ...
//		out := r.Output()
//		log.Append(out.Records)     // ends with an input LogDurable(out.Sync)
//		send(out.Messages)
//		hold(out.Sync, out.AfterSync)
//		answer(out.Replies)
//		...                         // each further field says what it asks for
//	}
//
// A Replica is not safe for concurrent use and starts no goroutine.
package replica
