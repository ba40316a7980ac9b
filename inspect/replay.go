package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
	"diskv/shardmaster"
	"diskv/snapshot"
	"diskv/wal"
)

// Moment is a point of the history of a group, as one member's log has it.
type Moment struct {
	// Slot is the last one that counts. 0: Time says it.
	Slot uint64
	// Time is that of the leaders: what was proposed up to then counts. Zero, like Slot:
	// everything that can be read.
	Time time.Time
	// Accepted takes in what the member holds and does not know as chosen. It may have
	// been acknowledged, or never be chosen.
	Accepted bool
	// Snapshots are files to begin with, beside those of the directory.
	Snapshots []string
}

// Reached is the state of a group at a moment.
type Reached struct {
	Slot    uint64    `json:"slot"`
	LogTime time.Time `json:"log_time"`
	// Base is the snapshot that it was begun with, and its slot; empty and 0: nothing.
	Base     string `json:"base,omitempty"`
	BaseSlot uint64 `json:"base_slot"`
	Keys     int    `json:"keys"`
	Sessions int    `json:"sessions"`
	// Undecided is how many slots of it are not known as chosen.
	Undecided int `json:"undecided"`
	// Damage is what the log cannot be read behind, if everything that can be read was
	// asked for.
	Damage *Fault `json:"damage,omitempty"`
	// Notes are worth knowing.
	Notes []string `json:"notes,omitempty"`

	id    replica.Identity
	state paxos.HardState
	image imageOf
}

// imageOf is the state of a service.
type imageOf interface {
	Records(add func([]byte) error) error
	Config() uint64
}

// Replay returns the state at a moment: the newest snapshot at or below it, and the log
// on top of that, applied by the code that a replica runs. It needs the memory of the
// data. The error says what the directory covers, if the moment is outside.
func (d *Directory) Replay(to Moment, progress Progress) (*Reached, error) {
	if !d.Identity.HasLog() {
		return nil, fmt.Errorf("%s has no log: its member has not formed a group, or has just lost its disk", d.Path)
	}
	for try := 0; ; try++ {
		before := fingerprint(d.walPath())
		r, err := d.replayOnce(to, progress)
		// Segments and snapshots may have been dropped meanwhile.
		if err == nil || try == rereads || settled(d.walPath(), before) == before {
			if f, ok := faultOf(err); ok {
				return nil, d.explain(f)
			}
			return r, err
		}
	}
}

func (d *Directory) replayOnce(to Moment, progress Progress) (*Reached, error) {
	bases, first, err := d.bases(to) // first: why the newest one does not do
	if err != nil {
		return nil, err
	}
	for _, base := range bases {
		r, err := d.replayFrom(base, to, progress)
		if err == nil {
			return r, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, errGap) && !errors.Is(err, errNoBase) {
			break
		}
	}
	return nil, first
}

// errGap says that the log does not go on from a snapshot, errNoBase that a snapshot
// cannot be read.
var (
	errGap    = errors.New("the log does not go on from there")
	errNoBase = errors.New("the snapshot cannot be used")
)

