package sim

import (
	"errors"
	"slices"
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// field is a field of an output, in the order in which they are carried out.
type field int

const (
	fieldRecords field = iota
	fieldMessages
	fieldAfterSync
	fieldReplies
	fieldIdentity
	fieldPeers
	fieldLogReads
	fieldRoll
	fieldSnapshot
	fieldSnapshotReads
	fieldSnapshotWrite
	fieldDropLog
	fieldDropSnapshots
	fieldLost
	fieldEvents
	fieldEnd
	firstField = fieldRecords
)

// perform carries out an output from a field on. In the middle the process may
// die, or stand still for a while.
func (n *node) perform(out replica.Output, from field) {
	n.busy = true
	if n.w.sabotage != nil {
		n.w.sabotage(&out)
	}
	for f := from; f < fieldEnd; f++ {
		did := n.carryOut(&out, f)
		if n.rep == nil {
			return // the process has ended itself
		}
		if !did || n.w.calm {
			continue
		}
		if n.dice.chance(n.w.plan.fatal) {
			n.w.mark(MarkCrashInOutput)
			n.crash()
			n.w.restartLater(n)
			return
		}
		if n.dice.chance(n.w.plan.stall) {
			n.w.mark(MarkPause)
			n.paused = n.w.now + n.dice.around(4*n.w.plan.replica.ElectionTimeout)
			n.goOn(out, f+1)
			return
		}
	}
	n.busy = false
	if len(n.inbox) > 0 {
		n.wake()
	}
}

// goOn carries out the rest of an output when the process no longer stands still,
// which the calm may end earlier.
func (n *node) goOn(out replica.Output, from field) {
	if n.paused <= n.w.now {
		n.perform(out, from)
		return
	}
	n.later(min(n.paused-n.w.now, maxNap), func() { n.goOn(out, from) })
}

// carryOut does what one field asks for, and reports whether that was anything.
func (n *node) carryOut(out *replica.Output, f field) bool {
	d := n.disk
	switch f {
	case fieldRecords:
		if len(out.Records) == 0 {
			return false
		}
		d.ask(write{records: out.Records, sync: out.Sync})
	case fieldMessages:
		if len(out.Messages) == 0 {
			return false
		}
		n.w.net.send(out.Messages)
	case fieldAfterSync:
		if len(out.AfterSync) == 0 {
			return false
		}
		n.held = append(n.held, heldMessages{sync: out.Sync, messages: out.AfterSync})
		n.release(0) // the sync may have ended meanwhile
	case fieldReplies:
		if len(out.Replies) == 0 {
			return false
		}
		for _, r := range out.Replies {
			n.answer(r)
		}
	case fieldIdentity:
		if out.Identity == nil {
			return false
		}
		n.storeIdentity(*out.Identity)
	case fieldPeers:
		if out.Peers == nil {
			return false
		}
		n.storePeers(out.Peers)
	case fieldLogReads:
		for _, lr := range out.LogReads {
			n.readLog(lr)
		}
		return len(out.LogReads) > 0
	case fieldRoll:
		if !out.Roll {
			return false
		}
		d.ask(write{roll: true})
	case fieldSnapshot:
		if out.Snapshot == nil {
			return false
		}
		n.takeSnapshot(out.Snapshot)
	case fieldSnapshotReads:
		for _, task := range out.SnapshotReads {
			n.readSnapshot(task)
		}
		return len(out.SnapshotReads) > 0
	case fieldSnapshotWrite:
		if out.SnapshotWrite == nil {
			return false
		}
		n.writeSnapshot(*out.SnapshotWrite)
	case fieldDropLog:
		if out.DropLog == 0 {
			return false
		}
		d.ask(write{drop: out.DropLog})
	case fieldDropSnapshots:
		if out.DropSnapshots == 0 {
			return false
		}
		d.dropSnapshots(out.DropSnapshots)
	case fieldLost:
		if out.Lost == "" {
			return false
		}
		n.toldLost(out.Lost)
	case fieldEvents:
		for _, e := range out.Events {
			n.w.check.event(n, e)
		}
		return false
	}
	return true
}

// answer brings a reply to the client.
func (n *node) answer(r replica.Reply) {
	switch token := r.Token.(type) {
	case func([]byte):
		n.answerCall(r, token)
		return
	case nil:
		return // what has become of it the mover sees from the state
	}
	a := r.Token.(*attempt)
	if n.w.doomed && r.Outcome == replica.Done {
		n.w.fail("member %d answers %v, though a majority has lost its disks", n.id, a.op)
	}
	st := n.rep.Status()
	ans := answer{
		outcome: r.Outcome, data: slices.Clone(r.Data), leader: st.Leader, known: st.HasLeader,
		logTime: st.LogTime, applied: st.Applied,
	}
	if r.Outcome == replica.Done && wrongShard(r.Data) {
		ans = answer{wrong: true, owner: n.w.ownerOf(n.rep.Machine().(*machine).config, a.op.shard())}
	}
	n.sendAnswer(a, ans)
}

// storeIdentity makes a new log durable, if one is asked for, and then IDENTITY.
func (n *node) storeIdentity(id replica.NewIdentity) {
	store := func() {
		back := n.disk.id.HasLog()
		n.disk.store(id.Identity)
		if n.disk.id.Phase == replica.PhaseMember {
			n.joined = true
			if back {
				n.letBack()
			} else {
				n.w.mark(MarkFormed)
			}
		}
		n.put((*replica.Replica).IdentityStored)
	}
	if id.State == nil {
		n.later(n.disk.syncTime(), store)
		return
	}
	n.later(n.disk.syncTime(), func() {
		n.disk.createLog(id.Identity.LogID, id.State)
		n.later(n.disk.syncTime(), store)
	})
}

// storePeers replaces PEERS, which fails now and then.
func (n *node) storePeers(content []byte) {
	n.later(n.disk.syncTime(), func() {
		if !n.w.calm && n.dice.chance(n.w.plan.badSave) {
			n.put(func(r *replica.Replica) { r.PeersStored(errDisk) })
			return
		}
		n.disk.peers = content
		n.put(func(r *replica.Replica) { r.PeersStored(nil) })
	})
}

// readLog reads chosen entries for a member that lags. The log may be dropped
// meanwhile.
func (n *node) readLog(lr paxos.LogRead) {
	n.w.mark(MarkLogRead)
	n.later(n.dice.around(15*time.Millisecond), func() {
		entries, err := replica.ChosenEntries(n.disk.records(lr.From, lr.Through), lr.From, lr.Limit)
		if err != nil {
			n.w.fail("member %d: log read: %v", n.id, err)
			return
		}
		if len(entries) == 0 {
			n.w.mark(MarkLogReadEmpty)
		}
		n.put(func(r *replica.Replica) { r.LogRead(lr.For, entries) })
	})
}

var errDisk = errors.New("input/output error")

// takeSnapshot writes a snapshot from an image, while the state goes on.
func (n *node) takeSnapshot(task *replica.SnapshotTask) {
	w := n.w
	n.later(n.dice.between(0, 20*time.Millisecond), func() {
		if !w.calm && n.dice.chance(w.plan.badSave) {
			w.mark(MarkSnapshotFailed)
			n.put(func(r *replica.Replica) { r.SnapshotSaved(replica.SnapshotInfo{}, errDisk) })
			return
		}
		file, err := encodeSnapshot(task.Header, task.Image)
		if err != nil {
			w.fail("member %d: snapshot of slot %d: %v", n.id, task.Header.Slot, err)
			return
		}
		n.later(n.disk.syncTime(), func() {
			info := n.disk.storeSnapshot(task.Header, file)
			w.mark(MarkSnapshotTaken)
			n.put(func(r *replica.Replica) { r.SnapshotSaved(info, nil) })
		})
	})
}

// readSnapshot reads a piece of a snapshot, often less than what was asked for.
func (n *node) readSnapshot(task replica.SnapshotReadTask) {
	n.later(n.disk.syncTime(), func() {
		limit := task.Limit
		if !n.w.calm {
			limit = min(limit, 1+n.dice.IntN(n.w.plan.piece))
		}
		data, err := n.disk.readSnapshot(task.Slot, task.Offset, limit)
		if !n.w.calm && n.dice.chance(n.w.plan.badSave/4) {
			data, err = nil, errDisk
		}
		if err != nil {
			n.w.mark(MarkTransferFailed)
		}
		n.put(func(r *replica.Replica) { r.SnapshotRead(task, data, err) })
	})
}

// writeSnapshot puts a piece behind what was received of a snapshot, or only
// says how much that is. The whole is verified, loaded and then kept.
func (n *node) writeSnapshot(task replica.SnapshotWriteTask) {
	n.later(n.disk.syncTime(), func() {
		d := n.disk
		if !n.w.calm && n.dice.chance(n.w.plan.badSave/4) {
			n.w.mark(MarkTransferFailed)
			n.put(func(r *replica.Replica) { r.SnapshotWritten(0, nil, errDisk) })
			return
		}
		if d.partial.info != task.Snapshot {
			d.partial = partialFile{info: task.Snapshot}
		}
		have := int64(len(d.partial.data))
		switch {
		case len(task.Data) == 0 && have > 0:
			n.w.mark(MarkTransferResumed)
		case len(task.Data) > 0 && task.Offset == have:
			d.partial.data = append(slices.Clip(d.partial.data), task.Data...)
			have = int64(len(d.partial.data))
		}
		if have < task.Snapshot.Size {
			n.w.mark(MarkTransferPieces)
			n.put(func(r *replica.Replica) { r.SnapshotWritten(have, nil, nil) })
			return
		}
		file := d.partial.data
		d.partial = partialFile{}
		if digestOf(file) != task.Snapshot.Digest {
			n.w.fail("member %d: the snapshot of slot %d that was received is not the one that was sent", n.id, task.Snapshot.Slot)
			return
		}
		loaded, err := decodeSnapshot(n, file)
		if err != nil {
			n.w.fail("member %d: %v", n.id, err)
			return
		}
		loaded.Machine.(*machine).compare()
		d.storeSnapshot(loaded.Header, file)
		n.bySnap = n.bySnap || n.w.check.names(loaded.Header.State, n)
		n.put(func(r *replica.Replica) {
			n.w.mark(MarkSnapshotInstalled)
			n.w.check.installed(n, task.Snapshot.Slot)
			r.SnapshotWritten(have, loaded, nil)
		})
	})
}
