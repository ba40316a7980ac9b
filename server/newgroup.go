package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/snapshot"
	"diskv/wal"
)

// Survivor is the directory of a member whose group has lost so many disks that
// it stops for ever, opened offline. From what it holds an operator can begin a
// new group, as the last resort: what was acknowledged without this member is
// lost.
//
//	s, err := server.OpenSurvivor(dir)
//	defer s.Close()
//	fmt.Println(s.Identity, s.Slot, s.Undecided)   // what it holds
//	info, err := s.WriteGenesis(file)              // the new group's beginning
//	...
//	err = server.InstallGenesis(file, dirOfMember, index)   // on each member
type Survivor struct {
	Identity  replica.Identity
	Slot      paxos.Slot // everything up to here is in the genesis
	Undecided int        // slots of it that are not known as chosen; they may have been acknowledged
	LogTime   time.Time  // of the last batch
	Holds     string     // what, in numbers
	// Suspect says what makes the end of the log suspect, empty if it is not: then
	// records that this member had acknowledged may be missing.
	Suspect string

	lock    *dataDir
	machine machine
}

// OpenSurvivor locks and reads a directory. It changes nothing in it.
func OpenSurvivor(dir string) (*Survivor, error) {
	d, err := lockExisting(dir)
	if err != nil {
		return nil, err
	}
	if d.id.Phase != replica.PhaseMember {
		err := fmt.Errorf("data directory %s is of a member that is %v: only one that kept its disk can be the beginning of a new group%s",
			dir, d.id.Phase, d.hint())
		_ = d.close()
		return nil, err
	}
	return survivorOf(d, d)
}

// OpenPutAside is OpenSurvivor on what a start has put aside, which is a directory
// quarantine/lost-* of a data directory, because it found it suspect or damaged. What
// is damaged is refused. Nothing is moved back: the member that has it votes on none
// of it any more, and the new group begins with all that can be read.
func OpenPutAside(dir, aside string) (*Survivor, error) {
	d, err := lockExisting(dir)
	if err != nil {
		return nil, err
	}
	from := &dataDir{path: filepath.Clean(aside), id: d.id}
	// What the member was when this was put aside. Its vote counts nowhere.
	from.id.Phase, from.id.LogID = replica.PhaseMember, 1
	return survivorOf(d, from)
}

// lockExisting locks a directory that was formatted, and reads whose it is.
func lockExisting(dir string) (*dataDir, error) {
	d := &dataDir{path: filepath.Clean(dir)}
	b, err := os.ReadFile(d.identityPath())
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if d.id, err = replica.DecodeIdentity(b); err != nil {
		return nil, fmt.Errorf("%s: %w", d.identityPath(), err)
	}
	if err := d.acquire(); errors.Is(err, errInUse) {
		return nil, fmt.Errorf("data directory %s %w: stop that first", d.path, errInUse)
	} else if err != nil {
		return nil, err
	}
	return d, nil
}

// hint names what a start has put aside, if that may be used.
func (d *dataDir) hint() string {
	logs, _ := filepath.Glob(filepath.Join(d.quarantinePath(), "lost-*", "wal"))
	if len(logs) == 0 {
		return ""
	}
	return "; what it had before may do: give --put-aside " + filepath.Dir(logs[len(logs)-1])
}

// survivorOf reads the log and the snapshots of from. The lock is held until Close.
func survivorOf(lock, from *dataDir) (*Survivor, error) {
	s := &Survivor{Identity: from.id, lock: lock}
	if err := s.load(from); err != nil {
		_ = lock.close()
		return nil, err
	}
	return s, nil
}

func (s *Survivor) load(from *dataDir) error {
	r, report, err := from.replay(nil)
	if err != nil {
		return err
	}
	if report.Suspect {
		s.Suspect = suspicion(&report)
	}
	if s.Undecided, err = r.AcceptAll(); err != nil {
		return fmt.Errorf("data directory %s: %w", from.path, err)
	}
	st := r.Status()
	s.machine = machineOf(r)
	s.Slot, s.LogTime = st.Applied, time.Unix(0, st.LogTime).UTC()
	s.Holds = s.machine.holds()
	return nil
}

// replay reads what the directory holds into a replica as a start does, and changes
// nothing. Read is told after each record how many bytes of the log it was, if it is not
// nil.
func (d *dataDir) replay(read func(bytes int)) (*replica.Replica, wal.Report, error) {
	cfg := replica.Config{Identity: d.id, Machine: newService(d.id.Service, uint64(d.id.Group)).empty(), Rand: newRand()}
	// Where there never was a snapshot its directory was not put aside.
	if err := d.loadSnapshot(&cfg); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wal.Report{}, err
	}
	r, err := replica.New(cfg)
	if err != nil {
		return nil, wal.Report{}, fmt.Errorf("data directory %s: %w", d.path, err)
	}
	replay := d.replayer(r, cfg.Snapshot.Slot)
	report, err := wal.Scan(d.walPath(), func(_ uint64, rec wal.Record, _ int64) error {
		if read != nil {
			read(len(rec.Payload))
		}
		switch rec.Type {
		case wal.TypeMark:
			return nil
		case wal.TypeHeader:
			rec.Type = wal.TypeState // it repeats the newest one
		case wal.TypeState, wal.TypeData:
		}
		return replay(rec)
	})
	switch {
	case errors.Is(err, wal.ErrNoLog):
		err = d.noLog()
	case err != nil:
		err = asDamage(fmt.Errorf("data directory %s: %w", d.path, err))
	}
	return r, report, err
}

