package sim

import (
	"fmt"
	"time"

	"diskv/replica"
)

// plan is everything about a group that is drawn once, at the beginning of a run.
// Not every run has every fault: what is rare beside others is common alone.
type plan struct {
	size    int
	lease   bool
	replica replica.Options
	load

	tick    time.Duration // between two ticks of a driver
	eager   bool          // the log's goroutine itself lets go of what waited for a sync
	drift   float64       // how far the rate of a clock may be from 1
	wallOff time.Duration // how far one member's wall clock is off

	ordered bool // a link delivers in order, as a stream does
	delay   time.Duration
	tail    float64 // chance that a message is late
	late    time.Duration
	loss    float64
	double  float64
	lostSig float64 // chance that a sender is told of a loss

	sync     time.Duration // mean time of a sync
	syncTail float64       // chance that one is slow
	slow     time.Duration
	segment  int     // records that a segment of the log holds, at most
	keep     float64 // chance that what was not synced survives a crash, write by write
	piece    int     // bytes of a snapshot that are read at a time, at most
	badSave  float64 // chance that a snapshot cannot be written, or read

	faultEvery time.Duration // mean time between two faults
	faults     [faultKinds]float64
	fatal      float64 // chance that a driver dies in the middle of an output
	stall      float64 // chance that a driver stands still in the middle of one

	bootstrap float64       // chance that a lost disk is started as one of a new group
	hoard     float64       // chance that a message is put by until its sender has lost its disk
	ambush    bool          // the interleaving that recovery is most in danger of is played
	doom      time.Duration // when a majority loses its disks, or zero
}

// load is what clients do.
type load struct {
	clients int
	think   time.Duration // mean wait of a client between two operations
	timeout time.Duration // after which a client no longer waits for an answer
	value   int           // bytes of a value, at most
	roam    float64       // chance that a client begins an operation at any member
	hot     float64       // chance that an operation is on the key that all fight for
	change  time.Duration // mean time between two commands of the operator
	back    float64       // chance that the operator has a group join that it finds outside
	late    float64       // chance that a copy of an operation of a session comes late
}

// sizes are the sizes of groups, each as often as it is drawn.
var sizes = []int{1, 2, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 5, 7}

