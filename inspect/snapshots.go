package inspect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
	"diskv/shardmaster"
	"diskv/snapshot"
)

// Snapshot is what the two ends of a snapshot file say.
type Snapshot struct {
	File     string    `json:"file"`
	Slot     uint64    `json:"slot"`
	Cluster  string    `json:"cluster"`
	Group    uint64    `json:"group"`
	LogTime  time.Time `json:"log_time"`
	Bytes    int64     `json:"bytes"`
	RawBytes uint64    `json:"raw_bytes"` // uncompressed
	Records  uint64    `json:"records"`
	Digest   string    `json:"digest"`
	State    *State    `json:"state,omitempty"`
	Problem  string    `json:"problem,omitempty"` // why it cannot be read
}

func snapshotOf(info snapshot.Info) Snapshot {
	s := Snapshot{
		File: info.Path, Slot: info.Header.Slot, Cluster: paxos.ClusterID(info.Header.Cluster).String(), Group: info.Header.Group,
		LogTime: time.Unix(0, info.Header.LogTime).UTC(), Bytes: info.Size, RawBytes: info.RawBytes, Records: info.Records,
		Digest: hex.EncodeToString(info.Digest[:]),
	}
	h, err := paxos.DecodeHardState(info.Header.State)
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	s.State = stateOf(h)
	return s
}

// openSnapshot is snapshot.Open for what may not even be a file.
func openSnapshot(path string) (*snapshot.Reader, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, &snapshot.CorruptionError{File: path, Reason: "not a regular file: " + info.Mode().String()}
	}
	if err != nil {
		return nil, err
	}
	return snapshot.Open(path)
}

// snapshots describes the complete snapshots, the newest last, and counts the files
// of transfers and of interrupted writes.
func (d *Directory) snapshots() (all []Snapshot, unfinished int, err error) {
	entries, err := os.ReadDir(d.snapshotPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".part") || strings.HasSuffix(e.Name(), ".tmp") {
			unfinished++
		}
		if !strings.HasSuffix(e.Name(), ".snap") {
			continue
		}
		path := filepath.Join(d.snapshotPath(), e.Name())
		r, err := openSnapshot(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // dropped meanwhile
			continue
		case err != nil:
			all = append(all, Snapshot{File: path, Problem: err.Error()})
			continue
		}
		all = append(all, snapshotOf(r.Info()))
		_ = r.Close()
	}
	return all, unfinished, nil
}

// dumpSnapshot hands out the records of a snapshot in words.
func (d *describer) dumpSnapshot(path string, progress Progress, visit func(*Record) error) error {
	r, err := openSnapshot(path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	info := r.Info()
	s := snapshotOf(info)
	if err := visit(&Record{Kind: KindSnapshot, Slot: s.Slot, Bytes: len(info.Header.State), Snapshot: &s}); err != nil {
		return err
	}
	done := int64(0)
	for n := uint64(1); ; n++ {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.image(n, b, visit); err != nil {
			return err
		}
		done += int64(len(b))
		progress.tell(done, int64(info.RawBytes))
	}
}

// image hands out what one record of a snapshot holds.
func (d *describer) image(n uint64, b []byte, visit func(*Record) error) error {
	rec, err := kv.ReadImageRecord(b)
	if err != nil {
		word, own := shardmaster.ReadImageRecord(b)
		if own != nil {
			return visit(&Record{Kind: KindUnknown, Index: n, Bytes: len(b), Problem: err.Error()})
		}
		return visit(&Record{Kind: KindImage, Index: n, Bytes: len(b), Image: word})
	}
	for _, it := range rec.Items {
		key, value := d.text(it.Key), d.text(it.Value)
		err := visit(&Record{
			Kind: KindKey, Index: n, Bytes: len(it.Key) + len(it.Value), key: it.Key,
			Item: &Item{Key: &key, Value: &value, Changed: it.Changed, Expiry: it.Expiry, Shard: uint16(shard.Of(it.Key))},
		})
		if err != nil {
			return err
		}
	}
	for _, s := range rec.Sessions {
		reply := d.text(s.Reply)
		err := visit(&Record{
			Kind: KindSession, Index: n, Bytes: len(s.Reply), session: s.ID,
			Item: &Item{Session: s.ID.String(), Seq: s.Seq, Value: &reply, Shard: uint16(s.Shard)},
		})
		if err != nil {
			return err
		}
	}
	if len(rec.Items)+len(rec.Sessions) > 0 {
		return nil
	}
	out := &Record{Kind: KindImage, Index: n, Bytes: len(b), Image: rec.Kind, Count: rec.Count}
	if rec.Kind == "state" {
		out.Slot = rec.Slot
		t := time.Unix(0, rec.LogTime).UTC()
		out.Time = &t
	}
	return visit(out)
}

// load makes a state machine of a snapshot as a start does.
func (d *Directory) load(r *snapshot.Reader, progress Progress) (replica.StateMachine, error) {
	done := int64(0)
	info := r.Info()
	next := func() ([]byte, error) {
		b, err := r.Next()
		done += int64(len(b))
		progress.tell(done, int64(info.RawBytes))
		return b, err
	}
	h := info.Header
	if d.Identity.Service == paxos.ServiceShardmaster {
		m, err := shardmaster.Restore(next)
		return configs{m}, err
	}
	s, err := kv.Restore(next)
	if err != nil {
		return nil, err
	}
	group := shard.GroupID(0)
	if d.Identity.Service == paxos.ServiceSharded {
		group = shard.GroupID(d.Identity.Group)
	}
	switch own := s.Handover().Group; {
	case own != group:
		return nil, fmt.Errorf("%w: the state is of group %d of a cluster, not of group %d (0: of one that owns every shard)", kv.ErrRecord, own, group)
	case s.Slot() != h.Slot || s.LogTime() != h.LogTime:
		return nil, fmt.Errorf("%w: the state is of slot %d and log time %d, the header says %d and %d", kv.ErrRecord, s.Slot(), s.LogTime(), h.Slot, h.LogTime)
	}
	return store{s}, nil
}
