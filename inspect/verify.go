package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shardmaster"
	"diskv/snapshot"
	"diskv/wal"
)

// Verdict is what Verify makes of a directory, from good to bad.
type Verdict string

// The verdicts.
const (
	// Well: everything is as it must be.
	Well Verdict = "well"
	// Torn: the log ends as a power cut or a crash leaves it. A start cuts it off, and
	// nothing that was acknowledged is lost. Only of a directory that is not in use.
	Torn Verdict = "torn"
	// Suspect: the log ends as no power cut leaves it, and may lack what was
	// acknowledged. A start cuts it off and does not vote on it.
	Suspect Verdict = "suspect"
	// Damaged: something that was durable is not as it was written, or the protocol was
	// not followed.
	Damaged Verdict = "damaged"
)

// Check is what Verify found.
type Check struct {
	Dir     string  `json:"dir"`
	Verdict Verdict `json:"verdict"`
	// Fault is the first thing that is not as it must be, nil if all is.
	Fault *Fault `json:"fault,omitempty"`
	// Notes are worth knowing and no faults.
	Notes []string `json:"notes"`
	InUse bool     `json:"in_use"`
	// Records and Snapshots are how many were read, whole or up to the fault.
	Records   uint64 `json:"records"`
	Snapshots int    `json:"snapshots"`
	// SnapshotSlot is that of the newest snapshot, LastSlot the last one in the log,
	// and Commit the slot up to which everything is known as chosen.
	SnapshotSlot uint64 `json:"snapshot_slot"`
	LastSlot     uint64 `json:"last_slot"`
	Commit       uint64 `json:"commit"`

	dir *Directory
}

// Verify reads everything in a data directory and checks it. The error is one of the
// system, or that the directory is of a newer release; what is wrong with the directory
// is in the Check.
func Verify(path string, progress Progress) (*Check, error) {
	var last *Check
	dir := filepath.Join(path, "wal")
	for try := 0; ; try++ {
		before := fingerprint(dir)
		c := &Check{Dir: path, Verdict: Well, Notes: []string{}}
		if err := c.run(progress); err != nil {
			return nil, err
		}
		// What is found while a process is writing is looked at again.
		if c.Fault == nil || try == rereads || last != nil && last.Fault.Error() == c.Fault.Error() {
			return c, nil
		}
		if settled(dir, before) == before {
			return c, nil
		}
		last = c
	}
}

// fail notes the first fault.
func (c *Check) fail(v Verdict, f *Fault) {
	if c.Fault == nil {
		c.Verdict, c.Fault = v, c.dir.explain(f)
	}
}

func (c *Check) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// found takes an error that may say that something is damaged; another one is
// returned.
func (c *Check) found(err error) error {
	if f, ok := faultOf(err); ok {
		c.fail(Damaged, f)
		return nil
	}
	return err
}

func (c *Check) run(progress Progress) error {
	d, err := Open(c.Dir)
	if c.dir = d; d == nil {
		return err
	}
	c.InUse = d.InUse()
	if err != nil {
		return c.found(err)
	}
	if b, err := readSmall(d.file("PEERS")); err == nil {
		if err := replica.CheckPeers(b); err != nil {
			c.note("%s: %v; a start goes on without it, and an old copy of another member's disk is found out less surely until it has heard of them again", d.file("PEERS"), err)
		}
	}
	if !d.Identity.HasLog() {
		c.note("it has no log: the member is %v and holds nothing yet", d.Identity.Phase)
		return nil
	}
	logBytes := d.LogBytes()
	snapshotBytes, _ := sizeOf(d.snapshotPath())
	part := func(from, size int64) Progress {
		return func(done, total int64) {
			progress.tell(from+int64(float64(size)*float64(done)/float64(max(total, 1))), logBytes+snapshotBytes)
		}
	}
	newest, err := c.checkSnapshots(part(0, snapshotBytes))
	if err != nil || c.Fault != nil {
		return err
	}
	return c.checkLog(newest, part(snapshotBytes, logBytes), logBytes)
}

