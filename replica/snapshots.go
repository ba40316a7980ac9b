package replica

import (
	"fmt"
	"time"

	"diskv/paxos"
)

// snapshots is what a replica knows of its snapshot files.
type snapshots struct {
	newest   SnapshotInfo // durable
	taking   *SnapshotTask
	covers   int64         // of logBytes, what taking is to make superfluous
	wanted   bool          // whatever the log is like
	failedAt time.Duration // when one could not be written
	failed   bool

	written   int64          // appended to the log in all
	logBytes  int64          // of records that the newest snapshot asked for does not cover
	unapplied []appendedSlot // entries among them that are not applied, as they were appended
	activeAt  time.Duration  // when the last record was appended

	sending  [paxos.MaxReplicas]*transfer
	incoming *incoming
}

// transfer is a snapshot on its way to a member.
type transfer struct {
	info    SnapshotInfo
	acked   int64 // the member has this much
	reading bool
	sentAt  time.Duration
	heardAt time.Duration
	written int64 // to the log when it began
}

// incoming is a snapshot that is being received.
type incoming struct {
	info   SnapshotInfo
	from   paxos.ReplicaID
	ballot paxos.Ballot
	offset int64
	busy   bool // a SnapshotWriteTask is being carried out
	fedAt  time.Duration
}

// appendedSlot is what the entry of a slot takes in the log.
type appendedSlot struct {
	slot  paxos.Slot
	bytes int64
}

// appended counts a record of the log.
func (s *snapshots) appended(rec Record) {
	s.logBytes += recordCost(rec)
	if rec.Kind == RecordEntry {
		s.unapplied = append(s.unapplied, appendedSlot{slot: rec.Slot, bytes: recordCost(rec)})
	}
}

// applied forgets the entries up to a slot, which a snapshot would cover now.
func (s *snapshots) applied(through paxos.Slot) {
	n := 0
	for n < len(s.unapplied) && s.unapplied[n].slot <= through {
		n++
	}
	s.unapplied = s.unapplied[n:]
}

// covered says that a snapshot covers what is applied: only what was accepted
// beyond that counts from now on.
func (s *snapshots) covered() {
	s.logBytes = 0
	for _, e := range s.unapplied {
		s.logBytes += e.bytes
	}
}

const (
	// chunkBytes is how much of a snapshot goes in one message.
	chunkBytes = 1 << 20
	// resendAfter without an answer a chunk is sent again.
	resendAfter = time.Second
	// transferTimeout without an answer ends a transfer.
	transferTimeout = 30 * time.Second
	// snapshotRetry is the wait after a snapshot that could not be written.
	snapshotRetry = 10 * time.Second
	// idleMinBytes is a log that is small beside any data.
	idleMinBytes = 2 << 10
	// maxPinnedLog is how many times the size at which a snapshot is due the
	// log may grow for the sake of a member that is receiving one.
	maxPinnedLog = 4
)

// snapshotDue is the size of the log at which a snapshot is worth taking: what
// the snapshot would take, and the floor. It differs between the members, so that they do not all write at once, and is
// highest for the leader.
func (r *Replica) snapshotDue() int64 {
	due := r.machine.Bytes() + r.opts.SnapshotMinBytes
	place := int64(r.id.Index)
	if r.leading {
		place += paxos.MaxReplicas // behind every other
	}
	return due + due/16*place
}

// idleDue is the size of the log above which a replica at rest tidies up. At a
// quarter of the data a pause costs at most four times what was written before
// it, and the disk holds little more than the data.
func (r *Replica) idleDue() int64 {
	return max(r.machine.Bytes()/4, min(r.opts.SnapshotMinBytes/4, idleMinBytes))
}

// considerSnapshot asks for a snapshot when the log has outgrown the data, or
// when nothing happens and it is no longer small beside the data.
func (r *Replica) considerSnapshot() {
	s := &r.snapshots
	s.applied(r.core.Applied())
	if s.taking != nil || s.incoming != nil || r.core.Applied() <= s.newest.Slot ||
		s.failed && r.now.Mono < s.failedAt+snapshotRetry {
		return
	}
	idle := r.now.Mono >= s.activeAt+r.opts.IdleTime
	if !s.wanted && s.logBytes < r.snapshotDue() && (!idle || s.logBytes <= r.idleDue()) {
		return
	}
	s.wanted = false
	h := r.core.HardState()
	// The new segment begins with this state. Should the snapshot vanish, its
	// commit index tells that the log is not the whole.
	r.record(Record{Kind: RecordState, Payload: paxos.AppendHardState(nil, h)})
	r.commitKept = h.Commit
	s.taking = &SnapshotTask{
		Header: SnapshotHeader{
			Slot: r.core.Applied(), LogTime: r.logTime,
			State: paxos.AppendHardState(nil, r.core.SnapshotState()),
		},
		Image: r.machine.Image(),
	}
	s.covers = s.logBytes
	s.covered()
	s.covers -= s.logBytes
	r.out.Snapshot = s.taking
	r.out.Roll = true
}

