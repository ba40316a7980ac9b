package sim

import (
	"time"

	"diskv/handover"
	"diskv/paxos"
	"diskv/replica"
)

// node is a member: its disk, its clocks and, while it runs, its process, which
// drives a replica as diskvd does. The rules of a driver:
//
//   - inputs are taken first and the clock is read then, so that nothing is
//     judged by a time before it arrived
//   - the fields of an output are carried out in their order
//   - what waits for a sync leaves when the log says that it has ended
//
// Between any two fields the process may stand still, or die.
type node struct {
	w     *group
	id    paxos.ReplicaID
	disk  *disk
	clock clock
	dice  dice

	rep    *replica.Replica // nil while there is no process
	life   int              // counts processes; what an earlier one waited for is void
	inbox  []func(*replica.Replica)
	awake  bool          // a step is scheduled
	busy   bool          // in the middle of an output
	paused time.Duration // until then the process stands still
	synced uint64        // newest sync that has ended
	held   []heldMessages
	led    bool // was leader after the last step
	began  time.Duration
	mover  *handover.Mover // of a group with shardmasters

	frozen   bool // the process stands still, and its monotonic clock with it
	frozenAt time.Duration
	image    *diskCopy // of the disk, taken some time ago
	joined   bool      // has been a member
	bySnap   bool      // a snapshot brought the Rejoin that lets it back
}

// heldMessages wait for a sync.
type heldMessages struct {
	sync     uint64
	messages []paxos.Envelope
}

func newNode(w *group, id paxos.ReplicaID) *node {
	n := &node{w: w, id: id, dice: w.newDice(100 + uint64(id))}
	n.disk = newDisk(w, n)
	n.clock.rate = 1 + (2*n.dice.Float64()-1)*w.plan.drift
	n.clock.wall = n.dice.between(-20*time.Millisecond, 20*time.Millisecond)
	n.disk.format(replica.PhaseForming)
	return n
}

// later has do called d from now, if the process is still the same.
func (n *node) later(d time.Duration, do func()) {
	life := n.life
	n.w.after(d, func() {
		if n.life == life {
			do()
		}
	})
}

// start begins a process from what the disk holds.
func (n *node) start() {
	w := n.w
	n.life++
	w.trace.note(w.now, noteStart, uint64(n.id), uint64(n.life))
	n.clock.restart(w.now, n.dice.between(0, 24*time.Hour))
	id, err := replica.DecodeIdentity(n.disk.identity)
	if err != nil {
		w.fail("member %d: %v", n.id, err)
		return
	}
	if n.disk.fork {
		id.Boot = n.disk.forkBoot // with every start that nobody hears of it would come to look less old
	}
	id.Boot++
	id.BootID = n.dice.Uint64()
	n.disk.store(id)

	cfg := replica.Config{Options: w.plan.replica, Identity: id, Peers: n.disk.peers, Rand: n.dice.Rand}
	m := newMachine(n)
	if id.HasLog() {
		if slot := n.disk.newestSnapshot(); slot != 0 {
			file := n.disk.snapshots[slot]
			loaded, err := decodeSnapshot(n, file)
			if err != nil {
				w.fail("member %d: %v", n.id, err)
				return
			}
			m = loaded.Machine.(*machine)
			m.compare()
			cfg.Snapshot = replica.SnapshotInfo{Slot: slot, Digest: digestOf(file), Size: int64(len(file))}
			cfg.Header = loaded.Header
			w.check.promised(n, loaded.Header.State)
			w.mark(MarkReplayFromSnapshot)
		}
	}
	cfg.Machine = m
	rep, err := replica.New(cfg)
	if err != nil {
		w.fail("member %d: %v", n.id, err)
		return
	}
	if id.HasLog() {
		w.mark(MarkReplay)
		w.check.restarted(n, cfg.Snapshot.Slot)
		if n.disk.log.id != id.LogID {
			w.fail("member %d: the log is not the one that IDENTITY names", n.id)
			return
		}
		for _, s := range n.disk.log.segments {
			for _, rec := range s.records {
				if err := rep.Replay(rec); err != nil {
					w.fail("member %d: replay: %v", n.id, err)
					return
				}
			}
		}
		m.compare()
	}
	n.rep, n.began = rep, w.now
	if w.service == paxos.ServiceSharded {
		n.mover = handover.New(w.mover)
	}
	rep.Start(n.clock.read(w.now))
	n.observe()
	w.printf("member %d starts, boot %d: %s", n.id, id.Boot, n.describe())
	n.later(n.dice.between(0, w.plan.tick), n.ticker)
	n.perform(rep.Output(), firstField)
}