// checkSnapshots reads every snapshot, and returns the slot of the newest.
func (c *Check) checkSnapshots(progress Progress) (paxos.Slot, error) {
	slots, err := snapshot.List(c.dir.snapshotPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for i, slot := range slots {
		path := snapshot.Path(c.dir.snapshotPath(), slot)
		err := c.checkSnapshot(path, slot, i == len(slots)-1, func(done, total int64) {
			progress.tell(int64(i)*1000+1000*done/max(total, 1), int64(len(slots))*1000)
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped while we read
		}
		if err := c.found(err); err != nil {
			return 0, err
		}
		if c.Fault != nil {
			return 0, nil
		}
		c.Snapshots++
		c.SnapshotSlot = slot
	}
	c.Commit = c.SnapshotSlot
	return paxos.Slot(c.SnapshotSlot), nil
}

// checkSnapshot reads one file. The newest is loaded, as a start does.
func (c *Check) checkSnapshot(path string, slot uint64, newest bool, progress Progress) error {
	r, err := openSnapshot(path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	h, id := r.Header(), c.dir.Identity
	bad := func(format string, args ...any) error {
		return &Fault{File: path, Reason: fmt.Sprintf(format, args...)}
	}
	switch _, err := paxos.DecodeHardState(h.State); {
	case err != nil:
		return bad("%v", err)
	case h.Slot != slot:
		return bad("the name is of slot %d, the contents are of slot %d", slot, h.Slot)
	case h.Cluster != uint64(id.Cluster) || h.Group != uint64(id.Group):
		return &Fault{File: path, Other: c.dir.file("IDENTITY"), Remedy: "put back the file that belongs here", Reason: fmt.Sprintf(
			"the snapshot is of group %d of cluster %v, the directory of group %d of cluster %v", h.Group, paxos.ClusterID(h.Cluster), id.Group, id.Cluster)}
	case !newest:
		_, err := snapshot.Verify(path)
		return err
	}
	_, err = c.dir.load(r, progress)
	if errors.Is(err, kv.ErrRecord) || errors.Is(err, shardmaster.ErrRecord) {
		return bad("%v", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// checkLog reads the log, which goes on from a snapshot.
func (c *Check) checkLog(base paxos.Slot, progress Progress, total int64) error {
	p := newProtocol(base)
	var broken *Fault
	done := int64(0)
	errBroken := errors.New("broken")
	report, live, err := scanLog(c.dir.walPath(), func(f frame) error {
		done += f.size()
		progress.tell(done, total)
		slot, err := p.take(&f)
		if err != nil {
			broken = &Fault{File: c.segmentFile(f.segment), Index: f.Index, Offset: f.offset, Slot: uint64(slot), Reason: err.Error()}
			return errBroken
		}
		if f.Type == wal.TypeState || f.Type == wal.TypeData {
			c.Records++
		}
		return nil
	})
	c.LastSlot, c.Commit = uint64(p.last), uint64(p.commit)
	switch {
	case broken != nil:
		c.fail(Damaged, broken)
		return nil
	case isNoLog(err):
		c.fail(Damaged, &Fault{File: c.dir.walPath(), Reason: "the log is missing, though IDENTITY says that there is one"})
		return nil
	case err != nil:
		return c.found(err)
	case report.LogID != c.dir.Identity.LogID:
		c.fail(Damaged, &Fault{
			File: filepath.Join(c.dir.walPath(), "MANIFEST"), Other: c.dir.file("IDENTITY"), Remedy: "put back the wal/ that belongs here",
			Reason: fmt.Sprintf("the log is %016x, the directory belongs to log %016x", report.LogID, c.dir.Identity.LogID),
		})
		return nil
	}
	c.judgeEnd(&report, live || c.InUse)
	c.judgeLives(p)
	return nil
}

func (c *Check) segmentFile(n uint64) string {
	return filepath.Join(c.dir.walPath(), fmt.Sprintf("%020d", n), "00000000000000000001")
}

// judgeEnd says what the end of the log is.
func (c *Check) judgeEnd(r *wal.Report, live bool) {
	cut := r.Cut
	switch {
	case r.Suspect && cut != nil:
		c.fail(Suspect, &Fault{
			File: cut.File, Index: cut.Index, Offset: cut.Offset,
			Reason: cut.Reason + fmt.Sprintf(": %d bytes that no power cut leaves, and records that were acknowledged may be missing", cut.Bytes),
			Remedy: c.dir.suspectRemedy(),
		})
	case r.Suspect:
		c.fail(Suspect, &Fault{
			File:   filepath.Join(c.dir.walPath(), "MANIFEST"),
			Reason: "an earlier start found the end of the log damaged and cut it off (it is kept in quarantine/): records that were acknowledged may be missing",
			Remedy: c.dir.suspectRemedy(),
		})
	case cut != nil && live:
		c.note("the last %d bytes of the log are not a whole record: the process that uses the directory is writing it", cut.Bytes)
	case cut != nil:
		c.fail(Torn, &Fault{
			File: cut.File, Index: cut.Index, Offset: cut.Offset,
			Reason: cut.Reason + fmt.Sprintf(": %d bytes of a write that did not end, as a crash leaves it", cut.Bytes),
			Remedy: "nothing that was acknowledged is lost: start diskvd, which keeps these bytes in quarantine/ and cuts them off",
		})
	}
}

// judgeLives says whether this is the disk with which the member last voted.
func (c *Check) judgeLives(p *protocol) {
	id := c.dir.Identity
	if id.Phase != replica.PhaseMember {
		c.note("the member is %v: it lost its disk and does not vote until the others let it back", id.Phase)
		return
	}
	if j, ok := p.successor(id.Index, id.Life); ok {
		c.fail(Damaged, &Fault{
			File: c.dir.file("IDENTITY"), Other: c.dir.walPath(), Slot: uint64(j.slot),
			Reason: fmt.Sprintf("the group has let member %d back with another disk, %v: this one, %v, is an old copy", id.Index, j.Life, id.Life),
		})
		return
	}
	if p.state.Recovering {
		c.fail(Damaged, &Fault{
			File: c.dir.file("IDENTITY"), Other: c.dir.walPath(),
			Reason: "IDENTITY says that the member votes, the log that it lost its disk and must not: they are not of the same time",
		})
	}
	if own := p.state.Vector[id.Index]; own.Epoch >= id.Life.Epoch && own.Nonce != 0 && own.Nonce != id.Life.Nonce {
		c.note("the log knows another disk of this member, %v, than this one, %v; that it was let back is not known as chosen", own, id.Life)
	}
}
