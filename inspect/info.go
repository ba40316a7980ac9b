package inspect

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// Info is a data directory on one screen.
type Info struct {
	Dir     string `json:"dir"`
	InUse   bool   `json:"in_use"`
	Service string `json:"service"`
	Cluster string `json:"cluster"`
	Group   uint64 `json:"group"`
	Member  uint8  `json:"member"`
	Members int    `json:"members"`
	Phase   string `json:"phase"`
	Lease   bool   `json:"lease"`
	Epoch   uint64 `json:"epoch"`
	Nonce   string `json:"nonce"`
	Boot    uint64 `json:"boot"`
	BootID  string `json:"boot_id"`

	Log *LogInfo `json:"log,omitempty"` // nil while there is none

	Snapshots  []Snapshot `json:"snapshots"`
	Unfinished int        `json:"unfinished_snapshots"`

	LogBytes        int64 `json:"log_bytes"`
	SnapshotBytes   int64 `json:"snapshot_bytes"`
	QuarantineBytes int64 `json:"quarantine_bytes"`
	QuarantineFiles int   `json:"quarantine_files"`

	// Problem is the first thing that was found wrong on the way. Verify looks
	// closer.
	Problem string `json:"problem,omitempty"`
}

// LogInfo is a log on one screen.
type LogInfo struct {
	ID           string `json:"id"`
	FirstSegment uint64 `json:"first_segment"`
	LastSegment  uint64 `json:"last_segment"`
	FirstIndex   uint64 `json:"first_index"`
	LastIndex    uint64 `json:"last_index"`
	FirstSlot    uint64 `json:"first_slot"` // 0: no slot is in the log
	LastSlot     uint64 `json:"last_slot"`
	Commit       uint64 `json:"commit"` // the highest index that the log or the newest snapshot knows
	Promised     string `json:"promised"`
	Bytes        int64  `json:"bytes"`           // of what is sound; the files of a log that is in use, or was killed, are longer
	State        *State `json:"state,omitempty"` // the newest
	// Records counts them by kind, Commands what is in the batches.
	Records  map[string]uint64 `json:"records"`
	Commands uint64            `json:"commands"`
	// FirstTime and LastTime are those of the batches.
	FirstTime  *time.Time `json:"first_time,omitempty"`
	LastTime   *time.Time `json:"last_time,omitempty"`
	CleanClose bool       `json:"clean_close"`
	Torn       bool       `json:"torn"`
	Suspect    bool       `json:"suspect"`
	Cut        string     `json:"cut,omitempty"` // what diskvd would cut off the end
}

// Info reads the directory. What is damaged is told in Problem, and does not keep it
// from telling the rest; the error is one of the system.
func (d *Directory) Info(progress Progress) (*Info, error) {
	id := d.Identity
	info := &Info{
		Dir: d.Path, InUse: d.InUse(), Service: ServiceName(id.Service), Cluster: id.Cluster.String(), Group: uint64(id.Group),
		Member: uint8(id.Index), Members: id.Size, Phase: id.Phase.String(), Lease: id.Lease,
		Epoch: id.Life.Epoch, Nonce: hex64(id.Life.Nonce), Boot: id.Boot, BootID: hex64(id.BootID),
	}
	info.LogBytes = d.LogBytes()
	info.SnapshotBytes, _ = sizeOf(d.snapshotPath())
	info.QuarantineBytes, info.QuarantineFiles = sizeOf(d.file("quarantine"))
	var err error
	if info.Snapshots, info.Unfinished, err = d.snapshots(); err != nil {
		return nil, err
	}
	if info.Snapshots == nil {
		info.Snapshots = []Snapshot{}
	}
	for _, s := range info.Snapshots {
		if s.Problem != "" && info.Problem == "" {
			info.Problem = s.File + ": " + s.Problem
		}
	}
	if _, err := os.Stat(d.walPath()); errors.Is(err, fs.ErrNotExist) {
		return info, nil
	}
	log, err := infoOf(d.walPath(), info.LogBytes, progress)
	info.Log = log
	if n := len(info.Snapshots); n > 0 && log != nil {
		log.Commit = max(log.Commit, info.Snapshots[n-1].Slot)
	}
	if err != nil {
		if _, damaged := faultOf(err); !damaged && !isNoLog(err) {
			return nil, err
		}
		if isNoLog(err) {
			info.Log = nil
		}
		if !isNoLog(err) || id.HasLog() {
			info.Problem = err.Error()
		}
	}
	return info, nil
}

// infoOf reads a log. With an error, what was before the fault is told.
func infoOf(dir string, total int64, progress Progress) (*LogInfo, error) {
	l := &LogInfo{Records: map[string]uint64{}}
	var d describer
	var promised paxos.Ballot
	done := int64(0)
	report, _, err := scanLog(dir, func(f frame) error {
		done += f.size()
		progress.tell(done, total)
		rec := d.record(&f)
		l.Records[rec.Kind]++
		switch f.Type {
		case wal.TypeHeader, wal.TypeState:
			if h, err := paxos.DecodeHardState(f.Payload); err == nil {
				l.State, l.Commit = rec.State, max(l.Commit, uint64(h.Commit))
				promised = higher(promised, h.Promised)
			}
		case wal.TypeData:
			if e, err := replica.ReadEntry(f.toReplica()); err == nil {
				l.entry(&e, rec)
				promised = higher(promised, e.Ballot) // to accept is to promise
			}
		case wal.TypeMark:
		}
		return nil
	})
	l.ID = hex64(report.LogID)
	l.FirstSegment, l.LastSegment = report.FirstSegment, report.LastSegment
	l.FirstIndex, l.LastIndex = report.FirstIndex, report.LastIndex
	l.Bytes = report.Bytes
	l.CleanClose, l.Torn, l.Suspect = report.CleanClose, report.Torn, report.Suspect
	l.Promised = promised.String()
	if report.Cut != nil {
		l.Cut = report.Cut.String()
	}
	return l, err
}

func (l *LogInfo) entry(e *replica.AcceptedEntry, rec *Record) {
	slot := uint64(e.Slot)
	if l.FirstSlot == 0 || slot < l.FirstSlot {
		l.FirstSlot = slot
	}
	l.LastSlot = max(l.LastSlot, slot)
	l.Commit = max(l.Commit, uint64(e.Commit))
	l.Commands += uint64(len(rec.Commands))
	if t := rec.Time; t != nil {
		if l.FirstTime == nil || t.Before(*l.FirstTime) {
			l.FirstTime = t
		}
		if l.LastTime == nil || t.After(*l.LastTime) {
			l.LastTime = t
		}
	}
}

func higher(a, b paxos.Ballot) paxos.Ballot {
	if a.Less(b) {
		return b
	}
	return a
}