func (n *node) ticker() {
	n.wake()
	n.later(n.w.plan.tick, n.ticker)
}

// crash ends the process.
func (n *node) crash() {
	w := n.w
	if n.rep == nil {
		return
	}
	w.mark(MarkCrash)
	if n.led && n.mover != nil {
		w.moves.died(n)
	}
	if !n.joined {
		w.mark(MarkCrashForming)
	}
	w.trace.note(w.now, noteCrash, uint64(n.id), uint64(n.life))
	n.life++
	n.rep, n.mover, n.inbox, n.held = nil, nil, nil, nil
	n.awake, n.busy, n.led, n.frozen = false, false, false, false
	n.paused, n.synced = 0, 0
	n.disk.crash()
	w.printf("member %d dies", n.id)
	for _, c := range w.clients {
		c.reset(n)
	}
}

// put gives the process an input, to be taken at its next step.
func (n *node) put(in func(*replica.Replica)) {
	if n.rep != nil {
		n.inbox = append(n.inbox, in)
		n.wake()
	}
}

// wake has the driver take its next step soon.
func (n *node) wake() {
	if n.awake || n.busy {
		return
	}
	n.awake = true
	n.later(n.dice.between(0, 100*time.Microsecond), n.step)
}

// maxNap is how often a process that stands still looks whether it still does.
const maxNap = 20 * time.Millisecond

// step is one turn of the driver's loop.
func (n *node) step() {
	w := n.w
	n.awake = false
	if n.paused > w.now {
		n.awake = true
		n.later(min(n.paused-w.now, maxNap), n.step) // the calm may end it earlier
		return
	}
	if n.frozen {
		n.frozen = false
		n.clock.from += w.now - n.frozenAt
	}
	inputs := n.inbox
	n.inbox = nil
	n.rep.Tick(n.clock.read(w.now))
	for _, in := range inputs {
		in(n.rep)
	}
	if n.mover != nil {
		n.move()
	}
	out := n.rep.Output()
	w.trace.note(w.now, noteStep, uint64(n.id), uint64(len(inputs)))
	n.observe()
	n.perform(out, firstField)
}

// observe checks what the replica says of itself.
func (n *node) observe() {
	m := n.rep.Machine().(*machine)
	m.close()
	st := n.rep.Status()
	n.w.check.status(n, &st)
	if leads := st.Role == "leader"; leads != n.led {
		n.led = leads
		if leads {
			n.w.mark(MarkElected)
		}
	}
}

func (n *node) describe() string {
	st := n.rep.Status()
	return describe(&st)
}

// durable says that the log has synced, up to a number.
func (n *node) durable(sync uint64) {
	if n.w.plan.eager && n.paused <= n.w.now {
		n.release(sync)
	}
	n.put(func(r *replica.Replica) {
		n.release(sync)
		r.LogDurable(sync)
	})
}

// release lets go of what waited for a sync.
func (n *node) release(sync uint64) {
	n.synced = max(n.synced, sync)
	k := 0
	for ; k < len(n.held) && n.held[k].sync <= n.synced; k++ {
		n.w.net.send(n.held[k].messages)
	}
	n.held = n.held[k:]
}

// request gives a client's request to the process. It reports false if there is
// none.
func (n *node) request(a *attempt) bool {
	if n.rep == nil {
		return false
	}
	n.put(func(r *replica.Replica) {
		if n.redirect(a) {
			return
		}
		if a.reads() {
			r.Read(a, a.op.encode(a.phase))
		} else {
			r.Propose(a, a.op.encode(a.phase))
		}
	})
	return true
}

// redirect answers a request for a shard that the group does not serve, as far as the
// member knows. Some of these it lets through: the log refuses them then.
func (n *node) redirect(a *attempt) bool {
	if n.w.service != paxos.ServiceSharded || n.dice.chance(0.3) {
		return false
	}
	m := n.rep.Machine().(*machine)
	id := a.op.shard()
	if m.store.ShardState(id).Serves() {
		return false
	}
	n.sendAnswer(a, answer{wrong: true, owner: n.w.ownerOf(m.config, id)})
	return true
}

// sendAnswer brings an answer to the client.
func (n *node) sendAnswer(a *attempt, ans answer) {
	n.w.after(n.w.net.clientDelay(), func() { a.client.answer(a, ans) })
}
