package sim

import (
	"bytes"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
)

// client does one operation after the other. It asks a member, follows the
// leader that members name, and tries again where that is safe: after a refusal,
// with a read, and with an operation of its session, which the group executes
// once however often it is sent.
type client struct {
	w    *world
	at   *group // that it asks
	id   int
	dice dice

	reads   float64       // share of operations that are reads, whatever the key
	think   time.Duration // mean wait between two operations
	op      *operation    // under way
	try     *attempt      // of op, that may still be answered
	target  paxos.ReplicaID
	targets []paxos.ReplicaID   // of the other groups, by index
	places  map[shard.ID]*group // where shards are, as far as was heard
	session kv.SessionID
	seq     uint64
	logTime int64 // newest that an answer has shown
	idle    bool
}

// attempt is one sending of an operation.
type attempt struct {
	client *client
	op     *operation
	phase  int
	at     *group
	to     paxos.ReplicaID
	floor  paxos.Slot // what any member had applied when this was sent
	ended  bool       // answered, or given up
}

func (a *attempt) reads() bool { return a.op.phaseReads(a.phase) }

func newClient(w *world, id int) *client {
	at := w.stores[id%len(w.stores)]
	c := &client{
		w: w, at: at, id: id, dice: newDice(w.seed, 200+uint64(id)),
		target: paxos.ReplicaID(id % at.plan.size), think: w.load.think,
		targets: make([]paxos.ReplicaID, len(w.stores)), places: make(map[shard.ID]*group),
	}
	if id > 0 && c.dice.chance(0.25) {
		// One that only reads is never held up by a write at a leader that has
		// lost the others, and so sees what that leader still answers.
		c.reads, c.think = 1, w.load.think/2
	}
	return c
}

// run does operations until there are no more to be done.
func (c *client) run() {
	op := c.w.nextOperation(c)
	if op == nil {
		c.idle = true
		return
	}
	c.begin(op)
}

// begin starts an operation.
func (c *client) begin(op *operation) {
	c.idle = false
	c.op = op
	op.call = c.w.now
	if c.w.moves != nil {
		op.tenure = c.w.moves.tenures[op.shard()].since
		if at := c.places[op.shard()]; at != nil {
			c.turn(at)
		}
	}
	if !c.w.calm && c.dice.chance(c.w.load.roam) {
		c.target = paxos.ReplicaID(c.dice.IntN(c.at.plan.size))
	}
	c.w.trace.note(c.w.now, noteCall, uint64(c.id), fingerprint([]byte(op.key)))
	c.send()
}

// send makes an attempt.
func (c *client) send() {
	w, g := c.w, c.at
	op := c.op
	op.tries++
	a := &attempt{client: c, op: op, phase: op.phase, at: g, to: c.target, floor: g.check.highest}
	c.try = a
	g.printf("client %d: %v, to member %d, attempt %d", c.id, op, c.target, op.tries)
	if w.calm || !c.dice.chance(g.plan.loss/2) {
		w.after(g.net.clientDelay(), func() {
			if !g.nodes[a.to].request(a) {
				w.after(g.net.clientDelay(), func() { c.refused(a) })
			}
		})
	}
	w.after(w.load.timeout, func() {
		if !a.ended && c.try == a {
			w.mark(MarkClientTimeout)
			c.noAnswer(a)
		}
	})
}

// refused is told that nobody listens: the request was certainly not taken.
func (c *client) refused(a *attempt) {
	if !a.ended {
		a.ended = true
		c.elsewhere()
		c.again()
	}
}

// reset is told that a member's process is gone, with every request it had.
func (c *client) reset(n *node) {
	if a := c.try; a != nil && a.at.nodes[a.to] == n && !a.ended {
		c.w.after(a.at.net.clientDelay(), func() {
			if !a.ended && c.try == a {
				c.noAnswer(a)
			}
		})
	}
}

// noAnswer ends an attempt of which nobody knows what has become.
func (c *client) noAnswer(a *attempt) {
	a.ended = true
	c.elsewhere()
	op := a.op
	if a.reads() || op.once {
		op.unsure = op.unsure || !a.reads()
		c.again()
		return
	}
	op.ret = never
	c.finish()
}

// answer is what a member says to an attempt, and how the member was then.
type answer struct {
	outcome replica.Outcome
	data    []byte
	leader  paxos.ReplicaID
	known   bool // leader is meaningful
	logTime int64
	applied paxos.Slot

	wrong bool   // the group does not serve the shard: it was not executed
	owner *group // that does, by the member's config, or nil
}

// answer takes a member's answer, which may be late.
func (c *client) answer(a *attempt, r answer) {
	w := c.w
	if a.ended || c.try != a || !w.calm && c.dice.chance(a.at.plan.loss/2) {
		return
	}
	w.trace.note(w.now, noteReturn, uint64(c.id)<<8|uint64(r.outcome), fingerprint(r.data))
	if r.wrong {
		a.ended = true
		c.redirected(a, r.owner)
		return
	}
	c.logTime = max(c.logTime, r.logTime)
	switch r.outcome {
	case replica.Done:
		a.ended = true
		a.at.check.answered(a, r.applied, isError(r.data))
		c.done(a, r.data, r.logTime)
	case replica.NotLeader:
		w.mark(MarkNotLeader)
		a.ended = true
		if r.known && r.leader != a.to {
			c.target = r.leader
		} else {
			c.elsewhere()
		}
		c.again()
	case replica.Overloaded:
		w.mark(MarkOverloaded)
		a.ended = true
		c.again()
	case replica.Unknown:
		w.mark(MarkUnknown)
		c.noAnswer(a)
	}
}

