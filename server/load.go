package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shardmaster"
	"diskv/snapshot"
	"diskv/wal"
)

// load builds the replica from what the directory holds: the newest snapshot,
// and the log on top of it.
func (n *Node) load() error {
	for _, dir := range []string{n.dir.snapshotPath(), n.dir.quarantinePath()} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	if err := syncDir(n.dir.path); err != nil {
		return err
	}
	cfg := replica.Config{Options: n.opts.Replica, Identity: n.dir.id, Machine: n.service.empty(), Rand: newRand()}
	var err error
	if cfg.Peers, err = os.ReadFile(n.dir.peersPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory: %w", err)
	}
	if !n.dir.id.HasLog() {
		return n.loadNothing(cfg)
	}
	begun := time.Now()
	if err := n.dir.loadSnapshot(&cfg); err != nil {
		return err
	}
	r, err := replica.New(cfg)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", n.dir.path, err)
	}
	if err := n.openLog(r, cfg.Snapshot.Slot); err != nil {
		return err
	}
	n.replica = r
	n.cluster.Store(uint64(n.dir.id.Cluster))
	st := r.Status()
	n.logger.Info("loaded", "snapshot", cfg.Snapshot.Slot, "commit", st.Commit, "last", st.Last,
		"log bytes", n.log.Bytes(), "took", time.Since(begun).Round(time.Millisecond))
	return nil
}

// loadNothing builds a replica that is in no group yet, or not again.
func (n *Node) loadNothing(cfg replica.Config) error {
	if n.dir.id.Phase == replica.PhaseForming {
		// A log that was made for a genesis that was then not stored has never
		// held a vote.
		if err := os.RemoveAll(n.dir.walPath()); err != nil {
			return fmt.Errorf("remove unused log: %w", err)
		}
	} else if err := n.dir.putAside("left over by a start that was interrupted while it put a lost disk aside"); err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir.snapshotPath(), 0o750); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	var err error
	n.replica, err = replica.New(cfg)
	return err
}

// loadSnapshot puts the newest snapshot into cfg, if there is one.
func (d *dataDir) loadSnapshot(cfg *replica.Config) error {
	info, ok, err := snapshot.Newest(d.snapshotPath())
	if err != nil {
		return asDamage(fmt.Errorf("newest snapshot: %w", err))
	}
	if !ok {
		return nil
	}
	id := d.id
	if info.Header.Cluster != uint64(id.Cluster) || info.Header.Group != uint64(id.Group) {
		return fmt.Errorf("snapshot %s is of group %d of cluster %v, this directory is of group %d of cluster %v: put back the file that belongs here",
			info.Path, info.Header.Group, paxos.ClusterID(info.Header.Cluster), id.Group, id.Cluster)
	}
	loaded, err := readSnapshot(newService(id.Service, uint64(id.Group)), info.Path)
	if err != nil {
		return asDamage(err)
	}
	cfg.Machine, cfg.Header, cfg.Snapshot = loaded.Machine, loaded.Header, snapshotInfo(info)
	return nil
}

// readSnapshot verifies and loads a snapshot file of a service.
func readSnapshot(s service, path string) (*replica.LoadedSnapshot, error) {
	rd, err := snapshot.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	defer func() { _ = rd.Close() }()
	m, err := s.restore(rd.Next)
	if err != nil {
		return nil, fmt.Errorf("load snapshot %s: %w", path, err)
	}
	h := rd.Header()
	return &replica.LoadedSnapshot{
		Header:  replica.SnapshotHeader{Slot: paxos.Slot(h.Slot), LogTime: h.LogTime, State: h.State},
		Machine: m,
	}, nil
}

func snapshotInfo(i snapshot.Info) replica.SnapshotInfo {
	return replica.SnapshotInfo{Slot: paxos.Slot(i.Header.Slot), Digest: i.Digest, Size: i.Size}
}

// openLog opens the log and replays it into r, which holds the snapshot of a
// slot.
func (n *Node) openLog(r *replica.Replica, loaded paxos.Slot) error {
	log, report, err := wal.Open(n.dir.walPath(), n.logOptions(), n.dir.replayer(r, loaded))
	switch {
	case errors.Is(err, wal.ErrNoLog):
		return n.dir.noLog()
	case err != nil:
		return asDamage(fmt.Errorf("data directory %s: %w", n.dir.path, err))
	}
	n.log = log
	if report.LogID != n.dir.id.LogID {
		return n.dir.otherLog()
	}
	if report.Suspect {
		return n.dir.suspect(&report)
	}
	if report.Torn {
		n.logger.Warn("torn end of the log cut, as after a power cut; nothing acknowledged is lost", "cut", report.Cut.String())
	}
	return nil
}

