package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"diskv/paxos"
	"diskv/replica"
)

// dataDir is a replica's directory, locked while it is in use:
//
//	IDENTITY      whose directory it is; replaced atomically
//	PEERS         what is remembered of the other members' disks; replaced atomically
//	LOCK          locked by the process that uses the directory
//	wal/          the log
//	snapshot/     snapshot files
//	quarantine/   what was cut off or found damaged
type dataDir struct {
	path string
	lock *os.File
	id   replica.Identity
	lost string // why the directory was found to be a lost disk; empty if it was not
}

func (d *dataDir) walPath() string        { return filepath.Join(d.path, "wal") }
func (d *dataDir) snapshotPath() string   { return filepath.Join(d.path, "snapshot") }
func (d *dataDir) quarantinePath() string { return filepath.Join(d.path, "quarantine") }
func (d *dataDir) identityPath() string   { return filepath.Join(d.path, "IDENTITY") }
func (d *dataDir) peersPath() string      { return filepath.Join(d.path, "PEERS") }

// openDir locks the directory and makes sure that it is this replica's. A
// directory that holds nothing is formatted where that is safe. Draw makes the
// random numbers.
func openDir(o *Options, draw func() uint64) (*dataDir, error) {
	d := &dataDir{path: filepath.Clean(o.Dir)}
	if err := d.makeAndLock(o); err != nil {
		return nil, err
	}
	if err := d.identify(o, draw); err != nil {
		_ = d.close()
		return nil, err
	}
	return d, nil
}

func (d *dataDir) makeAndLock(o *Options) error {
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(d.path); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("data directory: %w", err)
	} else if _, err := os.Stat(d.identityPath()); errors.Is(err, fs.ErrNotExist) {
		if err := d.checkEmpty(o); err != nil { // before anything is written into it
			return err
		}
	}
	return d.acquire()
}

// acquire locks the directory, which must be there.
func (d *dataDir) acquire() error {
	name := filepath.Join(d.path, "LOCK")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("data directory %s cannot be written to: %w; run diskvd as the owner of the directory, or give a --dir that can", d.path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("data directory %s %w: stop that one, or give this one a --dir of its own", d.path, errInUse)
		}
		return fmt.Errorf("lock %s: %w", name, err)
	}
	d.lock = f
	return nil
}

// held returns an error if the path is not that of the directory that was locked any
// more: somebody has moved or removed that. What is written by the path would be lost, or
// would harm a process that has its place.
func (d *dataDir) held() error {
	now, err := os.Stat(filepath.Join(d.path, "LOCK"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory %s: %w", d.path, err)
	}
	own, errOwn := d.lock.Stat()
	if errOwn != nil {
		return fmt.Errorf("data directory %s: %w", d.path, errOwn)
	}
	if err != nil || !os.SameFile(now, own) {
		return fmt.Errorf("data directory %s, or LOCK in it, was moved or removed while this process used it, and what is written now may not outlive it:"+
			" put it back and start again, or see docs/operations.md, A lost disk", d.path)
	}
	return nil
}

var errInUse = errors.New("is in use by another process")

// makeDirs makes a directory, and those above it that are missing, durably: one
// that vanished in a power cut would take everything in it along.
func makeDirs(path string) error {
	above := filepath.Dir(path)
	if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) {
		if err := makeDirs(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(above)
}

// identify reads IDENTITY, or formats the directory, and counts the start. A
// member of a group whose IDENTITY is missing or damaged has lost its disk.
func (d *dataDir) identify(o *Options, draw func() uint64) error {
	b, err := os.ReadFile(d.identityPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := d.format(o, draw); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("read identity: %w", err)
	default:
		d.id, err = replica.DecodeIdentity(b)
		switch {
		case errors.Is(err, replica.ErrIdentity) && !o.single():
			return d.loseIdentity(o, draw, b, err)
		case errors.Is(err, replica.ErrIdentity):
			return fmt.Errorf("%s: %w; nothing was changed: put the file back as it was", d.identityPath(), err)
		case err != nil:
			return fmt.Errorf("%s: %w", d.identityPath(), err)
		}
		if err := d.mine(o); err != nil {
			return err
		}
	}
	d.id.Boot++
	d.id.BootID = draw()
	return d.store(d.id)
}

// loseIdentity keeps a damaged IDENTITY aside.
func (d *dataDir) loseIdentity(o *Options, draw func() uint64, content []byte, damaged error) error {
	d.id = replica.Identity{Boot: 1} // how often it was started before, nobody knows
	d.lost = damaged.Error()
	to, err := d.aside(d.lost)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(to, "IDENTITY"), content); err != nil {
		return fmt.Errorf("put aside IDENTITY: %w", err)
	}
	return d.recovering(o, draw, d.lost)
}

// checkEmpty reports what a directory without IDENTITY holds that is not there
// by itself. What a member of a group may have left there is a lost disk.
func (d *dataDir) checkEmpty(o *Options) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	d.lost = ""
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "LOCK", name == "lost+found", strings.HasPrefix(name, "IDENTITY."):
		case name == "wal", name == "snapshot", name == "quarantine", strings.HasPrefix(name, "PEERS"):
			if d.lost = "IDENTITY is missing"; o.single() {
				return fmt.Errorf("data directory %s has lost its IDENTITY: put that file back, or a backup of the whole directory", d.path)
			}
		default:
			return fmt.Errorf("data directory %s has no IDENTITY but holds %s: it is not diskv's, or it has lost files;"+
				" give an empty directory, or put the lost files back", d.path, name)
		}
	}
	return nil
}

