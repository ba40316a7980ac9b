package sim

import (
	"fmt"
	"slices"
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// disk is a member's data directory. It outlives the process. What was asked of
// the log becomes durable in order, a sync at a time; everything else here is
// durable when it is stored, as atomic renames make it.
type disk struct {
	w    *group
	node *node

	identity  []byte           // IDENTITY
	id        replica.Identity // what is in it
	stale     bool             // an old copy was put back, and it is not known to be one
	fork      bool             // ... of a disk that was not lost in between
	forkBoot  uint64           // how often that had been started
	peers     []byte           // PEERS
	log       *logDir
	snapshots map[paxos.Slot][]byte // complete files
	partial   partialFile           // the newest that was received in part

	queue   []write // asked of the log and not durable
	syncing bool
	boot    int // what an earlier process had asked for is void
	stalled time.Duration
}

// partialFile is the beginning of a snapshot file.
type partialFile struct {
	info replica.SnapshotInfo
	data []byte
}

// logDir is the log on disk.
type logDir struct {
	id       uint64
	segments []segment
}

// segment is a part of the log that is dropped as a whole. It begins with the
// newest hard state of the time when it was begun.
type segment struct {
	records []replica.Record
	last    paxos.Slot // highest slot of an entry
}

// write is one thing asked of the log.
type write struct {
	records []replica.Record
	sync    uint64
	roll    bool       // begin a segment
	drop    paxos.Slot // drop the segments that hold nothing above this slot
}

func newDisk(w *group, n *node) *disk {
	return &disk{w: w, node: n, snapshots: make(map[paxos.Slot][]byte)}
}

// store replaces IDENTITY.
func (d *disk) store(id replica.Identity) {
	d.identity, d.id = replica.AppendIdentity(nil, id), id
}

// createLog makes a new log with its first state, in place of one that IDENTITY
// never came to speak of.
func (d *disk) createLog(id uint64, state []byte) {
	rec := replica.Record{Kind: replica.RecordState, Payload: state}
	d.log = &logDir{id: id, segments: []segment{{records: []replica.Record{rec}}}}
}

// ask puts a write behind those that wait, and has them synced together once
// the sync under way has ended.
func (d *disk) ask(wr write) {
	for _, r := range wr.records {
		d.w.check.appended(r)
	}
	d.queue = append(d.queue, wr)
	d.sync()
}

func (d *disk) sync() {
	if d.syncing || len(d.queue) == 0 {
		return
	}
	d.syncing = true
	n, boot := len(d.queue), d.boot
	d.w.after(d.syncTime(), func() {
		if boot != d.boot {
			return
		}
		d.syncing = false
		done := d.queue[:n]
		d.queue = slices.Clone(d.queue[n:])
		var sync uint64
		for _, wr := range done {
			d.carryOut(wr)
			sync = max(sync, wr.sync)
		}
		d.sync()
		if sync != 0 {
			d.w.trace.note(d.w.now, noteDurable, uint64(d.node.id), sync)
			d.w.printf("member %d: sync %d has ended", d.node.id, sync)
			d.node.durable(sync)
		}
	})
}

func (d *disk) syncTime() time.Duration {
	w := d.w
	if w.calm {
		return w.plan.sync
	}
	t := w.diskDice.between(w.plan.sync/4, 2*w.plan.sync)
	if w.diskDice.chance(w.plan.syncTail) {
		t += w.diskDice.between(0, w.plan.slow)
	}
	return t + max(0, d.stalled-w.now)
}

// carryOut makes a write durable.
func (d *disk) carryOut(wr write) {
	log := d.log
	tail := &log.segments[len(log.segments)-1]
	for _, r := range wr.records {
		tail.records = append(tail.records, r)
		tail.last = max(tail.last, r.Slot)
		d.w.check.durable(d.node, r)
	}
	if wr.roll || len(tail.records) > d.w.plan.segment {
		log.segments = append(log.segments, segment{records: []replica.Record{d.newestState()}})
	}
	if wr.drop != 0 {
		n := 0
		for n < len(log.segments)-1 && log.segments[n].last <= wr.drop {
			n++
			d.w.mark(MarkLogDropped)
		}
		log.segments = log.segments[n:]
	}
}

func (d *disk) newestState() replica.Record {
	for _, s := range slices.Backward(d.log.segments) {
		for _, r := range slices.Backward(s.records) {
			if r.Kind == replica.RecordState {
				return r
			}
		}
	}
	panic("sim: a log without a state")
}

// crash ends the process: of what was not synced a part may survive, from the
// front on.
func (d *disk) crash() {
	d.boot++
	d.syncing = false
	switch {
	case d.w.diskDice.chance(0.3):
		d.partial = partialFile{}
	case len(d.partial.data) > 0 && d.w.diskDice.chance(0.3):
		d.partial.data = d.partial.data[:d.w.diskDice.IntN(len(d.partial.data))]
	}
	queue := d.queue
	d.queue = nil
	for len(queue) > 0 && d.w.diskDice.chance(d.w.plan.keep) {
		d.carryOut(queue[0])
		if len(queue[0].records) > 0 {
			d.w.mark(MarkUnsyncedKept)
		}
		queue = queue[1:]
	}
	if len(queue) == 0 {
		return
	}
	if n := len(queue[0].records); n > 1 && d.w.diskDice.chance(0.7) {
		d.carryOut(write{records: queue[0].records[:1+d.w.diskDice.IntN(n-1)]})
		d.w.mark(MarkTornBatch)
	}
	if slices.ContainsFunc(queue, func(wr write) bool { return len(wr.records) > 0 }) {
		d.w.mark(MarkUnsyncedLost)
	}
}

// records returns what the log holds durably of the slots from first to last.
func (d *disk) records(first, last paxos.Slot) []replica.Record {
	var out []replica.Record
	for _, s := range d.log.segments {
		if s.last < first {
			continue
		}
		for _, r := range s.records {
			if r.Kind == replica.RecordEntry && r.Slot >= first && r.Slot <= last {
				out = append(out, r)
			}
		}
	}
	return out
}

// newestSnapshot returns the slot of the newest snapshot file, or zero.
func (d *disk) newestSnapshot() paxos.Slot {
	var newest paxos.Slot
	for s := range d.snapshots {
		newest = max(newest, s)
	}
	return newest
}

// storeSnapshot stores a complete file.
func (d *disk) storeSnapshot(h replica.SnapshotHeader, file []byte) replica.SnapshotInfo {
	d.snapshots[h.Slot] = file
	d.w.check.promised(d.node, h.State)
	return replica.SnapshotInfo{Slot: h.Slot, Digest: digestOf(file), Size: int64(len(file))}
}

// dropSnapshots removes the files below slot s.
func (d *disk) dropSnapshots(s paxos.Slot) {
	for slot := range d.snapshots {
		if slot < s {
			delete(d.snapshots, slot)
		}
	}
	if d.partial.info.Slot <= s {
		d.partial = partialFile{}
	}
}

// readSnapshot returns a piece of a file.
func (d *disk) readSnapshot(s paxos.Slot, off int64, limit int) ([]byte, error) {
	file, ok := d.snapshots[s]
	if !ok {
		return nil, fmt.Errorf("no snapshot of slot %d", s)
	}
	if off > int64(len(file)) {
		return nil, fmt.Errorf("snapshot of slot %d has %d bytes, not %d", s, len(file), off)
	}
	return file[off:min(off+int64(limit), int64(len(file)))], nil
}
