package server

import (
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
	outcome replica.Outcome // zero: none, the node has ended
	reply   []byte          // RESP3
}

// batch is a run of requests of one client, all writes or all reads, that are
// under way together. One client has one at a time: so a read sees the writes
// that its connection sent before it, and not those behind it.
type batch struct {
	write bool
	reqs  []request     // not moved while they are under way
	left  int           // the loop's: without an outcome
	done  chan struct{} // has room for one
}

// submit puts the batch before the replica.
func (b *batch) submit(r *replica.Replica) {
	b.left = len(b.reqs)
	for i := range b.reqs {
		req := &b.reqs[i]
		if b.write {
			r.Propose(req, req.encoded)
		} else {
			r.Read(req, req.encoded)
		}
	}
}

// finish takes the replica's answer.
func (req *request) finish(reply replica.Reply) {
	req.outcome, req.reply = reply.Outcome, reply.Data
	req.batch.left--
	if req.batch.left == 0 {
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
