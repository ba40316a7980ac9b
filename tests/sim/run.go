package sim

import (
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
)

// Options say what to simulate.
type Options struct {
	Seed   uint64
	Ops    int       // operations that clients do while faults happen
	Groups bool      // several groups and shardmasters, in place of one group
	Trace  io.Writer // gets a line for what happens, if not nil

	sabotage func(*replica.Output) // breaks the driver, to test the checks
}

// Result says how a run went.
type Result struct {
	Seed   uint64
	Plan   string        // what was drawn at the beginning, in words
	Trace  uint64        // fingerprint of everything that happened, in order
	Marks  Marks         // what happened, counted
	Time   time.Duration // virtual
	Events int
	Slots  int // of the log that were chosen
	Err    error
}

// world is all that is simulated.
type world struct {
	schedule
	seed  uint64
	ops   int
	load  load
	trace trace
	marks Marks
	err   error // the first promise that was broken

	calm     bool // the faults have stopped
	calmAt   time.Duration
	sabotage func(*replica.Output)

	groups  []*group // all
	stores  []*group // those that hold keys
	clients []*client

	// Of a run with several groups.
	masters  *group
	operator *operator
	moves    *moves

	keys    []keyUse
	issued  int // operations
	markers int
	history []*operation
}

// Bounds in virtual time.
const (
	// maxFaults is how long the faults go on at most. The operations that are
	// left then are done without them.
	maxFaults = 30 * time.Second
	// maxSettle is how long a group takes at most, once the faults have
	// stopped, until it has a leader, every member has caught up and every
	// client has its answers.
	maxSettle = 20 * time.Second
	// maxOperation is how much longer it may take for each operation that was still
	// to be done when the faults stopped.
	maxOperation = 100 * time.Millisecond
	// maxLate is how long after that messages from before still come.
	maxLate = time.Second
	// maxFinal is how long the last operations take together.
	maxFinal = 5 * time.Second
)

// Run simulates a group. What goes wrong is in the Result, never a panic.
func Run(o Options) (res Result) {
	w := &world{
		seed: o.Seed, ops: o.Ops,
		trace:    trace{out: o.Trace},
		sabotage: o.sabotage,
	}
	if o.Groups {
		w.drawGroups(newDice(o.Seed, 6))
	} else {
		w.add(1, paxos.ServicePlain)
	}
	w.load = w.stores[0].plan.load
	if o.Groups {
		w.drawLoad(newDice(o.Seed, 8))
	}
	defer func() {
		if p := recover(); p != nil {
			w.fail("panic: %v\n%s", p, debug.Stack())
		}
		res = Result{
			Seed: o.Seed, Plan: w.plans(), Trace: w.trace.sum, Marks: w.marks,
			Time: w.now, Events: w.done, Slots: w.slots(), Err: w.err,
		}
	}()
	w.printf("seed %d: %v", o.Seed, w.plans())
	w.build()
	for _, g := range w.groups {
		g.startFaults()
		g.startDoom()
	}
	if w.moves != nil {
		w.startMoves()
	}
	g := w.groups[0]
	w.runUntil(maxFaults, func() bool { return w.issued >= w.ops || g.doomed && w.now > g.doomAt+maxDoomed })
	if g.doomed {
		g.standStill()
	} else {
		w.settle()
		w.finalOperations()
		w.tolerate()
	}
	if w.err == nil {
		w.checkHistory()
	}
	return res
}

// plans tells what was drawn at the beginning.
func (w *world) plans() string {
	s := w.groups[0].plan.String()
	for _, g := range w.groups[1:] {
		s += "\n" + g.name() + g.plan.String()
	}
	return s
}

// add adds a group.
func (w *world) add(id shard.GroupID, service paxos.Service) {
	g := newGroup(w, id, service)
	w.groups = append(w.groups, g)
	if service == paxos.ServiceShardmaster {
		w.masters = g
	} else {
		w.stores = append(w.stores, g)
	}
}

// slots returns how many slots were chosen.
func (w *world) slots() int {
	n := 0
	for _, g := range w.groups {
		n += int(g.check.through)
	}
	return n
}

// build makes the members and the clients, and starts them.
func (w *world) build() {
	w.addKeys()
	if w.moves != nil {
		w.addKeys()
	}
	for _, g := range w.groups {
		g.build()
	}
	for i := range w.load.clients {
		c := newClient(w, i)
		w.clients = append(w.clients, c)
		w.after(c.dice.around(50*time.Millisecond), c.run)
	}
}

