package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"diskv/paxos"
	"diskv/replica"
)

// damage says that a directory lacks, or may lack, something that was durable.
// A single node cannot go on from that; a member of a group has lost its disk.
type damage struct{ error }

func (d damage) Unwrap() error { return d.error }

// lostDisk ends a node whose replica has found out that its disk is not the one
// that it last voted with.
type lostDisk struct{ reason string }

func (l lostDisk) Error() string { return "lost disk: " + l.reason }

// recovering makes the directory that of a replica that has lost its disk: with
// a new nonce, and nothing of what it had. First IDENTITY says so; then what is
// left is put aside. A crash in between leaves files that the next start puts
// aside. Nothing is deleted.
func (d *dataDir) recovering(o *Options, draw func() uint64, reason string) error {
	d.id = replica.Identity{
		Cluster: d.id.Cluster, Group: paxos.GroupID(o.Group), Index: paxos.ReplicaID(o.Index),
		Size: len(o.Peers), Lease: o.Lease, Service: o.Service,
		Phase: replica.PhaseRecovering, Life: paxos.Life{Nonce: draw()}, Boot: d.id.Boot, BootID: draw(),
	}
	if err := d.store(d.id); err != nil {
		return err
	}
	return d.putAside(reason)
}

// putAside moves the log and the snapshots to quarantine/, with a note of why.
func (d *dataDir) putAside(reason string) error {
	var left []string
	for _, p := range []string{d.walPath(), d.snapshotPath()} {
		entries, err := os.ReadDir(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put aside %s: %w", p, err)
		}
		if len(entries) > 0 {
			left = append(left, p)
		}
	}
	if len(left) == 0 {
		return nil
	}
	to, err := d.aside(reason)
	if err != nil {
		return err
	}
	for _, p := range left {
		if err := os.Rename(p, filepath.Join(to, filepath.Base(p))); err != nil {
			return fmt.Errorf("put aside %s: %w", p, err)
		}
	}
	for _, p := range []string{to, d.path} {
		if err := syncDir(p); err != nil {
			return err
		}
	}
	return nil
}

// aside makes a directory in quarantine/ with a note of why.
func (d *dataDir) aside(reason string) (string, error) {
	to := filepath.Join(d.quarantinePath(), fmt.Sprintf("lost-%s-boot-%d", time.Now().UTC().Format("20060102T150405.000"), d.id.Boot))
	err := os.MkdirAll(to, 0o750)
	if err == nil {
		err = replaceFile(filepath.Join(to, "WHY"), []byte(reason+"\n"))
	}
	if err == nil {
		err = syncDir(d.quarantinePath())
	}
	if err == nil {
		err = syncDir(d.path)
	}
	if err != nil {
		return "", fmt.Errorf("make quarantine: %w", err)
	}
	return to, nil
}