// TakeSnapshot has a snapshot taken though the log is not large. It reports false if one is
// being taken already, and does nothing if the newest one holds all that is applied.
func (r *Replica) TakeSnapshot() bool {
	s := &r.snapshots
	if s.taking != nil || s.wanted {
		return false
	}
	s.wanted = r.core != nil && r.core.Applied() > s.newest.Slot
	return true
}

// SnapshotSaved answers the Snapshot of an Output. With an error nothing has
// changed, and the snapshot is tried again later.
func (r *Replica) SnapshotSaved(info SnapshotInfo, err error) {
	s := &r.snapshots
	task := s.taking
	s.taking = nil
	if err != nil {
		s.failed, s.failedAt = true, r.now.Mono
		s.logBytes += s.covers
		r.warn("snapshot could not be written", "slot", task.Header.Slot, "error", err.Error())
		return
	}
	s.failed = false
	if info.Slot != task.Header.Slot {
		panic(fmt.Sprintf("replica %d: snapshot of slot %d saved, slot %d was asked for", r.id.Index, info.Slot, task.Header.Slot))
	}
	if info.Slot > s.newest.Slot { // one that was received meanwhile may cover more
		s.newest = info
		r.event("snapshot taken", "slot", info.Slot, "bytes", info.Size)
	}
	r.dropCovered()
}

// dropCovered lets go of the log and the snapshots that the newest snapshot
// makes superfluous, but not of what a transfer needs: its file, and the log
// above its slot.
func (r *Replica) dropCovered() {
	s := &r.snapshots
	keep := s.newest.Slot
	for _, t := range s.sending {
		if t != nil {
			keep = min(keep, t.info.Slot)
		}
	}
	if keep+1 > r.core.LogStart() {
		r.core.Truncated(keep)
	}
	// After an install the core counts from the snapshot already, and the disk
	// still has what was there before.
	r.out.DropLog, r.out.DropSnapshots = keep, keep
}

// startTransfer offers the newest snapshot to a member that needs slots which
// the log no longer holds.
func (r *Replica) startTransfer(to paxos.ReplicaID) {
	s := &r.snapshots
	if s.newest.Slot+1 < r.core.LogStart() {
		panic(fmt.Sprintf("replica %d: log starts at %d, newest snapshot is of slot %d", r.id.Index, r.core.LogStart(), s.newest.Slot))
	}
	s.sending[to] = &transfer{info: s.newest, heardAt: r.now.Mono, written: s.written}
	r.event("sending a snapshot", "peer", to, "slot", s.newest.Slot, "bytes", s.newest.Size)
	r.sendChunk(to, s.sending[to], nil)
}

func (r *Replica) sendChunk(to paxos.ReplicaID, t *transfer, data []byte) {
	t.sentAt = r.now.Mono
	r.send(to, paxos.SnapshotChunk{
		Ballot: r.core.Promised(), Slot: t.info.Slot, Digest: t.info.Digest, Size: uint64(t.info.Size),
		Offset: uint64(t.acked), Data: data,
	})
}

// onSnapshotAck sends the next piece, or ends the transfer.
func (r *Replica) onSnapshotAck(from paxos.ReplicaID, m paxos.SnapshotAck) {
	t := r.snapshots.sending[from]
	if t == nil || m.Slot != t.info.Slot || m.Digest != t.info.Digest || m.Offset > uint64(t.info.Size) {
		return
	}
	t.heardAt = r.now.Mono
	if m.Installed {
		r.event("snapshot sent", "peer", from, "slot", t.info.Slot)
		r.core.SnapshotInstalled(from, t.info.Slot)
		r.endTransfer(from)
		return
	}
	if t.reading || int64(m.Offset) == t.info.Size {
		return // being read, or being loaded over there
	}
	t.acked = int64(m.Offset)
	t.reading = true
	r.out.SnapshotReads = append(r.out.SnapshotReads, SnapshotReadTask{
		For: from, Slot: t.info.Slot, Offset: t.acked, Limit: chunkBytes,
	})
}

// SnapshotRead answers a SnapshotReadTask.
func (r *Replica) SnapshotRead(task SnapshotReadTask, data []byte, err error) {
	t := r.snapshots.sending[task.For]
	if t == nil || t.info.Slot != task.Slot || t.acked != task.Offset || !t.reading {
		return
	}
	t.reading = false
	if err != nil {
		r.warn("snapshot could not be read", "slot", task.Slot, "error", err.Error())
		r.endTransfer(task.For)
		return
	}
	r.sendChunk(task.For, t, data)
}

// endTransfer gives up or completes the transfer to a member.
func (r *Replica) endTransfer(to paxos.ReplicaID) {
	r.snapshots.sending[to] = nil
	r.core.SnapshotEnded(to)
	r.dropCovered()
}

func (r *Replica) endTransfers() {
	for id, t := range r.snapshots.sending {
		if t != nil {
			r.endTransfer(paxos.ReplicaID(id))
		}
	}
}

