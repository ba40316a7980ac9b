package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"diskv/replica"
)

// Bounds in virtual time.
const (
	// maxDoomed is how long faults go on after a majority has lost its disks.
	maxDoomed = 3 * time.Second
	// maxSpeech is how long a group without a majority takes at most until every
	// member says who has lost its disk.
	maxSpeech = 5 * time.Second
	// maxTakeOver is how long a group takes at most to serve when as many
	// members as it can do without have died at once.
	maxTakeOver = 10 * time.Second
)

// startDoom has, in the runs that are to see it, a majority lose its disks.
func (w *group) startDoom() {
	if w.plan.doom == 0 {
		return
	}
	var look func()
	look = func() {
		switch {
		case w.calm:
		case w.choose(func(n *node) bool { return !n.joined }) != nil:
			w.after(50*time.Millisecond, look) // who has not heard of the genesis may become a voter by it
		default:
			w.doom()
		}
	}
	w.after(w.plan.doom, look)
}

// doom kills every process and takes the disks of so many that those that are
// left are no majority. Dead processes matter: one that is about to be let back,
// and lives, would still make up a majority.
func (w *group) doom() {
	d := w.faultDice
	w.mark(MarkMajorityLost)
	w.doomed, w.doomAt = true, w.now
	for _, n := range w.nodes {
		n.crash()
	}
	left := d.IntN(w.plan.size/2 + 1)
	w.printf("a majority loses its disks, %d members keep theirs at most", left)
	survivors := 0
	for _, i := range d.Perm(len(w.nodes)) {
		if n := w.nodes[i]; survivors < left && n.intact() {
			survivors++
		}
	}
	kept := 0
	for _, i := range d.Perm(len(w.nodes)) {
		n := w.nodes[i]
		switch {
		case n.intact() && kept < survivors:
			kept++
		case n.intact() || n.disk.stale || d.chance(0.5):
			// With nobody left to tell them, members that are all told to form a
			// new group do so, as they must.
			w.loseDisk(n, survivors > 0 && d.chance(0.4))
		case survivors == 0 && n.disk.id.Phase == replica.PhaseForming:
			w.loseDisk(n, false)
		}
		w.restartLater(n)
	}
}

// standStill stops the faults in a group of which a majority has lost its disks.
// Nobody may be answered any more, and every member has to say why.
func (w *group) standStill() {
	if w.err != nil {
		return
	}
	w.stopFaults()
	w.runUntil(maxSettle, func() bool { return !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.busy }) })
	w.runUntil(maxSpeech, func() bool { return false })
	for _, n := range w.nodes {
		if w.err == nil {
			w.checkSpeech(n)
		}
	}
	for _, c := range w.clients {
		if c.op != nil {
			c.op.ret = never
		}
	}
}

// checkSpeech checks what a member says of a group that has lost a majority of
// its disks: whoever has lost its disk, however it was started, is named so.
func (w *group) checkSpeech(viewer *node) {
	ok, why := viewer.rep.Ready()
	if ok {
		w.fail("member %d says that it is ready, though a majority has lost its disks", viewer.id)
		return
	}
	lists := make(map[string][]string)
	for _, n := range w.nodes {
		list := "lost their disks: "
		if n.intact() {
			list = "intact: "
		}
		lists[list] = append(lists[list], fmt.Sprint(n.id))
	}
	for list, members := range lists {
		if want := list + strings.Join(members, ","); !strings.Contains(why+";", want+";") {
			w.fail("member %d says %q, want %q in it", viewer.id, why, want)
		}
	}
}

// victims returns, in an order of chance, as many members as the group can do
// without, those first that have kept their disks.
func (w *group) victims() []*node {
	victims := slices.Clone(w.nodes)
	w.faultDice.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	slices.SortStableFunc(victims, func(a, b *node) int {
		return int(a.disk.id.Life.Epoch) - int(b.disk.id.Life.Epoch)
	})
	return victims[:(w.plan.size-1)/2]
}

// tolerate kills, at the end, as many members of every group as it can do without:
// the others have to be as good.
func (w *world) tolerate() {
	var victims []*node
	for _, g := range w.groups {
		if w.err == nil && g.plan.size >= 3 {
			victims = append(victims, g.victims()...)
		}
	}
	if len(victims) == 0 {
		return
	}
	for _, n := range victims {
		n.crash()
	}
	if w.moves != nil {
		w.operator.tell(w.operator.move(w.moves.newest()))
	}
	c := w.clients[0]
	var ops []*operation
	for _, k := range w.keys {
		ops = append(ops, &operation{key: k.name})
		if k.kind == keyRegister {
			put := &operation{key: k.name, verb: verbPut, arg: w.marker(c.dice)}
			c.once(put)
			ops = append(ops, put, &operation{key: k.name})
		}
	}
	if !w.finish(ops, maxTakeOver, nil) {
		w.fail("%v after %d members have died, the others do not serve: %s", maxTakeOver, len(victims), w.state())
		return
	}
	w.mark(MarkTolerated)
	for _, n := range victims {
		n.w.revive(n)
	}
	if !w.runUntil(maxSettle, w.whole) {
		w.fail("%v after %d members are back, the groups do not agree: %s", maxSettle, len(victims), w.state())
	}
}