// WriteGenesis writes the beginning of a new group of the same size to a new
// file: everything that the survivor holds, a new cluster id, and the nonces of
// all members. Members of the old cluster have nothing to do with the new one.
func (s *Survivor) WriteGenesis(file string) (snapshot.Info, error) {
	cluster, state := NewGenesis(s.Identity.Size, s.Slot)
	held := s.machine.Image().(image)
	info, err := snapshot.CreateAs(file, false, snapshot.Header{
		Cluster: cluster, Group: uint64(s.Identity.Group), Slot: uint64(s.Slot), Config: held.Config(),
		LogTime: s.LogTime.UnixNano(), State: state,
	}, held.Records)
	switch {
	case errors.Is(err, fs.ErrExist):
		return info, fmt.Errorf("%s is there already: give the name of a new file", file)
	case err != nil:
		return info, fmt.Errorf("write genesis: %w", err)
	}
	return info, nil
}

// NewGenesis draws what makes a snapshot of a slot the genesis of a new group of a
// size: a cluster id, and the hard state with the nonces of all members.
func NewGenesis(size int, slot paxos.Slot) (cluster uint64, state []byte) {
	h := paxos.HardState{Commit: slot}
	for i := range size {
		h.Vector[i] = paxos.Life{Nonce: randomUint64()}
	}
	return randomUint64(), paxos.AppendHardState(nil, h)
}

// Close lets go of the directory.
func (s *Survivor) Close() { _ = s.lock.close() }

// InstallGenesis makes a directory that of a member of the new group that
// begins with a genesis file. What the directory holds is put aside. Each index
// is to be installed once: two directories of one index would vote twice.
func InstallGenesis(file, dir string, index int, lease bool) error {
	info, err := snapshot.Verify(file)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	h, err := paxos.DecodeHardState(info.Header.State)
	if err != nil {
		return fmt.Errorf("genesis %s: %w", file, err)
	}
	size := 0
	for size < len(h.Vector) && h.Vector[size].Nonce != 0 {
		size++
	}
	if h.Promised.Valid() || size == 0 {
		return fmt.Errorf("%s is a snapshot, but not the genesis of a new group: make one with diskvlog recover --force-new-group", file)
	}
	if index < 0 || index >= size {
		return fmt.Errorf("--index %d: the genesis is of members 0 to %d", index, size-1)
	}
	service, err := serviceOf(info)
	if err != nil {
		return fmt.Errorf("genesis %s: %w", file, err)
	}
	d := &dataDir{path: filepath.Clean(dir)}
	if err := makeDirs(d.path); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := d.acquire(); err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	if err := d.forget(info.Header.Cluster); err != nil {
		return err
	}
	if err := d.copySnapshot(info); err != nil {
		return err
	}
	logID := randomUint64()
	log, err := wal.Create(d.walPath(), logID, info.Header.State, wal.Options{})
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	if err := log.Close(); err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	if err := syncDir(d.path); err != nil {
		return err
	}
	return d.store(replica.Identity{
		Cluster: paxos.ClusterID(info.Header.Cluster), Group: paxos.GroupID(info.Header.Group),
		Index: paxos.ReplicaID(index), Size: size, Lease: lease, Service: service,
		Phase: replica.PhaseMember, Life: h.Vector[index], LogID: logID,
	})
}

// serviceOf returns what the group of a genesis is for.
func serviceOf(info snapshot.Info) (paxos.Service, error) {
	if info.Header.Group == 0 {
		return paxos.ServiceShardmaster, nil
	}
	rd, err := snapshot.Open(info.Path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rd.Close() }()
	store, err := kv.Restore(rd.Next)
	if err != nil {
		return 0, err
	}
	if store.Handover().Group != 0 {
		return paxos.ServiceSharded, nil
	}
	return paxos.ServicePlain, nil
}

// forget puts everything that a directory holds aside, IDENTITY first: from then
// on it is nobody's.
func (d *dataDir) forget(cluster uint64) error {
	b, err := os.ReadFile(d.identityPath())
	if errors.Is(err, fs.ErrNotExist) {
		return d.putAside("put aside for the genesis of a new group")
	}
	if err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	if id, err := replica.DecodeIdentity(b); err == nil && uint64(id.Cluster) == cluster {
		return fmt.Errorf("data directory %s is already of a member of the group that begins with this file: nothing to do; to go back to what it holds once more, make another genesis of it (docs/operations.md, Backups)", d.path)
	}
	why := "put aside for the genesis of a new group"
	to, err := d.aside(why)
	if err != nil {
		return err
	}
	if err := os.Rename(d.identityPath(), filepath.Join(to, "IDENTITY")); err != nil {
		return fmt.Errorf("put aside IDENTITY: %w", err)
	}
	return d.putAside(why)
}

// copySnapshot copies a verified snapshot into the directory, durably.
func (d *dataDir) copySnapshot(info snapshot.Info) error {
	if err := os.MkdirAll(d.snapshotPath(), 0o750); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	in, err := snapshot.Receive(d.snapshotPath(), info.Header.Slot, info.Digest, info.Size)
	if err != nil {
		return fmt.Errorf("install genesis: %w", err)
	}
	defer func() { _ = in.Close() }()
	f, err := os.Open(info.Path)
	if err != nil {
		return fmt.Errorf("install genesis: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(in.Offset(), io.SeekStart); err != nil {
		return fmt.Errorf("install genesis: %w", err)
	}
	for buf := make([]byte, 1<<20); in.Offset() < info.Size; {
		n, err := f.Read(buf)
		if err == nil {
			err = in.Write(in.Offset(), buf[:n])
		}
		if err != nil {
			return fmt.Errorf("install genesis: %w", err)
		}
	}
	if _, err := in.Finish(); err != nil {
		return fmt.Errorf("install genesis: %w", err)
	}
	return nil
}