// tickSnapshots repeats what was lost, ends what is dead, and looks whether
// the log should be tidied up.
func (r *Replica) tickSnapshots() {
	for id, t := range r.snapshots.sending {
		switch {
		case t == nil:
		case r.now.Mono >= t.heardAt+transferTimeout,
			r.snapshots.written-t.written > maxPinnedLog*r.snapshotDue():
			r.event("transfer of a snapshot given up", "peer", id, "slot", t.info.Slot)
			r.endTransfer(paxos.ReplicaID(id))
		case !t.reading && r.now.Mono >= t.sentAt+resendAfter:
			r.sendChunk(paxos.ReplicaID(id), t, nil)
		}
	}
	if in := r.snapshots.incoming; in != nil && !in.busy {
		// The next leader offers its own, or the same again. One that nobody
		// sends any more must not keep this replica from taking its own.
		id, ok := r.core.LeaderID()
		if !ok || id != in.from || r.now.Mono >= in.fedAt+transferTimeout {
			r.snapshots.incoming = nil
		}
	}
}

// onSnapshotChunk takes a piece of a snapshot from the leader.
func (r *Replica) onSnapshotChunk(from paxos.ReplicaID, m paxos.SnapshotChunk) {
	if id, ok := r.core.LeaderID(); !ok || id != from || m.Ballot.Less(r.core.Promised()) {
		return
	}
	s := &r.snapshots
	info := SnapshotInfo{Slot: m.Slot, Digest: m.Digest, Size: int64(m.Size)}
	if m.Slot <= r.core.Applied() {
		r.ackSnapshot(from, m.Ballot, info, info.Size, true)
		return
	}
	if s.incoming != nil && s.incoming.busy {
		return
	}
	if s.incoming == nil || s.incoming.info != info || s.incoming.from != from {
		s.incoming = &incoming{info: info, from: from, offset: -1}
		r.event("receiving a snapshot", "peer", from, "slot", m.Slot, "bytes", m.Size)
	}
	in := s.incoming
	in.ballot, in.fedAt = m.Ballot, r.now.Mono
	switch {
	case in.offset < 0:
		r.writeChunk(in, 0, nil) // ask how much of it is here from an earlier attempt
	case len(m.Data) == 0 || int64(m.Offset) != in.offset:
		r.ackSnapshot(from, in.ballot, in.info, in.offset, false)
	default:
		r.writeChunk(in, in.offset, m.Data)
	}
}

func (r *Replica) writeChunk(in *incoming, off int64, data []byte) {
	in.busy = true
	r.out.SnapshotWrite = &SnapshotWriteTask{Snapshot: in.info, Offset: off, Data: data}
}

// SnapshotWritten answers a SnapshotWrite: offset bytes of the file are there;
// when that is the whole, loaded is what is in it. With an error the transfer
// begins again from what the next task reports.
func (r *Replica) SnapshotWritten(offset int64, loaded *LoadedSnapshot, err error) {
	in := r.snapshots.incoming
	in.busy = false
	if err != nil {
		r.warn("snapshot could not be received", "slot", in.info.Slot, "error", err.Error())
		r.snapshots.incoming = nil
		return
	}
	in.offset = offset
	if loaded == nil {
		r.ackSnapshot(in.from, in.ballot, in.info, offset, false)
		return
	}
	r.snapshots.incoming = nil
	r.install(in, loaded)
}

// install puts a received snapshot in the place of the state.
func (r *Replica) install(in *incoming, loaded *LoadedSnapshot) {
	h, err := paxos.DecodeHardState(loaded.Header.State)
	if err != nil {
		r.warn("received snapshot is not of this release", "slot", in.info.Slot, "error", err.Error())
		return
	}
	if loaded.Header.Slot != in.info.Slot {
		r.warn("received snapshot is not the one that was offered", "slot", in.info.Slot, "got", loaded.Header.Slot)
		return
	}
	if r.core.InstallSnapshot(in.info.Slot, in.ballot, h.Vector) {
		r.machine = loaded.Machine
		r.logTime = max(r.logTime, loaded.Header.LogTime)
		r.forgetThrough(in.info.Slot)
		r.event("snapshot installed", "slot", in.info.Slot, "bytes", in.info.Size)
		r.snapshots.applied(in.info.Slot)
		r.snapshots.covered()
		r.out.Roll = true
	}
	if r.snapshots.newest.Slot < in.info.Slot {
		r.snapshots.newest = in.info
		r.dropCovered()
	}
	r.ackSnapshot(in.from, in.ballot, in.info, in.info.Size, true)
	r.noteLeader()
}

func (r *Replica) ackSnapshot(to paxos.ReplicaID, b paxos.Ballot, info SnapshotInfo, offset int64, installed bool) {
	r.send(to, paxos.SnapshotAck{Ballot: b, Slot: info.Slot, Digest: info.Digest, Offset: uint64(offset), Installed: installed})
}
