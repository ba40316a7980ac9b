package explore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"diskv/paxos"
)

// member is one member with its disk. It is not changed once it is in the
// table: a step is tried on a copy.
//
// Time is abstract. Before every input a little time passes, more than any of
// the core's intervals and less than an election timeout, so that whatever the
// core does "if enough time has passed" it does; election timers run out only
// in a step of their own. So the time of a member is no part of its state.
type member struct {
	id   paxos.ReplicaID
	now  time.Duration
	core *paxos.Core

	// On disk.
	life       paxos.Life // in IDENTITY
	recovering bool       // in IDENTITY
	log        []record

	// On its way there.
	kept    paxos.Slot // commit index in the log, durable or not
	pending []batch
	durable uint64   // number of the last sync that has ended
	letBack *letBack // a new IDENTITY that waits
}

// record is an entry with the commit index that rides along, or a hard state.
type record struct {
	entry  paxos.Entry
	commit paxos.Slot
	state  *paxos.HardState
}

// batch is one sync: its records and the messages that wait for it, which are a
// set, as all messages are.
type batch struct {
	sync    uint64
	records []record
	after   []uint16
}

// letBack is the life of a member that may vote again, for IDENTITY once the
// sync has ended.
type letBack struct {
	sync uint64
	life paxos.Life
}

// The core's times: see member.
const (
	tick            = 10 * time.Second // above paxos' longest pause between two resends
	heartbeat       = time.Second
	electionTimeout = 1_000_000 * time.Second
)

// The cluster and group of every envelope.
const (
	cluster paxos.ClusterID = 1
	group   paxos.GroupID   = 1
)

// effects are what a step of a member does outside it.
type effects struct {
	sent    []uint16
	votes   []vote        // that became durable
	applied []paxos.Entry // handed to the state machine
	broken  string        // why the step must not have been possible
}

// genesis is the hard state of a group that has just formed.
func genesis(size int) paxos.HardState {
	var h paxos.HardState
	for id := range size {
		h.Vector[id] = paxos.Life{Nonce: uint64(id) + 1}
	}
	return h
}

// newMember returns a member with the disk that it has when its group has formed.
func (w *world) newMember(id paxos.ReplicaID, fx *effects) *member {
	h := genesis(w.members)
	m := &member{id: id, life: h.Vector[id], log: []record{{state: &h}}}
	w.start(m, fx)
	return m
}

func (m *member) clone() *member {
	n := *m
	n.core = m.core.Clone()
	n.log = slices.Clip(m.log)
	n.pending = slices.Clone(m.pending)
	return &n
}

// restored returns a Core with what the disk of m holds, not started.
func (w *world) restored(m *member, fx *effects) *paxos.Core {
	c := paxos.New(paxos.Config{
		Cluster: cluster, Group: group, ID: m.id, Size: w.members,
		Life: m.life, Recovering: m.recovering,
		Rand:            rand.New(rand.NewPCG(1, 1)), // election timers are steps: it decides nothing
		ElectionTimeout: electionTimeout, Heartbeat: heartbeat,
	})
	for _, r := range m.log {
		var err error
		if r.state != nil {
			err = c.RestoreHardState(*r.state)
		} else if err = c.RestoreEntry(r.entry); err == nil {
			err = c.RestoreCommit(r.commit)
		}
		if err != nil {
			fx.fail("%d cannot replay its log: %v", m.id, err)
		}
		fx.applied = append(fx.applied, c.TakeCommitted()...)
	}
	return c
}

func (fx *effects) fail(format string, args ...any) {
	if fx.broken == "" {
		fx.broken = fmt.Sprintf(format, args...)
	}
}

// start gives m a Core of what its disk holds.
func (w *world) start(m *member, fx *effects) {
	m.core = w.restored(m, fx)
	m.pending, m.durable, m.letBack = nil, 0, nil
	m.kept = m.core.Commit()
	m.core.Start(m.now, 0)
	w.drain(m, fx)
}

// drain carries out what the core of m wants done. Syncs of a quick disk end
// at once.
func (w *world) drain(m *member, fx *effects) {
	for {
		w.take(m, fx)
		if w.slow[m.id] || !w.sync(m, fx) && !w.storeIdentity(m) {
			return
		}
	}
}

