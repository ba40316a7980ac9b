package sim

import (
	"bytes"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
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
	session kv.SessionID
	seq     uint64
	logTime int64 // newest that an answer has shown
	idle    bool
}

// attempt is one sending of an operation.
type attempt struct {
	client *client
	op     *operation
	at     *group
	to     paxos.ReplicaID
	floor  paxos.Slot // what any member had applied when this was sent
	ended  bool       // answered, or given up
}

func newClient(w *world, id int) *client {
	at := w.groups[id%len(w.groups)]
	c := &client{
		w: w, at: at, id: id, dice: newDice(w.seed, 200+uint64(id)),
		target: paxos.ReplicaID(id % at.plan.size), think: w.load.think,
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
	a := &attempt{client: c, op: op, at: g, to: c.target, floor: g.check.highest}
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
	if op.reads() || op.once {
		op.unsure = true
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
}

// answer takes a member's answer, which may be late.
func (c *client) answer(a *attempt, r answer) {
	w := c.w
	if a.ended || c.try != a || !w.calm && c.dice.chance(a.at.plan.loss/2) {
		return
	}
	w.trace.note(w.now, noteReturn, uint64(c.id)<<8|uint64(r.outcome), fingerprint(r.data))
	c.logTime = max(c.logTime, r.logTime)
	switch r.outcome {
	case replica.Done:
		a.ended = true
		a.at.check.answered(a, r.applied)
		c.done(a, r.data)
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

// done records the result of the operation under way.
func (c *client) done(a *attempt, data []byte) {
	w, op := c.w, a.op
	w.printf("client %d: %v: %q", c.id, op, data)
	if len(data) > 0 && data[0] == '-' {
		w.fail("client %d: %v: %s", c.id, op, bytes.TrimSpace(data))
		return
	}
	op.ret, op.reply = w.now, string(data)
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

// finish goes on to the next operation.
func (c *client) finish() {
	op := c.op
	c.op, c.try = nil, nil
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
