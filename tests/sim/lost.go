package sim

import (
	"maps"
	"slices"
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// diskCopy is what a member's disk held at one time.
type diskCopy struct {
	id        replica.Identity
	log       *logDir
	peers     []byte
	snapshots map[paxos.Slot][]byte
}

// format makes the disk that of a replica with nothing: one that was told that
// its group is new, or one that has lost its disk.
func (d *disk) format(phase replica.Phase) {
	d.wipe()
	p := &d.w.plan
	d.store(replica.Identity{
		Group: paxos.GroupID(d.w.id), Index: d.node.id, Size: p.size, Lease: p.lease, Service: d.w.service,
		Phase: phase, Life: paxos.Life{Nonce: d.node.nonce()},
	})
}

// damage makes the disk that of a replica whose start has found its log or a
// snapshot damaged: what cluster it is in it still knows.
func (d *disk) damage() {
	old, peers := d.id, d.peers
	d.format(replica.PhaseRecovering)
	d.peers = peers
	id := d.id
	id.Cluster, id.Boot = old.Cluster, old.Boot
	d.store(id)
}

// wipe takes everything from the disk of a member that is down.
func (d *disk) wipe() {
	d.boot++
	d.syncing, d.stale, d.fork = false, false, false
	d.queue, d.log, d.partial, d.peers = nil, nil, partialFile{}, nil
	d.snapshots = make(map[paxos.Slot][]byte)
	d.node.bySnap = false
	if d.w.check != nil {
		d.w.check.replaced(d.node)
	}
}

// copy returns what the disk holds.
func (d *disk) copy() *diskCopy {
	c := &diskCopy{id: d.id, log: &logDir{id: d.log.id}, peers: d.peers, snapshots: maps.Clone(d.snapshots)}
	for _, s := range d.log.segments {
		c.log.segments = append(c.log.segments, segment{records: slices.Clone(s.records), last: s.last})
	}
	return c
}

// putBack puts an old copy in the place of what a member's disk holds, while
// the member is down.
func (d *disk) putBack(c *diskCopy) {
	fork := c.id.Life.Nonce == d.id.Life.Nonce
	d.wipe()
	d.store(c.id)
	d.log, d.snapshots, d.peers, d.stale, d.fork, d.forkBoot = c.log, c.snapshots, c.peers, true, fork, c.id.Boot
}

// nonce draws the name of a life of the disk.
func (n *node) nonce() uint64 { return 1 + n.dice.Uint64()>>1 }

// intact reports whether a member remembers what it has voted on.
func (n *node) intact() bool { return n.disk.id.Phase == replica.PhaseMember && !n.disk.stale }

// forgetful reports whether a member has lost its disk and is not let back.
func (n *node) forgetful() bool { return n.joined && !n.intact() }

// mayLose reports whether the group goes on without the memory of a member: a
// majority has to be left that keeps its own. Whoever is not in the group yet,
// or not again, counts as one without.
func (w *group) mayLose(n *node) bool {
	left := 0
	for _, o := range w.nodes {
		if o != n && o.intact() {
			left++
		}
	}
	return left > w.plan.size/2 && !w.doomed && !w.calm &&
		!slices.ContainsFunc(w.nodes, func(n *node) bool { return n.disk.fork })
}

// mayPutBack reports whether the copy that was made of a member's disk may be put
// back. If the disk was not lost in between, nothing but what the others remember
// tells that it is one, and the protocol promises nothing until they have told it:
// so they must, and its votes go nowhere until then.
func (w *group) mayPutBack(n *node) bool {
	if n.image == nil || !n.intact() || !w.mayLose(n) {
		return false
	}
	if n.image.id.Life.Nonce != n.disk.id.Life.Nonce {
		return true
	}
	for _, o := range w.nodes {
		if o != n && o.intact() && !w.check.remembers(o, n.image.id) {
			return false
		}
	}
	return true
}

// choose returns one of the members of which ok is true, or nil.
func (w *group) choose(ok func(*node) bool) *node {
	var of []*node
	for _, n := range w.nodes {
		if ok(n) {
			of = append(of, n)
		}
	}
	if len(of) == 0 {
		return nil
	}
	return of[w.faultDice.IntN(len(of))]
}

// diskFault makes a fault happen that takes or changes what a disk holds. The
// process dies with it, or has died before.
func (w *group) diskFault(k faultKind) {
	var n *node
	switch k {
	case faultLose, faultDamage:
		n = w.choose(w.mayLose)
	case faultLoseLeader:
		if n = w.leader(); n != nil && !w.mayLose(n) {
			n = nil
		}
	case faultLoseAgain:
		n = w.choose(func(n *node) bool { return n.forgetful() && w.mayLose(n) })
	case faultCopy:
		if n = w.choose((*node).intact); n != nil {
			n.image = n.disk.copy()
			w.printf("the disk of member %d is copied", n.id)
		}
		return
	case faultPutBack:
		n = w.choose(w.mayPutBack)
	}
	if n == nil {
		return
	}
	n.crash()
	switch {
	case k == faultPutBack:
		w.mark(MarkOldCopy)
		w.printf("an old copy is put back in the place of the disk of member %d", n.id)
		w.net.ghosts(n)
		n.disk.putBack(n.image)
		n.image = nil
		if n.disk.fork {
			w.mark(MarkFork)
		}
	case k == faultDamage && n.intact():
		w.mark(MarkDiskDamaged)
		w.printf("the disk of member %d is damaged", n.id)
		w.lost(n)
		n.disk.damage()
	default:
		w.loseDisk(n, w.faultDice.chance(w.plan.bootstrap))
	}
	if w.faultDice.chance(0.5) {
		w.after(w.faultDice.between(0, 10*time.Millisecond), func() { w.revive(n) })
	} else {
		w.restartLater(n)
	}
}

// loseDisk takes everything from the disk of a member that is down. It is then
// started as one that begins with its group, or as ever.
func (w *group) loseDisk(n *node, bootstrap bool) {
	w.printf("the disk of member %d is lost, bootstrap %v", n.id, bootstrap)
	w.lost(n)
	phase := replica.PhaseRecovering
	if bootstrap {
		w.mark(MarkLostBootstrap)
		phase = replica.PhaseForming
	}
	n.disk.format(phase)
}

// lost notes that a member is about to lose what its disk holds.
func (w *group) lost(n *node) {
	w.trace.note(w.now, noteLost, uint64(n.id), n.disk.id.Life.Nonce)
	w.mark(MarkDiskLost)
	if w.service == paxos.ServiceSharded && w.moving() {
		w.mark(MarkDiskLostInMove)
	}
	if n.forgetful() {
		w.mark(MarkLostAgain)
	} else if w.choose((*node).forgetful) != nil {
		w.mark(MarkSecondLost)
	}
	w.net.ghosts(n)
}

// toldLost is told by the replica that its disk is not the one that it last
// voted with.
func (n *node) toldLost(why string) {
	w := n.w
	if !n.disk.stale {
		w.fail("member %d is told that its disk is lost, which it is not: %s", n.id, why)
		return
	}
	w.mark(MarkOldCopyFound)
	if n.disk.fork {
		w.mark(MarkForkFound)
	}
	w.printf("member %d: %s", n.id, why)
	n.crash()
	n.disk.damage()
	w.after(n.dice.between(0, 10*time.Millisecond), func() { w.revive(n) })
}

// letBack notes that a member that had lost its disk votes again.
func (n *node) letBack() {
	n.w.printf("member %d is let back as %v", n.id, n.disk.id.Life)
	n.w.check.letBack(n)
	if n.bySnap {
		n.w.mark(MarkBackBySnapshot)
	} else {
		n.w.mark(MarkBackByLog)
	}
	n.w.net.haunt(n)
}
