package replica

import (
	"fmt"
	"slices"
	"time"

	"diskv/paxos"
)

// proposals are the commands on their way through the log.
type proposals struct {
	queue   []command                // wait for a slot
	waiting map[paxos.Slot]*proposal // have one, and are not applied
	bytes   int                      // of queue and waiting
}

// command is a command that waits for a slot.
type command struct {
	token Token
	bytes []byte
	since time.Duration
}

// proposal is what this replica has put into a slot.
type proposal struct {
	origin   paxos.Ballot
	tokens   []Token
	since    time.Duration // when the first of the commands came
	proposed time.Duration
	bytes    int
}

// Propose asks for a command to be executed through the log. The command must
// not change afterwards.
func (r *Replica) Propose(t Token, cmd []byte) {
	p := &r.proposals
	switch {
	case !r.leading:
		r.reply(t, NotLeader, nil)
	case p.bytes > 0 && p.bytes+len(cmd) > r.opts.MaxQueueBytes:
		r.reply(t, Overloaded, nil)
	default:
		p.queue = append(p.queue, command{token: t, bytes: cmd, since: r.now.Mono})
		p.bytes += len(cmd)
	}
}

// proposeQueue puts what waits into slots. There is no timer: while one batch
// is being synced the next one gathers.
func (r *Replica) proposeQueue() {
	p := &r.proposals
	for len(p.queue) > 0 && r.core.Unsynced() < r.opts.MaxUnsynced {
		n, size := 0, 0
		for n < len(p.queue) && (n == 0 || size+len(p.queue[n].bytes) <= r.opts.MaxBatchBytes) {
			size += len(p.queue[n].bytes)
			n++
		}
		tokens, cmds := make([]Token, n), make([][]byte, n)
		for i, c := range p.queue[:n] {
			tokens[i], cmds[i] = c.token, c.bytes
		}
		slot, ok := r.proposeBatch(cmds)
		if !ok {
			return
		}
		if p.waiting[slot] != nil {
			panic(fmt.Sprintf("replica %d: slot %d proposed twice", r.id.Index, slot))
		}
		p.waiting[slot] = &proposal{
			origin: r.core.Promised(), tokens: tokens, since: p.queue[0].since, proposed: r.now.Mono, bytes: size,
		}
		clear(p.queue[:n])
		p.queue = p.queue[n:]
	}
}

// proposeBatch proposes a batch with the leader's time.
func (r *Replica) proposeBatch(cmds [][]byte) (paxos.Slot, bool) {
	size := batchHeaderBytes
	for _, c := range cmds {
		size += 4 + len(c)
	}
	b := Batch{Origin: r.core.Promised(), Time: r.leaderTime(), Commands: cmds}
	return r.core.Propose(paxos.KindBatch, appendBatch(make([]byte, 0, size), b))
}

// settle answers what this replica had proposed in a slot that is applied now.
// If another value was chosen there, the commands were not executed and never
// will be: they were proposed in no other slot.
func (r *Replica) settle(s paxos.Slot, b Batch, replies [][]byte) {
	p := r.proposals.waiting[s]
	if p == nil {
		return
	}
	delete(r.proposals.waiting, s)
	r.proposals.bytes -= p.bytes
	if p.origin == b.Origin {
		r.out.Decided = append(r.out.Decided, Decided{Proposed: p.proposed, Commands: len(p.tokens), Bytes: p.bytes})
	}
	for i, t := range p.tokens {
		if p.origin == b.Origin {
			r.out.Replies = append(r.out.Replies, Reply{Token: t, Outcome: Done, Data: replies[i], Slot: s})
		} else {
			r.reply(t, NotLeader, nil)
		}
	}
}

// dropQueue refuses what has no slot yet: this replica no longer leads.
// Commands that have a slot wait on: a later leader may propose them again.
func (r *Replica) dropQueue() { r.refuseQueue(len(r.proposals.queue)) }

// refuseQueue refuses the first n commands of the queue.
func (r *Replica) refuseQueue(n int) {
	p := &r.proposals
	for _, c := range p.queue[:n] {
		r.reply(c.token, NotLeader, nil)
		p.bytes -= len(c.bytes)
	}
	clear(p.queue[:n])
	p.queue = p.queue[n:]
}

// expireRequests ends what has waited for too long.
func (r *Replica) expireRequests() {
	limit := r.now.Mono - r.opts.RequestTimeout
	old := 0
	for old < len(r.proposals.queue) && r.proposals.queue[old].since < limit {
		old++
	}
	r.refuseQueue(old)
	r.forget(func(_ paxos.Slot, p *proposal) bool { return p.since < limit })
	r.expireQueries(limit)
}

// forgetThrough gives up the proposals up to slot s: a snapshot says what their
// effect is, but not what they were answered.
func (r *Replica) forgetThrough(s paxos.Slot) {
	r.forget(func(slot paxos.Slot, _ *proposal) bool { return slot <= s })
}

// forget answers as unknown the proposals for which f holds, in slot order.
func (r *Replica) forget(f func(paxos.Slot, *proposal) bool) {
	var slots []paxos.Slot
	for s, p := range r.proposals.waiting {
		if f(s, p) {
			slots = append(slots, s)
		}
	}
	slices.Sort(slots)
	for _, s := range slots {
		p := r.proposals.waiting[s]
		delete(r.proposals.waiting, s)
		r.proposals.bytes -= p.bytes
		for _, t := range p.tokens {
			r.reply(t, Unknown, nil)
		}
	}
}

func (r *Replica) reply(t Token, o Outcome, data []byte) {
	r.out.Replies = append(r.out.Replies, Reply{Token: t, Outcome: o, Data: data})
}