// redirected goes to the group that is said to have the shard, or waits until the
// one that was asked has it.
func (c *client) redirected(a *attempt, owner *group) {
	id := a.op.shard()
	switch owner {
	case a.at:
		c.w.mark(MarkAwaited)
	case nil:
		// That group has no config; another one may.
		c.turn(c.w.stores[(a.at.index+1)%len(c.w.stores)])
	default:
		c.w.mark(MarkRedirected)
		c.places[id] = owner
		c.turn(owner)
	}
	c.again()
}

// turn turns to a group.
func (c *client) turn(to *group) {
	if to != c.at {
		c.targets[c.at.index], c.target = c.target, c.targets[to.index]
		c.at = to
	}
}

// late has copies of an operation of a session come to any groups long after it was
// answered.
func (c *client) late(op *operation) {
	w := c.w
	for w.moves != nil && op.once && !w.calm && c.dice.chance(w.load.late) {
		w.after(c.dice.around(3*w.load.change), func() {
			at := w.stores[c.dice.IntN(len(w.stores))]
			if owner := w.ownerOf(w.moves.newest(), op.shard()); owner != nil && c.dice.chance(0.7) {
				at = owner
			}
			if leader := at.leader(); leader != nil && !w.calm {
				at.printf("a late copy of %v comes to member %d", op, leader.id)
				leader.request(&attempt{client: c, op: op, phase: op.phase, at: at, to: leader.id, ended: true})
			}
		})
	}
}

// beginSession is told that the session of an operation was born by another group's
// time, to which this one's, which is given, has not come. The operation was not
// executed now; unless an earlier attempt may have been, it can be done in another
// session.
func (c *client) beginSession(op *operation, logTime int64) {
	c.w.mark(MarkSessionAhead)
	c.session, c.seq = kv.NewSessionID(logTime, c.dice.Uint64()), 0
	if op.unsure {
		op.ret = never
		c.finish()
		return
	}
	c.seq++
	op.session, op.seq = c.session, c.seq
	c.again()
}

// done records the result of the operation under way.
func (c *client) done(a *attempt, data []byte, logTime int64) {
	w, op := c.w, a.op
	w.printf("client %d: %v: %q", c.id, op, data)
	if w.moves != nil && bytes.HasPrefix(data, []byte("-"+kv.CodeSessionInvalid)) {
		c.beginSession(op, logTime)
		return
	}
	if len(data) > 0 && data[0] == '-' {
		w.fail("client %d: %v: %s", c.id, op, bytes.TrimSpace(data))
		return
	}
	if op.verb == verbTransact && op.phase < phaseExec {
		c.onward(op, data)
		return
	}
	op.ret, op.reply = w.now, string(data)
	if op.verb == verbTransact && op.changedNothing() {
		w.mark(MarkTransactionFailed)
	} else if op.verb == verbTransact {
		w.mark(MarkTransactionDone)
	}
	switch {
	case op.once && op.unsure:
		w.mark(MarkRetryAnswered)
		fallthrough
	case !op.reads():
		w.mark(MarkWriteDone)
	default:
		w.mark(MarkReadDone)
		if a.at.plan.lease {
			w.mark(MarkReadDoneLease)
		}
	}
	c.finish()
}

// onward goes on with the next phase of a transaction, wherever its key is by then.
func (c *client) onward(op *operation, data []byte) {
	v, err := parseReply(data)
	if err != nil {
		c.w.fail("client %d: %v: %v", c.id, op, err)
		return
	}
	if op.phase == phaseWatch {
		op.token = string(v.Str)
	} else {
		op.arg = string(v.Str)
	}
	op.phase++
	c.try = nil
	wait := c.w.load.think / 4
	if c.w.moves != nil && !c.w.calm && c.dice.chance(0.1) {
		wait = 3 * c.w.load.change // the key goes elsewhere, and perhaps comes back
	}
	c.w.after(c.dice.around(wait), func() {
		if c.op == op {
			c.send()
		}
	})
}

// finish goes on to the next operation.
func (c *client) finish() {
	op := c.op
	c.op, c.try = nil, nil
	c.late(op)
	if op.then != nil {
		op.then(op)
		return
	}
	c.w.after(c.dice.around(c.think), c.run)
}

// again makes another attempt, after a wait.
func (c *client) again() {
	op := c.op
	c.try = nil
	c.w.after(c.dice.between(time.Millisecond, 40*time.Millisecond), func() {
		if c.op == op {
			c.send()
		}
	})
}

// elsewhere turns to another member.
func (c *client) elsewhere() {
	c.target = paxos.ReplicaID((int(c.target) + 1) % c.at.plan.size)
}

// isError reports whether a reply is an error.
func isError(reply []byte) bool { return len(reply) > 0 && reply[0] == '-' }