// format makes an empty directory that of a replica whose group has not formed,
// or, where nobody has said that the group is new, of one that has lost its
// disk.
func (d *dataDir) format(o *Options, draw func() uint64) error {
	if err := d.checkEmpty(o); err != nil {
		return err
	}
	if o.single() && o.Service != paxos.ServicePlain && !o.Bootstrap {
		return fmt.Errorf("data directory %s is empty, and others may know this group already: give its --dir, or --bootstrap if it has never run", d.path)
	}
	if d.lost == "" && !o.single() && !o.Bootstrap {
		d.lost = "the data directory is empty, and --bootstrap was not given"
	}
	if d.lost != "" {
		return d.recovering(o, draw, d.lost)
	}
	d.id = replica.Identity{
		Group: paxos.GroupID(o.Group), Index: paxos.ReplicaID(o.Index), Size: len(o.Peers), Lease: o.Lease, Service: o.Service,
		Phase: replica.PhaseForming, Life: paxos.Life{Nonce: draw()},
	}
	return nil
}

// mine refuses the directory of another replica.
func (d *dataDir) mine(o *Options) error {
	id := d.id
	switch {
	case id.Service != o.Service:
		return fmt.Errorf("data directory %s belongs to %s, this is to be %s: give the right --dir, or %s",
			d.path, services[id.Service].who, services[o.Service].who, services[id.Service].remedy)
	case uint64(id.Group) != o.Group:
		return fmt.Errorf("data directory %s belongs to group %d, not to group %d: give the right --dir or --group", d.path, id.Group, o.Group)
	case int(id.Index) != o.Index:
		return fmt.Errorf("data directory %s belongs to member %d, not to member %d: give the right --dir or --index", d.path, id.Index, o.Index)
	case id.Size != len(o.Peers) && len(o.Peers) == 1:
		return fmt.Errorf("data directory %s belongs to a group of %d members, and one without --peers is a single node: give the --peers that it was made with", d.path, id.Size)
	case id.Size != len(o.Peers):
		return fmt.Errorf("data directory %s belongs to a group of %d members, --peers names %d: give the --peers that it was made with", d.path, id.Size, len(o.Peers))
	case id.Lease != o.Lease:
		return fmt.Errorf("the group of data directory %s was formed with --read %s: start it with that", d.path, readModes[id.Lease])
	}
	return nil
}

// services says whose a directory is, and how a node is made to be such a one.
var services = map[paxos.Service]struct{ who, remedy string }{
	paxos.ServicePlain:       {"a group that owns every shard", "start it without --shardmasters"},
	paxos.ServiceSharded:     {"a group of a sharded cluster", "start it with --shardmasters"},
	paxos.ServiceShardmaster: {"a shardmaster", "start it with diskvd shardmaster"},
}

// store replaces IDENTITY durably.
func (d *dataDir) store(id replica.Identity) error {
	if err := d.held(); err != nil {
		return fmt.Errorf("store identity: %w", err)
	}
	if err := replaceFile(d.identityPath(), replica.AppendIdentity(nil, id)); err != nil {
		return fmt.Errorf("store identity: %w", err)
	}
	d.id = id
	return nil
}

// close lets go of the directory.
func (d *dataDir) close() error { return d.lock.Close() }

// replaceFile gives a file a new content durably, or leaves the old one.
func replaceFile(name string, content []byte) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes the entries of a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}