// addKeys adds some keys of each kind to those that clients use.
func (w *world) addKeys() {
	for _, kind := range []byte{keyRegister, keyRegister, keyRegister, keyCounter, keyList, keyList, keyVolatile} {
		w.keys = append(w.keys, keyUse{kind: kind, number: 1000 * len(w.keys)})
		w.keys[len(w.keys)-1].renew()
	}
}

// runUntil lets time pass until done reports true, for so long at most. It
// reports whether done did.
func (w *world) runUntil(limit time.Duration, done func() bool) bool {
	end := w.now + limit
	for w.err == nil && w.now < end {
		if done() {
			return true
		}
		if !w.next() {
			return done()
		}
	}
	return false
}

// settle stops the faults and waits until the group is whole again.
func (w *world) settle() {
	if w.err != nil {
		return
	}
	w.stopFaults()
	limit := maxSettle + time.Duration(max(0, w.ops-w.issued))*maxOperation
	if !w.runUntil(limit, w.settled) && w.err == nil {
		w.fail("%v after the faults have stopped: %s", limit, w.state())
	}
}

// stopFaults begins the calm.
func (w *world) stopFaults() {
	w.printf("the faults stop")
	w.calm, w.calmAt = true, w.now
	for _, g := range w.groups {
		g.calmDown()
	}
	if w.moves != nil && len(w.moves.configs) == 1 {
		w.operator.tell(w.operator.join(w.stores[0]))
	}
}

// settled reports whether every group is whole again, and no client waits.
func (w *world) settled() bool {
	for _, c := range w.clients {
		if c.op != nil || !c.idle {
			return false
		}
	}
	return w.now > w.calmAt+maxLate && w.whole()
}

// whole reports whether every group agrees, and every shard is where it belongs.
func (w *world) whole() bool { return w.agreed() && (w.moves == nil || w.moves.settled()) }

func (w *world) agreed() bool {
	for _, g := range w.groups {
		if !g.agreed() {
			return false
		}
	}
	return true
}

// finalOperations reads and writes every key once more. The group is whole, so
// each has to succeed soon.
func (w *world) finalOperations() {
	if w.err != nil {
		return
	}
	c := w.clients[0]
	var ops []*operation
	keys := make(map[string]bool)
	for _, op := range w.history {
		if !keys[op.key] {
			keys[op.key] = true
			ops = append(ops, &operation{key: op.key})
			if op.key[0] == keyRegister {
				ops = append(ops,
					&operation{key: op.key, verb: verbPut, arg: w.marker(c.dice)},
					&operation{key: op.key})
			}
		}
	}
	// It may be told once who leads. Of several groups it may ask all before one knows
	// which has the shard.
	most := 2
	if w.moves != nil {
		most = len(w.stores) + 3
	}
	check := func(op *operation) {
		if op.tries > most || op.ret == never {
			w.fail("after the faults have stopped, %v took %d attempts", op, op.tries)
		}
	}
	if !w.finish(ops, maxFinal, check) || !w.runUntil(maxFinal, w.whole) {
		w.fail("%v after the group has settled, operations are left, or members do not agree: %s", maxFinal, w.state())
	}
	if w.err == nil {
		if w.moves != nil {
			w.moves.checkPlaces()
		}
		for _, g := range w.groups {
			for _, n := range g.nodes {
				n.rep.Machine().(*machine).compare()
			}
		}
	}
}

// finish has the first client do operations, one after the other, and reports
// whether they were all done in time. Check looks at each, if it is not nil.
func (w *world) finish(ops []*operation, within time.Duration, check func(*operation)) bool {
	c := w.clients[0]
	var next func()
	next = func() {
		if len(ops) == 0 {
			return
		}
		op := ops[0]
		op.then = func(op *operation) {
			if check != nil {
				check(op)
			}
			ops = ops[1:]
			next()
		}
		w.record(op)
		c.begin(op)
	}
	next()
	return w.runUntil(within, func() bool { return len(ops) == 0 })
}

func (w *world) state() string {
	s := ""
	for _, c := range w.clients {
		if c.op != nil {
			s += fmt.Sprintf("\n  client %d waits for %v, attempt %d", c.id, c.op, c.op.tries)
		}
	}
	for _, g := range w.groups {
		s += g.state()
	}
	return s
}

// fail notes the first promise that was broken. The run ends with it.
func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("seed %d, at %v: "+format, append([]any{w.seed, w.now}, args...)...)
		w.printf("%v", w.err)
	}
}

func (w *world) mark(m Mark) { w.marks[m]++ }
