package replica

import (
	"time"

	"diskv/paxos"
)

// reads are the queries that wait for the right to be answered.
type reads struct {
	next    []query            // gather for the next confirmation
	groups  map[uint64][]query // wait for the confirmation of that number
	lastID  uint64
	expired []query    // confirmed; wait for a time entry
	want    bool       // a time entry is wanted
	slot    paxos.Slot // of the time entry that expired waits for; zero if none
}

// Allowance bounds the memory that the replies of some queries take together. It is the
// replica's until all of them have their outcome.
type Allowance struct {
	Bytes int  // left for replies
	held  bool // one of the queries waits for a time entry, and with it those behind it
}

// query is a read that waits.
type query struct {
	token Token
	bytes []byte
	since time.Duration
	allow *Allowance // nil: none
	at    int64      // the time as of which it is answered; zero until confirmed
}

// Read asks for a query to be answered, linearizably. The query must not change
// afterwards.
func (r *Replica) Read(t Token, q []byte) { r.ReadWithin(t, q, nil) }

// ReadWithin is Read with a bound on the memory that replies take, which may be shared by
// queries that are asked together: the reply that exceeds it is still given, and queries
// behind that one are Deferred. Those that are Deferred are always the last.
func (r *Replica) ReadWithin(t Token, q []byte, allow *Allowance) {
	if !r.leading {
		r.reply(t, NotLeader, nil)
		return
	}
	r.reads.next = append(r.reads.next, query{token: t, bytes: q, since: r.now.Mono, allow: allow})
}

// ReadApplied answers a query at once from what this replica has applied: the state as
// of a slot, at the log time of that slot, which may be behind the leader's. It never goes
// back, as long as the process lives. ok is false on a replica that follows no leader, or
// that has lost its disk and has not got everything back.
func (r *Replica) ReadApplied(q []byte) (reply []byte, ok bool) {
	if r.core == nil || r.hasLostDisk() || !r.hasLeader {
		return nil, false
	}
	return r.machine.Query(nil, r.logTime, q)
}

// confirmQueries has the queries that have gathered confirmed, as one read.
func (r *Replica) confirmQueries() {
	rs := &r.reads
	if len(rs.next) == 0 {
		return
	}
	rs.lastID++
	rs.groups[rs.lastID] = rs.next
	rs.next = nil
	r.core.Read(rs.lastID)
}

// answerReads answers the queries whose confirmation has come or failed.
func (r *Replica) answerReads(states []paxos.ReadState) {
	rs := &r.reads
	for _, st := range states {
		group := rs.groups[st.ID]
		delete(rs.groups, st.ID)
		for _, q := range group {
			if !st.OK {
				r.reply(q.token, NotLeader, nil)
				continue
			}
			q.at = r.leaderTime()
			r.answer(q)
		}
	}
	if rs.slot != 0 && r.core.Applied() >= rs.slot {
		waiting := rs.expired
		rs.expired, rs.slot = nil, 0
		for _, q := range waiting {
			if q.allow != nil {
				q.allow.held = false
			}
		}
		for _, q := range waiting {
			r.answer(q)
		}
	}
}

// answer answers a confirmed query, or keeps it for after a time entry.
func (r *Replica) answer(q query) {
	if q.allow != nil && q.allow.held {
		r.reads.expired = append(r.reads.expired, q)
		return
	}
	if q.allow != nil && q.allow.Bytes <= 0 {
		r.reply(q.token, Deferred, nil)
		return
	}
	start := len(r.arena)
	reply, ok := r.machine.Query(r.arena, max(q.at, r.logTime), q.bytes)
	if !ok {
		if q.allow != nil {
			q.allow.held = true
		}
		r.reads.expired = append(r.reads.expired, q)
		r.reads.want = r.reads.slot == 0
		return
	}
	r.arena = reply
	if q.allow != nil {
		q.allow.Bytes -= len(reply) - start
	}
	r.reply(q.token, Done, reply[start:len(reply):len(reply)])
}

// proposeTime proposes an empty batch, if one is wanted, so that log time
// catches up with the leader's clock. It reports whether it did.
func (r *Replica) proposeTime() bool {
	rs := &r.reads
	if !rs.want || !r.leading {
		return false
	}
	rs.want = false
	slot, ok := r.proposeBatch(nil)
	if !ok {
		for _, q := range rs.expired {
			r.reply(q.token, NotLeader, nil)
		}
		rs.expired = nil
		return false
	}
	rs.slot = slot
	return true
}

// AdvanceTime has a leader propose an empty batch, so that log time comes up to its clock
// and what has expired by then goes, with nobody asking for it.
func (r *Replica) AdvanceTime() {
	if r.leading && r.reads.slot == 0 {
		r.reads.want = true
	}
}

// dropQueries refuses every query: this replica no longer leads. Those of a
// confirmation under way are refused by its outcome.
func (r *Replica) dropQueries() {
	rs := &r.reads
	for _, qs := range [][]query{rs.next, rs.expired} {
		for _, q := range qs {
			r.reply(q.token, NotLeader, nil)
		}
	}
	rs.next, rs.expired, rs.slot, rs.want = nil, nil, 0, false
}

// expireQueries refuses the queries that came before limit. A confirmation that
// comes later finds nothing to do.
func (r *Replica) expireQueries(limit time.Duration) {
	rs := &r.reads
	keep := func(qs []query) []query {
		n := 0
		for n < len(qs) && qs[n].since < limit {
			r.reply(qs[n].token, NotLeader, nil)
			n++
		}
		return qs[n:]
	}
	for id := rs.oldest(); id <= rs.lastID && id != 0; id++ {
		group, ok := rs.groups[id]
		if !ok {
			continue
		}
		if group = keep(group); len(group) == 0 {
			delete(rs.groups, id)
			continue
		}
		rs.groups[id] = group
		break // the rest is younger
	}
	rs.expired = keep(rs.expired)
}

// oldest returns the lowest number of a confirmation under way, or zero.
func (rs *reads) oldest() uint64 {
	var low uint64
	for id := range rs.groups {
		if low == 0 || id < low {
			low = id
		}
	}
	return low
}