// bases returns the snapshots at or below a moment, the newest first, and last that
// there is none. Broken is why one cannot be read.
func (d *Directory) bases(to Moment) (all []snapshot.Info, broken, err error) {
	slots, err := snapshot.List(d.snapshotPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	files := slices.Clone(to.Snapshots)
	for _, slot := range slots {
		files = append(files, snapshot.Path(d.snapshotPath(), slot))
	}
	for i, file := range files {
		r, err := openSnapshot(file)
		switch {
		case err == nil:
		case i < len(to.Snapshots):
			return nil, nil, err
		case errors.Is(err, fs.ErrNotExist): // dropped meanwhile
			continue
		default: // an older one may do
			broken = err
			continue
		}
		info := r.Info()
		_ = r.Close()
		h, id := info.Header, d.Identity
		switch {
		case h.Cluster != uint64(id.Cluster) || h.Group != uint64(id.Group):
			return nil, nil, &Fault{File: file, Other: d.file("IDENTITY"), Remedy: "give a snapshot of the same group", Reason: fmt.Sprintf(
				"the snapshot is of group %d of cluster %v, the directory of group %d of cluster %v", h.Group, paxos.ClusterID(h.Cluster), id.Group, id.Cluster)}
		case !to.behind(h.Slot, h.LogTime):
			all = append(all, info)
		}
	}
	slices.SortStableFunc(all, func(a, b snapshot.Info) int { return cmp.Compare(b.Header.Slot, a.Header.Slot) })
	return append(all, snapshot.Info{}), broken, nil
}

// end tells whether everything that can be read counts.
func (m *Moment) end() bool { return m.Slot == 0 && m.Time.IsZero() }

// behind tells whether a slot with its log time comes after the moment.
func (m *Moment) behind(slot uint64, logTime int64) bool {
	if m.end() {
		return false
	}
	if m.Slot != 0 {
		return slot > m.Slot
	}
	return logTime > m.Time.UnixNano()
}

// replayFrom replays the log on a snapshot, or on nothing.
func (d *Directory) replayFrom(base snapshot.Info, to Moment, progress Progress) (*Reached, error) {
	id := d.Identity
	id.Phase = replica.PhaseMember // a member that recovers holds the same history
	total := d.LogBytes() + int64(base.RawBytes)
	machine, err := d.restore(base, func(done, _ int64) { progress.tell(done, total) })
	if errors.Is(err, kv.ErrRecord) || errors.Is(err, shardmaster.ErrRecord) {
		err = &Fault{File: base.Path, Reason: err.Error()}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", base.Path, errNoBase, err)
	}
	m := &stopping{StateMachine: machine, to: to, slot: base.Header.Slot}
	cfg := replica.Config{Identity: id, Machine: m, Rand: rand.New(rand.NewPCG(0, 0))}
	r := &Reached{id: d.Identity, Base: base.Path, BaseSlot: base.Header.Slot}
	if base.Header.Slot > 0 {
		if r.state, err = paxos.DecodeHardState(base.Header.State); err != nil {
			return nil, &Fault{File: base.Path, Reason: err.Error()}
		}
		cfg.Snapshot = replica.SnapshotInfo{Slot: paxos.Slot(base.Header.Slot), Digest: base.Digest, Size: base.Size}
		cfg.Header = replica.SnapshotHeader{Slot: paxos.Slot(base.Header.Slot), LogTime: base.Header.LogTime, State: base.Header.State}
	}
	rep, err := replica.New(cfg)
	if err != nil {
		return nil, err
	}
	done := int64(base.RawBytes)
	report, _, err := scanLog(d.walPath(), func(f frame) error {
		done += f.size()
		progress.tell(done, total)
		if f.Type == wal.TypeMark {
			return nil
		}
		if m.done() {
			return errEnough
		}
		if f.Type != wal.TypeData {
			if h, err := paxos.DecodeHardState(f.Payload); err == nil {
				r.state = h
			}
		}
		if err := rep.Replay(f.toReplica()); err != nil {
			return fmt.Errorf("record %d: %w: %w", f.Index, errGap, err)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && report.Suspect {
		r.Notes = append(r.Notes, "the end of the log is suspect: what was acknowledged last may be missing")
	}
	if !m.done() && (to.Accepted || id.Size == 1) && !errors.Is(err, errGap) {
		decided := rep.Status().Applied
		if _, err := rep.AcceptAll(); err != nil {
			return nil, err
		}
		if id.Size > 1 { // what a single member holds is chosen
			r.Undecided = int(m.slot - uint64(decided))
		}
	}
	if last := uint64(rep.Status().Last); err == nil && to.end() && last > m.slot && m.slot > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("the member holds slots up to %d, and does not know that those behind slot %d are chosen: --accepted applies them, too", last, m.slot))
	}
	if f, damaged := faultOf(err); damaged && to.end() && m.slot > 0 {
		r.Damage, err = d.explain(f), nil
	}
	if !m.done() && (to.Slot != 0 || err != nil) || m.slot == 0 {
		return nil, d.outside(m, rep.Status(), to, err)
	}
	r.take(m, machine)
	return r, nil
}

// outside says why a moment was not reached.
func (d *Directory) outside(m *stopping, st replica.Status, to Moment, err error) error {
	if err == nil {
		what, more := fmt.Sprintf("slot %d", to.Slot), ""
		if to.end() {
			return fmt.Errorf("%s holds nothing that is known as chosen", d.Path)
		} else if to.Slot == 0 {
			what = to.Time.UTC().Format(timeLayout)
		} else if last := uint64(st.Last); last > m.slot {
			more = fmt.Sprintf("; up to slot %d the member holds what it does not know as chosen (--accepted)", last)
		}
		return fmt.Errorf("%s: %s is not in it: %s%s", d.Path, what, d.covers(m.slot), more)
	}
	if f, ok := faultOf(err); ok {
		f.Remedy = fmt.Sprintf("up to slot %d the state can be had", m.slot)
		return f
	}
	if errors.Is(err, errGap) {
		return fmt.Errorf("%s: that moment is not in it: %s (%w)", d.Path, d.covers(0), err)
	}
	return err
}

// covers says which moments a directory has. Up to: where a replay has ended; 0: not
// known.
func (d *Directory) covers(upTo uint64) string {
	info, err := d.Info(nil)
	if err != nil || info.Log == nil {
		return "nothing can be said of what it covers"
	}
	upTo = max(upTo, info.Log.Commit)
	from, at, alone := "slot 1", "", ""
	if info.Log.FirstSlot != 1 {
		from = ""
		for _, s := range info.Snapshots {
			switch {
			case s.Problem != "":
			case info.Log.FirstSlot > s.Slot+1: // what is between them was dropped
				alone += fmt.Sprintf("slot %d (%s), and ", s.Slot, s.LogTime.Format(timeLayout))
			case from == "":
				from, at = fmt.Sprintf("slot %d", s.Slot), s.LogTime.Format(" ("+timeLayout+")")
			}
		}
		if from == "" {
			return "it covers " + alone + "nothing else: a snapshot is missing"
		}
	}
	until := ""
	if info.Log.LastTime != nil {
		until = info.Log.LastTime.Format(" (" + timeLayout + ")")
	}
	if info.Log.FirstTime != nil && at == "" {
		at = info.Log.FirstTime.Format(" (" + timeLayout + ")")
	}
	return fmt.Sprintf("it covers %s%s%s to slot %d%s", alone, from, at, upTo, until)
}

func (r *Reached) take(m *stopping, machine replica.StateMachine) {
	r.Slot, r.LogTime = m.slot, time.Unix(0, machine.LogTime()).UTC()
	switch s := machine.(type) {
	case store:
		r.Keys, r.Sessions, r.image = s.Keys(), s.Sessions(), s.Store.Image()
	case configs:
		r.image = s.Machine.Image()
	}
	// The promise stays: to a replica this is what it would have held there.
	r.state.Commit = paxos.Slot(r.Slot)
}

// restore makes the state machine of the directory from a snapshot, or empty.
func (d *Directory) restore(base snapshot.Info, progress Progress) (replica.StateMachine, error) {
	group := shard.GroupID(d.Identity.Group)
	switch {
	case base.Path != "":
	case d.Identity.Service == paxos.ServiceShardmaster:
		return configs{shardmaster.New()}, nil
	case d.Identity.Service == paxos.ServiceSharded:
		return store{kv.NewSharded(group)}, nil
	default:
		return store{kv.New()}, nil
	}
	r, err := openSnapshot(base.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return d.load(r, progress)
}

// store and configs are the state machines as a replica drives them.
type store struct{ *kv.Store }

func (s store) Image() replica.Image { return s.Store.Image() }

type configs struct{ *shardmaster.Machine }

func (c configs) Image() replica.Image { return c.Machine.Image() }

// stopping is a state machine that applies nothing behind a moment.
type stopping struct {
	replica.StateMachine
	to      Moment
	slot    uint64 // the last one that was applied
	stopped bool   // one behind the moment has come
}

// done tells whether nothing more is to be applied.
func (m *stopping) done() bool { return m.stopped || m.to.Slot != 0 && m.slot >= m.to.Slot }

func (m *stopping) Begin(slot uint64, logTime int64) {
	if m.stopped = m.stopped || m.to.behind(slot, logTime); m.stopped {
		return
	}
	m.slot = slot
	m.StateMachine.Begin(slot, logTime)
}

func (m *stopping) Apply(dst, command []byte) []byte {
	if m.stopped {
		return dst
	}
	return m.StateMachine.Apply(dst, command)
}