// take carries out one Ready.
func (w *world) take(m *member, fx *effects) {
	rd := m.core.Ready()
	if rd.MustSync {
		b := batch{sync: rd.Sync}
		for i, e := range rd.Entries {
			r := record{entry: e, commit: m.kept}
			if i == len(rd.Entries)-1 && !rd.StateChanged {
				r.commit = rd.HardState.Commit
			}
			b.records = append(b.records, r)
		}
		if rd.StateChanged {
			b.records = append(b.records, record{state: &rd.HardState})
		}
		m.kept = rd.HardState.Commit
		m.pending = append(m.pending, b)
	}
	fx.sent = w.send(fx.sent, rd.Messages)
	switch {
	case len(rd.AfterSync) == 0:
	case w.fault.early(rd.AfterSync):
		fx.sent = w.send(fx.sent, rd.AfterSync)
	default:
		last := &m.pending[len(m.pending)-1]
		if last.sync != rd.Sync {
			fx.fail("messages of %d wait for sync %d, its last is %d", m.id, rd.Sync, last.sync)
		}
		last.after = w.send(last.after, rd.AfterSync)
	}
	for _, e := range rd.Committed {
		held := func(r record) bool { return r.state == nil && sameEntry(r.entry, e) }
		if !slices.ContainsFunc(m.log, held) {
			fx.fail("%d applies %s before its own log holds it", m.id, showEntry(e))
		}
	}
	fx.applied = append(fx.applied, rd.Committed...)
	if rd.Readmitted != nil {
		m.letBack = &letBack{sync: rd.Sync, life: *rd.Readmitted}
	}
	if len(rd.LogReads)+len(rd.NeedSnapshot) > 0 {
		fx.fail("%d wants to read its log, or a snapshot: nothing was dropped from memory", m.id)
	}
}

// sync ends the oldest sync of m. It reports whether there was one.
func (w *world) sync(m *member, fx *effects) bool {
	if len(m.pending) == 0 {
		return false
	}
	b := m.pending[0]
	m.pending = m.pending[1:]
	w.write(m, b.records, fx)
	for _, n := range b.after {
		fx.sent = insert(fx.sent, n)
	}
	m.durable = b.sync
	m.core.Durable(b.sync)
	return true
}

// write appends records to the disk of m. An entry there is a vote, but not at
// a member that recovers: it takes what is chosen and votes on nothing.
func (w *world) write(m *member, records []record, fx *effects) {
	m.log = append(slices.Clip(m.log), records...)
	for _, r := range records {
		if r.state == nil && !m.recovering {
			fx.votes = append(fx.votes, vote{member: m.id, entry: r.entry})
		}
	}
}

// storeIdentity ends the recovery of m, if its log says so already. It reports
// whether it did.
func (w *world) storeIdentity(m *member) bool {
	if m.letBack == nil || m.durable < m.letBack.sync {
		return false
	}
	m.life, m.recovering, m.letBack = m.letBack.life, false, nil
	m.core.Readmit()
	return true
}

// pass lets a little time pass at m.
func (m *member) pass() {
	m.now += tick
	m.core.Tick(m.now, 0)
}

// timeout lets the timers of m run out until it runs for leader. The pre-vote
// binds nobody, so it counts as won whatever the others would have said. It
// reports whether m is a candidate under another ballot now.
func (w *world) timeout(m *member, fx *effects) bool {
	before := m.core.Promised()
	for range 2 { // a leader steps down first
		m.now += 3 * electionTimeout
		m.core.Tick(m.now, 0)
	}
	if m.core.Role() != paxos.PreCandidate {
		return false
	}
	rd := m.core.Ready()
	for _, e := range rd.Messages {
		asked, ok := e.Message.(paxos.PreVote)
		if ok && m.core.Role() == paxos.PreCandidate {
			m.core.Step(paxos.Envelope{
				Cluster: cluster, Group: group, From: e.To, To: m.id,
				Message: paxos.PreVoteReply{Ballot: asked.Ballot, Granted: true},
			})
		}
	}
	if rd.MustSync || len(rd.AfterSync) > 0 {
		fx.fail("the pre-vote of %d waits for its disk", m.id)
	}
	return m.core.Role() == paxos.Candidate && m.core.Promised() != before
}

// crash ends the process of m and starts it again. Of the records that were not
// durable the first n are on the disk all the same.
func (w *world) crash(m *member, n int, fx *effects) bool {
	unsynced := m.unsynced()
	if n > len(unsynced) {
		return false
	}
	w.write(m, unsynced[:n], fx)
	w.start(m, fx)
	return true
}

func (m *member) unsynced() []record {
	var out []record
	for _, b := range m.pending {
		out = append(out, b.records...)
	}
	return out
}

// lose takes m its disk. It starts again as a member that recovers, with the
// nonce, and knows what the genesis says.
func (w *world) lose(m *member, nonce uint64, fx *effects) {
	h := genesis(w.members)
	h.Recovering = w.fault != forgetful
	m.recovering = h.Recovering
	if m.recovering {
		m.life = paxos.Life{Nonce: nonce}
	} else {
		m.life = h.Vector[m.id]
	}
	m.log = []record{{state: &h}}
	w.start(m, fx)
}

func sameEntry(a, b paxos.Entry) bool { return a.Slot == b.Slot && sameValue(a, b) }

func sameValue(a, b paxos.Entry) bool { return a.Kind == b.Kind && string(a.Value) == string(b.Value) }
