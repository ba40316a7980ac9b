// Package client talks to a diskv cluster: it finds the leader of the group that
// serves a key, and executes every write exactly once, whatever crashes and
// wherever the key's shard moves meanwhile.
//
//	c, err := client.Open(ctx, "10.0.0.1:7379", "10.0.0.2:7379")
//	defer c.Close()
//	err = c.Put(ctx, "greeting", []byte("hello"))
//	n, err := c.Append(ctx, "log", []byte("line\n"))
//	value, ok, err := c.Get(ctx, "greeting")
//	v, err := c.Do(ctx, client.Update("INCRBY", "visits", "5"))
//	switch {
//	case errors.Is(err, client.ErrUnknownOutcome): // it may have been executed
//	case err != nil: // it was not, or this is what it answered
//	}
//
// Every call goes on until there is an answer or its context ends: redirects are
// followed, and lost connections, elections and moves of shards waited out, with
// pauses. So give contexts a deadline.
//
// Guarantees. A write whose call returned nil was executed exactly once, and is on
// the disks of a majority. One whose error wraps [ErrUnknownOutcome] was executed at
// most once, and may yet be. One with another error was not executed and will not
// be, except for [ErrReplyNotKept], and for an [ErrorReply] that is the answer of the
// command. Reads are linearizable. An error is never swallowed and an outcome never
// guessed.
//
// How: a write carries the id of a session and a number in it (DISKV.ONCE), and the
// group remembers the last number and its reply. What is sent again has the same
// number. A session has one write under way at a time, so there are as many as
// there were writes at once, up to [Options.MaxWrites]; they are replaced long before
// they expire. The write of a call that has ended without an answer keeps its
// number: the next one on its session has a higher one, which shuts out late copies
// wherever it was executed.
//
// Several commands in one go, if what they depend on has not changed, are a [Txn].
//
// What sessions cannot carry is refused: writes without a key, and, by the cluster,
// with keys of several shards (CROSSSLOT): use a {tag} in the keys, or one call for
// each.
//
// Goroutines share a few connections to each member and their commands travel
// together. Memory for a reply is bounded by [Options.MaxReplyBytes]. [Client.Close]
// leaves no goroutine behind.
//
// [Shardmaster] is the client of those who say which group owns which shard.
package client
