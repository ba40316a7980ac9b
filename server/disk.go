package server

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"diskv/paxos"
	"diskv/replica"
	"diskv/snapshot"
	"diskv/wal"
)

// diskWorker runs tasks that wait for the disk, one after the other, beside the
// loop. It asks before each of them whether the disk may be used.
type diskWorker struct {
	may   func() bool
	mu    sync.Mutex
	more  sync.Cond
	tasks []func()
	ended bool
	done  chan struct{}
}

func newDiskWorker(may func() bool) *diskWorker {
	w := &diskWorker{may: may, done: make(chan struct{})}
	w.more.L = &w.mu
	go w.run()
	return w
}

func (w *diskWorker) do(task func()) {
	w.mu.Lock()
	w.tasks = append(w.tasks, task)
	w.mu.Unlock()
	w.more.Signal()
}

func (w *diskWorker) run() {
	defer close(w.done)
	for {
		w.mu.Lock()
		for len(w.tasks) == 0 && !w.ended {
			w.more.Wait()
		}
		if w.ended {
			w.mu.Unlock()
			return
		}
		task := w.tasks[0]
		w.tasks = w.tasks[1:]
		w.mu.Unlock()
		if w.may() {
			task()
		}
	}
}

// close ends the worker after the task that it is at.
func (w *diskWorker) close() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.more.Signal()
	<-w.done
}

// carryOutDisk has the log and the snapshots read, written and dropped. What is
// asked for in one order is done in that order.
func (n *Node) carryOutDisk(out replica.Output) {
	if content := out.Peers; content != nil {
		n.disk.do(func() {
			err := replaceFile(n.dir.peersPath(), content)
			n.inbox.put(func(r *replica.Replica) { r.PeersStored(err) })
		})
	}
	for _, task := range out.LogReads {
		n.disk.do(func() {
			entries, err := readChosen(n.log, task)
			if err != nil {
				n.failedRead(err)
				return
			}
			n.inbox.put(func(r *replica.Replica) { r.LogRead(task.For, entries) })
		})
	}
	if out.Roll {
		n.log.Roll()
	}
	if task := out.Snapshot; task != nil {
		n.saver.do(func() {
			info, err := n.saveSnapshot(task)
			n.inbox.put(func(r *replica.Replica) { r.SnapshotSaved(info, err) })
		})
	}
	for _, task := range out.SnapshotReads {
		n.disk.do(func() {
			data, err := snapshot.ReadChunk(snapshot.Path(n.dir.snapshotPath(), uint64(task.Slot)), task.Offset, task.Limit)
			n.inbox.put(func(r *replica.Replica) { r.SnapshotRead(task, data, err) })
		})
	}
	if task := out.SnapshotWrite; task != nil {
		n.disk.do(func() {
			offset, loaded, err := n.writeSnapshot(task)
			n.inbox.put(func(r *replica.Replica) { r.SnapshotWritten(offset, loaded, err) })
		})
	}
	if slot := out.DropLog; slot != 0 {
		n.disk.do(func() {
			if err := n.log.DropThrough(uint64(slot)); err != nil {
				n.logger.Warn("old segments of the log could not be removed; the next snapshot tries again", "error", err)
			}
		})
	}
	if slot := out.DropSnapshots; slot != 0 {
		n.saver.do(func() {
			err := snapshot.Clean(n.dir.snapshotPath(), uint64(slot))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				n.logger.Warn("old snapshots could not be removed; the next snapshot tries again", "error", err)
			}
		})
	}
}

// failedRead ends the node when its log cannot be read any more. Damage makes it
// a lost disk: what it holds of those slots may be wanted for a vote.
func (n *Node) failedRead(err error) {
	var corrupt *wal.CorruptionError
	switch {
	case errors.Is(err, wal.ErrClosed):
	case errors.As(err, &corrupt):
		n.fail(lostDisk{err.Error()})
	default:
		n.fail(fmt.Errorf("log: %w", err))
	}
}

// Catching up reads this many slots in all for a message, and fewer where they
// are large.
const (
	catchUpSlots = 64
	catchUpBytes = 16 << 20
	// catchUpProbe is how many are read to see how large they are: reading many
	// more than the message takes costs the leader more than sending it.
	catchUpProbe = 2
)

