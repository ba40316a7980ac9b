package sim

import (
	"math/bits"
	"strings"
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// checker watches every disk and every message, and knows so at every moment
// what is chosen, whether or not any member knows it yet. It holds the group to
// this:
//
//   - one ballot proposes one value in a slot
//   - a slot has one chosen value for ever, and no higher ballot accepts another
//   - a commit index covers nothing that is not chosen
//   - a Prepare, a Promise and an Accepted leave only when what they say is on
//     the sender's disk
//   - a Promise reports all that its sender's disk holds from its first slot on,
//     under the highest ballot
//   - every member makes the same of the log: history and state are equal at
//     equal slots
//   - a command is in the log once, unless it is an operation of a session, which
//     clients repeat; one that was acknowledged is in the log
//   - a read is answered from a state that has everything that any member had
//     applied when it was asked, whatever the key
//   - what a member applied is in its log when it comes back
//   - log time stays with the clocks of the majority
type checker struct {
	w       *group
	slots   []slotFacts // by slot
	through paxos.Slot  // every slot up to here is chosen
	highest paxos.Slot  // highest that any member has applied
	quorum  int
	members []memberFacts
	lives   livesFacts
}

// slotFacts is what is known of a slot.
type slotFacts struct {
	accepted []acceptance
	chosen   bool
	ballot   paxos.Ballot // lowest under which it was chosen
	value    uint64       // that was chosen

	applied bool
	history uint64 // of the log up to here
	stated  bool
	state   [32]byte // digest of the state at this slot
}

// acceptance is a ballot's value in a slot.
type acceptance struct {
	ballot  paxos.Ballot
	value   uint64
	durable uint8 // members that hold it, a bit each
}

// memberFacts is what is known of a member, over all its processes.
type memberFacts struct {
	promised  paxos.Ballot // durably
	newest    []heldValue  // by slot
	verified  paxos.Slot   // commit index up to which newest was compared
	applied   paxos.Slot   // highest ever
	commit    paxos.Slot   // of this process
	appliedBy paxos.Slot   // this process
	resumeAt  paxos.Slot   // highest slot that was applied before the process began
	vote      paxos.Ballot // of the newest Accepted
	voted     paxos.Slot   // up to which it was verified
	noted     notedStarts
}

// heldValue is what a member accepted last in a slot.
type heldValue struct {
	ballot paxos.Ballot
	value  uint64
}

func newChecker(w *group) *checker {
	return &checker{w: w, quorum: w.plan.size/2 + 1, members: make([]memberFacts, w.plan.size), lives: livesFacts{named: make(map[uint64]paxos.Rejoin)}}
}

// slot returns the facts of a slot. They stay valid until the next call.
func (c *checker) slot(s paxos.Slot) *slotFacts {
	for paxos.Slot(len(c.slots)) <= s {
		c.slots = append(c.slots, slotFacts{})
	}
	return &c.slots[s]
}

// valueOf names what is in an entry.
func valueOf(e paxos.Entry) uint64 { return hash(e.Value) ^ uint64(e.Kind) }

// proposed notes that a ballot has a value in a slot.
func (c *checker) proposed(e paxos.Entry) *acceptance {
	f := c.slot(e.Slot)
	value := valueOf(e)
	for i := range f.accepted {
		if a := &f.accepted[i]; a.ballot == e.Ballot {
			if a.value != value {
				c.w.fail("slot %d has two values under ballot %v", e.Slot, e.Ballot)
			}
			return a
		}
	}
	if n := len(f.accepted); n > 0 {
		if f.accepted[n-1].value == value {
			c.w.mark(MarkReproposed)
		} else {
			c.w.mark(MarkOverwritten)
		}
	}
	if f.chosen && f.ballot.Less(e.Ballot) && f.value != value {
		c.w.fail("slot %d is chosen under ballot %v and has another value under ballot %v", e.Slot, f.ballot, e.Ballot)
	}
	f.accepted = append(f.accepted, acceptance{ballot: e.Ballot, value: value})
	return &f.accepted[len(f.accepted)-1]
}

// entryOf reads a record of the log: the commit index and the entry. It reports
// false for a hard state.
func (c *checker) entryOf(r replica.Record) (paxos.Entry, bool) {
	if r.Kind != replica.RecordEntry {
		return paxos.Entry{}, false
	}
	e, err := paxos.DecodeEntry(r.Payload[8:])
	if err != nil || e.Slot != r.Slot {
		c.w.fail("log record of slot %d: %v", r.Slot, err)
	}
	return e, true
}

// appended is told of a record that a member has asked of its log.
func (c *checker) appended(r replica.Record) {
	if e, ok := c.entryOf(r); ok {
		c.proposed(e)
	}
}

// durable is told of a record that a member's disk has.
func (c *checker) durable(n *node, r replica.Record) {
	m := &c.members[n.id]
	e, ok := c.entryOf(r)
	if !ok {
		c.promised(n, r.Payload)
		return
	}
	for paxos.Slot(len(m.newest)) <= e.Slot {
		m.newest = append(m.newest, heldValue{})
	}
	m.newest[e.Slot] = heldValue{ballot: e.Ballot, value: valueOf(e)}
	if m.promised.Less(e.Ballot) {
		m.promised = e.Ballot // to accept is to promise
	}
	a := c.proposed(e)
	if e.Kind == paxos.KindRejoin {
		c.rejoin(n, e)
	}
	if !c.counts(n) {
		return
	}
	a.durable |= 1 << n.id
	if bits.OnesCount8(a.durable) == c.quorum {
		c.choose(e.Slot, *a)
	}
}

// promised is told of a hard state that a member's disk has, in the log or in a
// snapshot.
func (c *checker) promised(n *node, state []byte) {
	h, err := paxos.DecodeHardState(state)
	if err != nil {
		c.w.fail("member %d: %v", n.id, err)
		return
	}
	if m := &c.members[n.id]; m.promised.Less(h.Promised) {
		m.promised = h.Promised
	}
}

// choose notes that a quorum holds a value.
func (c *checker) choose(s paxos.Slot, a acceptance) {
	f := c.slot(s)
	if f.chosen {
		if f.value != a.value {
			c.w.fail("slot %d is chosen twice, under ballot %v and with another value under ballot %v", s, f.ballot, a.ballot)
		}
		if a.ballot.Less(f.ballot) {
			f.ballot = a.ballot
		}
		return
	}
	f.chosen, f.ballot, f.value = true, a.ballot, a.value
	for _, o := range f.accepted {
		if a.ballot.Less(o.ballot) && o.value != a.value {
			c.w.fail("slot %d is chosen under ballot %v, and was accepted with another value under ballot %v", s, a.ballot, o.ballot)
		}
	}
	for c.through+1 < paxos.Slot(len(c.slots)) && c.slots[c.through+1].chosen {
		c.through++
		c.chosenThrough(c.through)
	}
}

// sent is told of a message that leaves a member.
func (c *checker) sent(e paxos.Envelope) {
	c.lived(e)
	m := &c.members[e.From]
	switch msg := e.Message.(type) {
	case paxos.Prepare:
		if m.promised.Less(msg.Ballot) {
			c.w.fail("member %d sends a Prepare of ballot %v, on its disk is a promise of %v", e.From, msg.Ballot, m.promised)
		}
	case paxos.Promise:
		if m.promised.Less(msg.Ballot) {
			c.w.fail("member %d sends a Promise of ballot %v, on its disk is one of %v", e.From, msg.Ballot, m.promised)
		}
		if msg.More {
			c.w.mark(MarkPromisePaged)
		}
		c.knowsChosen(e, msg.Commit)
		c.reported(e.From, msg)
	case paxos.Accepted:
		c.voted(e.From, msg)
	case paxos.Accept:
		c.knowsChosen(e, msg.Commit)
		for _, entry := range msg.Entries {
			entry.Ballot = msg.Ballot
			c.proposed(entry)
		}
	case paxos.Heartbeat:
		c.knowsChosen(e, msg.Commit)
	case paxos.HeartbeatAck:
		if msg.Gap {
			c.w.mark(MarkGap)
		}
	case paxos.PreVoteReply:
		if !msg.Granted {
			c.w.mark(MarkPreVoteRefused)
		}
	case paxos.Nack:
		c.w.mark(MarkNack)
	case paxos.Handover:
		c.w.mark(MarkHandover)
	case paxos.Remembered:
		m.noted[e.To] = notedStart{nonce: msg.Nonce, boot: msg.Boot}
	}
}

// reported checks that a page of a Promise leaves nothing out.
func (c *checker) reported(id paxos.ReplicaID, m paxos.Promise) {
	if m.LogStart > m.From {
		return // it says that it cannot report all
	}
	held := c.members[id].newest
	for i := int(m.From); i < len(held); i++ {
		// What was accepted after the promise, the promise need not tell of.
		own := held[i].ballot
		if !own.Valid() || !own.Less(m.Ballot) {
			continue
		}
		k := i - int(m.From)
		switch {
		case k < len(m.Entries) && m.Entries[k].Ballot.Less(own):
			c.w.fail("member %d reports slot %d under ballot %v, on its disk it is under %v", id, i, m.Entries[k].Ballot, own)
		case k >= len(m.Entries) && !m.More:
			c.w.fail("member %d promises ballot %v and does not report slot %d, which it has accepted", id, m.Ballot, i)
		}
	}
}

// voted checks that a member holds what it says that it has accepted.
func (c *checker) voted(id paxos.ReplicaID, m paxos.Accepted) {
	f := &c.members[id]
	if f.promised.Less(m.Ballot) && c.w.plan.size > 1 {
		c.w.fail("member %d sends an Accepted of ballot %v, on its disk is a promise of %v", id, m.Ballot, f.promised)
	}
	if f.vote != m.Ballot {
		f.vote, f.voted = m.Ballot, 0
	}
	if c.w.nodes[id].disk.stale {
		return // its votes are not noted as such
	}
	for s := max(f.voted, f.commit) + 1; s <= m.Through; s++ {
		held := false
		for _, a := range c.slot(s).accepted {
			held = held || a.ballot == m.Ballot && a.durable>>id&1 == 1
		}
		if !held {
			c.w.fail("member %d says that it has accepted slot %d under ballot %v, which is not on its disk", id, s, m.Ballot)
			return
		}
	}
	f.voted = max(f.voted, m.Through)
}

func (c *checker) knowsChosen(e paxos.Envelope, commit paxos.Slot) {
	if commit > c.through {
		c.w.fail("member %d says in a %T that slot %d is chosen, which it is not", e.From, e.Message, commit)
	}
}

// delivered is told of a message that reaches a member.
func (c *checker) delivered(e paxos.Envelope) {
	c.haunted(e)
	if p, ok := e.Message.(paxos.Promise); ok && p.LogStart > p.From {
		c.w.mark(MarkStoodDown)
	}
}

// restarted is told that a process begins, from a snapshot.
func (c *checker) restarted(n *node, snapshot paxos.Slot) {
	m := &c.members[n.id]
	m.resumeAt = m.applied
	m.commit, m.verified, m.appliedBy = 0, snapshot, 0
	m.vote, m.voted = paxos.Ballot{}, 0
	clear(m.newest)
	for _, s := range n.disk.log.segments {
		for _, r := range s.records {
			c.durable(n, r)
		}
	}
}

// installed is told that a snapshot has taken the place of a member's state: what
// it accepted in those slots counts no more.
func (c *checker) installed(n *node, snapshot paxos.Slot) {
	m := &c.members[n.id]
	m.verified = max(m.verified, snapshot)
}

// status checks what a replica says of itself.
func (c *checker) status(n *node, st *replica.Status) {
	m := &c.members[n.id]
	switch {
	case st.Commit > c.through:
		c.w.fail("member %d has commit index %d, chosen is everything up to %d", n.id, st.Commit, c.through)
		return
	case st.Commit < m.commit:
		c.w.fail("member %d: the commit index went back from %d to %d", n.id, m.commit, st.Commit)
	case st.Applied < m.appliedBy:
		c.w.fail("member %d: applied went back from %d to %d", n.id, m.appliedBy, st.Applied)
	case n.disk.id.HasLog() && st.Last < m.resumeAt:
		c.w.fail("member %d came back with a log up to slot %d, it had applied slot %d", n.id, st.Last, m.resumeAt)
	case st.Applied != paxos.Slot(n.rep.Machine().(*machine).slot):
		c.w.fail("member %d says that it has applied slot %d, its state is of slot %d", n.id, st.Applied, n.rep.Machine().(*machine).slot)
	}
	m.commit, m.appliedBy = st.Commit, st.Applied
	m.applied = max(m.applied, st.Applied)
	for s := m.verified + 1; s <= st.Applied; s++ {
		if s < paxos.Slot(len(m.newest)) && m.newest[s].ballot.Valid() && m.newest[s].value != c.slot(s).value {
			c.w.fail("member %d has in slot %d, which it has applied, another value than the chosen one", n.id, s)
		}
	}
	m.verified = max(m.verified, st.Applied)
	c.logTime(n, st)
}

// logTime checks that no single wrong clock has moved log time ahead.
func (c *checker) logTime(n *node, st *replica.Status) {
	if c.w.plan.size < 3 {
		return
	}
	elapsed := int64(c.w.now)
	ahead := st.LogTime - (epoch + elapsed)
	if limit := int64(100*time.Millisecond) + int64(float64(elapsed)*c.w.maxDrift()); ahead > limit {
		c.w.fail("member %d: log time is %v ahead of the clocks of the majority", n.id, time.Duration(ahead))
	}
}

// applied compares the history that a member has made its own.
func (c *checker) applied(n *node, s paxos.Slot, history uint64) {
	f := c.slot(s)
	switch {
	case !f.chosen:
		c.w.fail("member %d applies slot %d, which is not chosen", n.id, s)
	case !f.applied:
		f.applied, f.history = true, history
		c.highest = max(c.highest, s)
	case f.history != history:
		c.w.fail("member %d has another history up to slot %d than the first that applied it", n.id, s)
	}
}

// executed is told of a command that a member applies, and of its reply. The first
// member to apply a slot makes it count.
func (c *checker) executed(m *machine, command, reply []byte) {
	n, s := m.node, paxos.Slot(m.slot)
	first := !c.slot(s).applied
	switch {
	case c.w.service == paxos.ServiceShardmaster:
		if first {
			c.w.moves.made(m.masters)
		}
		return
	case c.handsOver(command):
		c.w.moves.handedOver(m, reply, first)
		return
	case !first:
		return
	}
	op := c.commandOf(command)
	switch {
	case op == nil:
		c.w.fail("member %d applies in slot %d a command that no client sent", n.id, s)
		return
	case wrongShard(reply):
		c.w.mark(MarkRefusedInLog)
		return
	case c.w.service == paxos.ServiceSharded:
		c.w.moves.executed(m, op)
		if op.verb == verbTransact && !strings.HasPrefix(op.token, number(c.w.id)+"-") {
			c.w.mark(MarkTransactionMoved)
		}
	}
	refused := isError(reply)
	switch {
	case refused && op.applied == 0:
	case op.applied == 0:
		op.applied, op.by, op.outcome = c.w.now, c.w, string(reply)
	case !op.once:
		c.w.fail("member %d applies in slot %d %v, which was applied before, at %v", n.id, s, op, op.applied)
	case refused:
		c.w.mark(MarkLateRefused)
		if op.by != c.w {
			c.w.mark(MarkLateRefusedElsewhere)
		}
	case op.outcome != string(reply):
		c.w.fail("member %d applies in slot %d %v again, with the result %q; at %v it was %q", n.id, s, op, reply, op.applied, op.outcome)
	case op.by != c.w:
		c.w.mark(MarkRetryElsewhere)
	}
}

// answered is told of a result that has reached the client, from a member that had
// then applied a slot.
func (c *checker) answered(a *attempt, applied paxos.Slot, refused bool) {
	op := a.op
	if a.reads() {
		if applied < a.floor {
			c.w.fail("client %d: %v was answered from the state of slot %d; slot %d had been applied before it was asked",
				op.client, op, applied, a.floor)
		}
	} else if op.applied == 0 && !refused {
		c.w.fail("client %d got a result of %v, which no member has applied", op.client, op)
	}
}

// state compares the state that a member has at a slot.
func (c *checker) state(n *node, s paxos.Slot, digest [32]byte) {
	f := c.slot(s)
	if !f.stated {
		f.stated, f.state = true, digest
	} else if f.state != digest {
		c.w.fail("member %d has another state at slot %d than the first that was there", n.id, s)
	}
}

// event is told of a line for the operator.
func (c *checker) event(n *node, e replica.Event) {
	if c.w.verbose() {
		c.w.printf("member %d: %s %v", n.id, e.Text, e.Attrs)
	}
	switch e.Text {
	case "sending a snapshot":
		c.w.mark(MarkTransfer)
	case "transfer of a snapshot given up":
		c.w.mark(MarkTransferEnded)
	}
}