func (d *dataDir) noLog() error {
	return damage{fmt.Errorf("data directory %s has lost its log: put the directory %s back", d.path, d.walPath())}
}

func (d *dataDir) otherLog() error {
	return fmt.Errorf("data directory %s: the log is another replica's: put back the wal/ that belongs here", d.path)
}

// suspect says what a suspect end of the log means. A single node stops there; a
// member of a group goes on as one that lost its disk, and this is why.
func (d *dataDir) suspect(report *wal.Report) error {
	may := fmt.Sprintf("data directory %s: the log may lack records that were acknowledged (%s)", d.path, suspicion(report))
	switch kept := "; what was cut is kept in " + d.quarantinePath(); {
	case d.id.Size > 1:
		return damage{fmt.Errorf("%s, so this member must not vote", may)}
	case d.id.Service != paxos.ServicePlain:
		// Other groups have acted on what may be missing.
		return damage{fmt.Errorf("%s%s; put back a wal/ that is whole; the last resort is: diskvlog recover --force-new-group --dir %s --out genesis", may, kept, d.path)}
	default:
		return damage{fmt.Errorf("%s%s; put back a wal/ that is whole, or, to go on without what is missing: diskvlog repair --accept-torn-tail %s", may, kept, d.path)}
	}
}

// suspicion says what makes a log suspect.
func suspicion(report *wal.Report) string {
	if report.Cut == nil {
		return "an earlier start found its end damaged, and cut it off"
	}
	return report.Cut.String()
}

// replayer returns what takes the records of the log into r, which holds the
// snapshot of a slot.
func (d *dataDir) replayer(r *replica.Replica, loaded paxos.Slot) func(wal.Record) error {
	return func(rec wal.Record) error {
		out, err := fromLog(rec)
		if err != nil {
			return err
		}
		if err := r.Replay(out); err != nil {
			// The record's checksum was right: what it goes on from is missing.
			return damage{fmt.Errorf("record %d does not fit on %s (%w): a snapshot is missing, or %s and %s are not of the same time;"+
				" nothing was changed: put back what belongs here",
				rec.Index, baseName(loaded), err, d.walPath(), d.snapshotPath())}
		}
		return nil
	}
}

// asDamage tells what a damaged file has shown from what the system or the
// program could not do.
func asDamage(err error) error {
	var inLog *wal.CorruptionError
	var inSnapshot *snapshot.CorruptionError
	if errors.As(err, &inLog) || errors.As(err, &inSnapshot) ||
		errors.Is(err, kv.ErrRecord) || errors.Is(err, shardmaster.ErrRecord) {
		return damage{err}
	}
	return err
}

// baseName says on what the log is replayed.
func baseName(loaded paxos.Slot) string {
	if loaded == 0 {
		return "an empty store"
	}
	return fmt.Sprintf("the snapshot of slot %d", loaded)
}

func (n *Node) logOptions() wal.Options {
	return wal.Options{
		SegmentBytes: n.opts.SegmentBytes,
		Quarantine:   n.dir.quarantinePath(),
		Guard:        n.dir.held,
		OnDurable:    func(index uint64) { n.inbox.put(func(r *replica.Replica) { n.logDurable(r, index) }) },
		OnFail:       func(err error) { n.fail(fmt.Errorf("log: %w", err)) },
		OnSync:       n.metrics.observeSync,
	}
}

// fromLog and toLog say which record of the log is which of the replica's.
func fromLog(rec wal.Record) (replica.Record, error) {
	out := replica.Record{Slot: paxos.Slot(rec.Tag), Payload: rec.Payload}
	switch rec.Type {
	case wal.TypeState:
		out.Kind = replica.RecordState
	case wal.TypeData:
		out.Kind = replica.RecordEntry
	default:
		return out, fmt.Errorf("log record %d is of unknown type %v", rec.Index, rec.Type)
	}
	return out, nil
}

func toLog(rec replica.Record) wal.Record {
	out := wal.Record{Type: wal.TypeState, Tag: uint64(rec.Slot), Payload: rec.Payload}
	if rec.Kind == replica.RecordEntry {
		out.Type = wal.TypeData
	}
	return out
}