// readChosen reads chosen entries, consecutive from task.From on.
func readChosen(log *wal.Log, task paxos.LogRead) ([]paxos.Entry, error) {
	var out []paxos.Entry
	size, slots := 0, catchUpProbe
	for {
		entries, err := readSlots(log, task.From+paxos.Slot(len(out)), slots, task.Limit-size)
		if err != nil {
			return nil, err
		}
		if len(out) > 0 && len(entries) > 0 && size+len(entries[0].Value) > task.Limit {
			return out, nil // at least one comes, however large
		}
		out = append(out, entries...)
		for _, e := range entries {
			size += len(e.Value)
		}
		if len(entries) < slots {
			return out, nil
		}
		slots = min((task.Limit-size)/max(size/len(out), 1), catchUpSlots-len(out))
		if slots < 1 {
			return out, nil
		}
	}
}

// readSlots reads the chosen entries of so many slots, up to limit bytes of
// them, but at least one if there is one. A slot may be in the log under several
// ballots, and only the last counts: so a read that stopped early is of no use
// for more than one slot.
func readSlots(log *wal.Log, from paxos.Slot, most, limit int) ([]paxos.Entry, error) {
	for _, slots := range []int{most, 1} {
		room := 2 * catchUpBytes
		if slots == 1 {
			room = wal.MaxBatch
		}
		recs, err := log.Read(uint64(from), uint64(from)+uint64(slots)-1, room)
		if err != nil {
			return nil, err
		}
		size := 0
		out := make([]replica.Record, len(recs))
		for i, rec := range recs {
			size += len(rec.Payload)
			if out[i], err = fromLog(rec); err != nil {
				return nil, err
			}
		}
		if size <= catchUpBytes || slots == 1 {
			return replica.ChosenEntries(out, from, limit)
		}
	}
	return nil, nil
}

// saveSnapshot writes a snapshot file.
func (n *Node) saveSnapshot(task *replica.SnapshotTask) (replica.SnapshotInfo, error) {
	h := task.Header
	info, err := snapshot.CreateGently(n.dir.snapshotPath(), snapshot.Header{
		Cluster: n.cluster.Load(), Group: n.opts.Group,
		Slot: uint64(h.Slot), Config: task.Image.(image).Config(), LogTime: h.LogTime, State: h.State,
	}, func(add func([]byte) error) error {
		return task.Image.Records(func(record []byte) error {
			select {
			case <-n.ended: // a stop does not wait for a large snapshot
				return errStopped
			default:
				return add(record)
			}
		})
	})
	if err != nil {
		return replica.SnapshotInfo{}, err
	}
	return snapshotInfo(info), nil
}

// receiving is the snapshot that comes from the leader; only the disk worker
// touches it.
type receiving struct {
	info replica.SnapshotInfo
	file *snapshot.Incoming
}

// writeSnapshot adds a piece to a snapshot that is being received. When that
// completes it, it is verified, made durable and loaded.
func (n *Node) writeSnapshot(task *replica.SnapshotWriteTask) (int64, *replica.LoadedSnapshot, error) {
	offset, loaded, err := n.receiving.write(n, task)
	if err != nil {
		n.receiving.close()
		return 0, nil, fmt.Errorf("receive snapshot: %w", err)
	}
	return offset, loaded, nil
}

func (rc *receiving) write(n *Node, task *replica.SnapshotWriteTask) (int64, *replica.LoadedSnapshot, error) {
	s := task.Snapshot
	if rc.file == nil || rc.info != s {
		rc.close()
		file, err := snapshot.Receive(n.dir.snapshotPath(), uint64(s.Slot), s.Digest, s.Size)
		if err != nil {
			return 0, nil, err
		}
		rc.info, rc.file = s, file
	}
	if len(task.Data) > 0 {
		if err := rc.file.Write(task.Offset, task.Data); err != nil {
			return 0, nil, err
		}
	}
	if rc.file.Offset() < s.Size {
		return rc.file.Offset(), nil, nil
	}
	info, err := rc.file.Finish()
	if err != nil {
		return 0, nil, err
	}
	rc.file = nil
	if info.Header.Cluster != n.cluster.Load() || info.Header.Group != n.opts.Group {
		return 0, nil, fmt.Errorf("%s is of another group", info.Path)
	}
	loaded, err := readSnapshot(n.service, info.Path)
	return s.Size, loaded, err
}

// close ends a transfer that may be continued.
func (rc *receiving) close() {
	if rc.file != nil {
		_ = rc.file.Close()
		rc.file = nil
	}
}