// newPlan draws a plan.
func newPlan(d dice) plan {
	p := plan{
		size:  sizes[d.IntN(len(sizes))],
		lease: d.chance(0.35),

		load: load{
			clients: 2 + d.IntN(5),
			think:   d.between(5*time.Millisecond, 50*time.Millisecond),
			timeout: d.between(100*time.Millisecond, 2*time.Second),
			value:   8 + d.IntN(60),
			roam:    d.Float64() * d.Float64(),
			hot:     d.Float64() * 0.7,
		},

		tick:  d.between(5*time.Millisecond, 25*time.Millisecond),
		eager: d.chance(0.5),
		drift: 0.045,

		ordered: d.chance(0.5),
		delay:   d.between(200*time.Microsecond, 3*time.Millisecond),
		lostSig: d.Float64(),

		sync: d.between(200*time.Microsecond, 6*time.Millisecond),
		keep: d.Float64(), segment: 5 + d.IntN(100), piece: 100 + d.IntN(4000),
	}
	if !p.lease {
		p.drift = 0.3
	}
	timeout := d.between(80*time.Millisecond, 300*time.Millisecond)
	p.faultEvery = d.between(2*timeout, 12*timeout)
	if d.chance(0.25) {
		p.faultEvery = d.between(timeout/2, 2*timeout)
	}
	p.replica = replica.Options{
		ElectionTimeout:  timeout,
		Heartbeat:        timeout / time.Duration(3+d.IntN(5)),
		MaxBatchBytes:    64 + d.IntN(2000),
		MaxUnsynced:      1 + d.IntN(4),
		RequestTimeout:   d.between(500*time.Millisecond, 4*time.Second),
		SnapshotMinBytes: 1<<10 + d.Int64N(16<<10),
		IdleTime:         d.between(100*time.Millisecond, time.Second),
		WindowBytes:      200 + d.IntN(6<<10),
		MessageBytes:     200 + d.IntN(4<<10),
		InflightBytes:    1<<10 + d.IntN(16<<10),
	}
	if d.chance(0.3) {
		p.replica.MessageBytes = 64 + d.IntN(200)
	}
	if d.chance(0.15) {
		p.replica.MaxQueueBytes = 100 + d.IntN(400)
	}
	if d.chance(0.2) {
		p.replica.SnapshotMinBytes = 1 << 20 // no snapshots, and long replays
	}
	if d.chance(0.2) {
		p.value = 400 + d.IntN(1000)
	}
	if d.chance(0.15) {
		// A transfer takes long, and the log grows meanwhile.
		p.piece, p.value = 20+d.IntN(50), 200+d.IntN(1000)
		p.replica.SnapshotMinBytes = 256
	}
	if d.chance(0.5) {
		p.wallOff = d.between(-50*time.Minute, 50*time.Minute)
	}
	if d.chance(0.7) {
		p.loss = d.Float64() * 0.1
	}
	if d.chance(0.5) {
		p.double = d.Float64() * 0.1
	}
	if d.chance(0.6) {
		p.tail, p.late = d.Float64()*0.05, d.between(20*time.Millisecond, 2*time.Second)
	}
	if d.chance(0.4) {
		p.syncTail, p.slow = d.Float64()*0.05, d.between(20*time.Millisecond, 800*time.Millisecond)
	}
	if d.chance(0.2) {
		p.badSave = d.Float64() * 0.5
	}
	for k := range p.faults {
		if d.chance(0.6) {
			p.faults[k] = d.Float64()
		}
	}
	if d.chance(0.6) {
		p.fatal = d.Float64() * 0.004
	}
	if d.chance(0.4) {
		p.stall = d.Float64() * 0.004
	}
	p.drawLosses(d)
	if d.chance(0.5) {
		p.replica.CatchUpBytes = 100<<10 + d.IntN(1<<20)
	}
	return p
}

// drawLosses draws what happens to disks. A group of one or two cannot do without
// any.
func (p *plan) drawLosses(d dice) {
	losses := p.size >= 3 && d.chance(0.7)
	if !losses {
		for k := faultLose; k < faultKinds; k++ {
			p.faults[k] = 0
		}
		return
	}
	p.bootstrap = max(0, d.Float64()-0.3)
	if d.chance(0.5) {
		p.faults[faultCopy], p.faults[faultPutBack] = 2, 2
		p.faults[faultLose] = max(0.5, p.faults[faultLose])
	}
	if d.chance(0.6) {
		p.hoard = d.Float64() * d.Float64() * 0.3
	}
	if d.chance(0.1) {
		p.doom = d.between(500*time.Millisecond, 4*time.Second)
	}
	if p.size >= 5 && p.size%2 == 1 && !p.lease && d.chance(0.7) {
		p.ambush = true
		p.faultEvery *= 4
		p.loss /= 4
	}
}

func (p *plan) String() string {
	links := "unordered"
	if p.ordered {
		links = "ordered"
	}
	reads := "quorum"
	if p.lease {
		reads = "lease"
	}
	s := fmt.Sprintf("%d members, reads by %s, %d clients, %s links, loss %.1f%%, double %.1f%%, late %.1f%%, election timeout %v, fault every %v",
		p.size, reads, p.clients, links, 100*p.loss, 100*p.double, 100*p.tail, p.replica.ElectionTimeout, p.faultEvery)
	if p.hoard > 0 {
		s += fmt.Sprintf(", %.1f%% held back", 100*p.hoard)
	}
	if p.ambush {
		s += ", ambushes"
	}
	if p.doom > 0 {
		s += fmt.Sprintf(", a majority lost after %v", p.doom)
	}
	return s
}
