package server

import (
	"bytes"
	"slices"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
)

// request is one command of a client on its way through the replica. The loop
// writes the outcome; the client reads it after the batch is done.
type request struct {
	batch   *batch
	encoded []byte
	shard   shard.ID
	keyed   bool
	count   counting
	keys    [][]byte        // that the client may cache with the reply
	loose   bool            // it is no use to track the keys; see client.cached
	outcome replica.Outcome // zero: none, the node has ended
	reply   []byte          // RESP3
	slot    paxos.Slot      // of a write that was executed
}

// batch is a run of requests of one client, all writes or all reads of one kind, that are
// under way together. One client has one at a time: so a read sees the writes
// that its connection sent before it, and not those behind it.
type batch struct {
	write bool
	stale bool          // reads that are answered from what this member has applied
	reqs  []request     // not moved while they are under way
	left  int           // the loop's: without an outcome
	done  chan struct{} // has room for one
	// shared is the client, if that is to be carried on when all have an outcome; nil: it
	// waits for done.
	shared *shared
	allow  replica.Allowance
	// tracker is that of the client, or nil.
	tracker *tracker
}

// maxReplies is for how many bytes of replies the reads of one run are executed, but for
// the reply that exceeds it. The rest is, when those have been sent.
const maxReplies = 4 << 20

// submit puts the batch before the replica.
func (b *batch) submit(r *replica.Replica) {
	b.left = len(b.reqs)
	b.allow = replica.Allowance{Bytes: maxReplies}
	for i := range b.reqs {
		req := &b.reqs[i]
		for _, key := range req.keys {
			if !req.loose {
				b.tracker.table.note(b.tracker, key)
			}
		}
		switch {
		case b.write:
			r.Propose(req, req.encoded)
		case b.stale:
			req.readApplied(r)
		default:
			r.ReadWithin(req, req.encoded, &b.allow)
		}
	}
}

// maxHeld bounds the replies of commands that cannot be executed in parts when they turn
// out large, as reads can: those of writes that return values, and those that another
// member sends. Each counts as if it were as large as it can be.
const maxHeld = 64 << 20

// mayReturn returns how large the reply of a command on keys can be, but for a command
// that asks for several values; zero if it is small in any case.
func (n *Node) mayReturn(s *kv.Spec, args [][]byte) int {
	switch s.Name {
	case "getdel", "getex", "getset":
		return n.opts.MaxValueBytes
	case "set":
		if !slices.ContainsFunc(args[3:], func(arg []byte) bool { return bytes.EqualFold(arg, []byte("GET")) }) {
			return 0
		}
		return n.opts.MaxValueBytes
	case "diskv.once":
		return n.allMayReturn([][][]byte{args[onceWords:]})
	case "diskv.exec":
		_, commands, _ := kv.ReadTransaction(args)
		return n.allMayReturn(commands)
	}
	if s.Flags&kv.ReadOnly != 0 {
		return n.opts.MaxValueBytes
	}
	return 0
}

// allMayReturn returns the sum of that for some commands, but at most maxHeld.
func (n *Node) allMayReturn(commands [][][]byte) int {
	held := 0
	for _, args := range commands {
		if s, ok := kv.Find(args); ok && held < maxHeld {
			held += n.mayReturn(s, args)
		}
	}
	return min(held, maxHeld)
}

// readApplied answers a stale read at once. What is applied was carried out before.
func (req *request) readApplied(r *replica.Replica) {
	allow := &req.batch.allow
	if allow.Bytes <= 0 {
		req.finish(replica.Reply{Outcome: replica.Deferred})
		return
	}
	data, ok := r.ReadApplied(req.encoded)
	if !ok {
		req.finish(replica.Reply{Outcome: replica.NotLeader})
		return
	}
	allow.Bytes -= len(data)
	req.finish(replica.Reply{Outcome: replica.Done, Data: data})
}

// finish takes the replica's answer.
func (req *request) finish(reply replica.Reply) {
	req.outcome, req.reply, req.slot = reply.Outcome, reply.Data, reply.Slot
	req.batch.left--
	if req.batch.left > 0 {
		return
	}
	if s := req.batch.shared; s != nil {
		s.poller.gathered = append(s.poller.gathered, s)
	} else {
		req.batch.done <- struct{}{}
	}
}

// undone tells, of a request that has come back, whether it is certain that it was not
// executed and never will be.
func (req *request) undone(write bool) bool {
	switch req.outcome {
	case replica.Done:
		return wrongShard(req.reply)
	case replica.NotLeader, replica.Overloaded:
		return true
	default:
		return req.outcome == 0 && !write
	}
}
