package crashstates

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"diskv/client"
	"diskv/paxos"
	"diskv/replica"
	"diskv/server"
	"diskv/tests/faultfs"
	"diskv/wal"
)

// size is the members of the group. The disk of member 0 is the one that loses power.
const size = 3

// member is the workload of a member of a group.
type member struct {
	fs     *faultfs.FS
	dir    string
	taps   []*tap
	opts   [size]server.Options
	nodes  [size]*running
	client *client.Client
	acks   int

	mu        sync.Mutex
	sent      []sent
	proposals int // messages of member 0 that propose
	values    map[voted][32]byte
	newest    map[paxos.Slot]paxos.Entry // the proposals of the highest ballot: where one is chosen, its value
	commit    paxos.Slot                 // known as chosen by anybody, ever
}

// sent is a message of member 0 that others have seen.
type sent struct {
	position int
	life     paxos.Life
	vote     bool // a promise, or an acceptance
	stored   bool // the genesis is
	ballot   paxos.Ballot
	through  paxos.Slot // of an acceptance, else 0
}

// voted is a slot and the ballot under which a value was proposed for it.
type voted struct {
	slot   paxos.Slot
	ballot paxos.Ballot
}

func digestOf(e paxos.Entry) [32]byte { return sha256.Sum256(paxos.AppendEntry(nil, e)) }

func runMember(ctx context.Context, o Options, dir string) (t *trace, err error) {
	m := &member{dir: dir, values: map[voted][32]byte{}, newest: map[paxos.Slot]paxos.Entry{}}
	mount := filepath.Join(dir, "disk")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return nil, err
	}
	if m.fs, err = faultfs.Mount(mount, faultfs.Options{Record: true}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	m.fs.Fault(faultfs.Fault{Op: faultfs.OpSync | faultfs.OpSyncDir, Delay: syncDelay})
	if err := m.connect(); err != nil {
		return nil, err
	}
	lives, err := m.live(ctx, o)
	if err != nil {
		return nil, err
	}
	t = &trace{recording: m.fs.Recorded(), lives: lives, recover: m.recover, acks: m.acks}
	t.note()
	t.marks["proposals"] = m.proposals
	for _, s := range m.sent {
		switch {
		case s.through > 0:
			t.marks["acceptances"]++
		case s.vote:
			t.marks["promises"]++
		}
	}
	return t, nil
}

// connect chooses addresses. What goes to and comes from member 0 passes through taps.
func (m *member) connect() error {
	path := func(name string) string { return filepath.Join(m.dir, name) }
	for i := range size {
		o := options()
		o.Index, o.Dir, o.Listen = i, path("disk/first"), "unix:"+path(fmt.Sprint("n", i))
		if i > 0 {
			o.Dir = path(fmt.Sprint("other", i))
		}
		for j := range size {
			to := path(fmt.Sprint("n", j))
			if i != j && (i == 0 || j == 0) {
				over := path(fmt.Sprintf("t%d%d", i, j))
				t, err := newTap(over, to, m.see)
				if err != nil {
					return err
				}
				m.taps = append(m.taps, t)
				to = over
			}
			o.Peers = append(o.Peers, "unix:"+to)
		}
		m.opts[i] = o
	}
	return nil
}

func (m *member) close() error {
	if m.client != nil {
		m.client.Close()
	}
	var errs []error
	for i := range m.nodes {
		errs = append(errs, m.stop(i))
	}
	for _, t := range m.taps {
		errs = append(errs, t.close())
	}
	return errors.Join(append(errs, m.fs.Unmount())...)
}

func (m *member) start(i int) error {
	n, err := start(m.opts[i])
	if err == nil {
		m.nodes[i] = n
	}
	return err
}

func (m *member) stop(i int) error {
	n := m.nodes[i]
	if n == nil {
		return nil
	}
	m.nodes[i] = nil
	return n.stop()
}

// see takes notes of a message of, or to, member 0.
func (m *member) see(e paxos.Envelope) {
	position := m.fs.Position()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch msg := e.Message.(type) {
	case paxos.Heartbeat:
		m.commit = max(m.commit, msg.Commit)
	case paxos.PreVote:
		m.commit = max(m.commit, msg.Commit)
	case paxos.Promise:
		m.commit = max(m.commit, msg.Commit)
	case paxos.Accept:
		m.commit = max(m.commit, msg.Commit)
		for i, entry := range msg.Entries {
			entry.Slot, entry.Ballot = msg.First+paxos.Slot(i), msg.Ballot
			m.values[voted{entry.Slot, entry.Ballot}] = digestOf(entry)
			if !entry.Ballot.Less(m.newest[entry.Slot].Ballot) {
				m.newest[entry.Slot] = entry
			}
		}
	}
	if e.From != 0 {
		return
	}
	if _, ok := e.Message.(paxos.Accept); ok {
		m.proposals++
	}
	s := sent{position: position, life: e.Life}
	switch msg := e.Message.(type) {
	case paxos.Promise:
		s.vote, s.ballot = true, msg.Ballot
	case paxos.Accepted:
		s.vote, s.ballot, s.through = true, msg.Ballot, msg.Through
	case paxos.FormStored:
		s.stored = true
	}
	m.sent = append(m.sent, s)
}

// live is what happens to the group.
func (m *member) live(ctx context.Context, o Options) ([]life, error) {
	first := life{name: "first", dir: "first", options: m.opts[0]}
	for i := range size {
		if err := m.start(i); err != nil {
			return nil, err
		}
	}
	var addrs []string
	for i := range size {
		addrs = append(addrs, m.opts[i].Listen)
	}
	for i := range size {
		if err := m.nodes[i].ready(); err != nil {
			return nil, err
		}
	}
	var err error
	if m.client, err = client.Open(ctx, addrs...); err != nil {
		return nil, err
	}
	for r := range o.Rounds {
		for _, leads := range []bool{true, false} {
			if err := errors.Join(m.have(leads), m.load(ctx)); err != nil {
				return nil, err
			}
		}
		if err := m.restart(&first); err != nil {
			return nil, err
		}
		if err := m.cut(ctx, 1+o.Seed*uint64(o.Rounds)+uint64(r)); err != nil {
			return nil, err
		}
	}
	if err := m.stop(0); err != nil {
		return nil, err
	}
	first.cleans = append(first.cleans, m.fs.Position())

	// Its disk is lost: the next one is empty, and nobody says that the group is new.
	m.opts[0].Dir, m.opts[0].Bootstrap = filepath.Join(m.dir, "disk/second"), false
	second := life{name: "second", dir: "second", options: m.opts[0], from: m.fs.Position() + 1}
	if err := m.start(0); err != nil {
		return nil, err
	}
	if err := errors.Join(m.load(ctx), m.nodes[0].ready(), m.load(ctx), m.restart(&second), m.cut(ctx, 1+o.Seed)); err != nil {
		return nil, err
	}
	if err := errors.Join(m.have(true), m.load(ctx), m.stop(0)); err != nil {
		return nil, err
	}
	second.cleans = append(second.cleans, m.fs.Position())
	return []life{first, second}, nil
}

// restart stops member 0 in order and starts it again.
func (m *member) restart(l *life) error {
	if err := m.stop(0); err != nil {
		return err
	}
	l.cleans = append(l.cleans, m.fs.Position())
	return errors.Join(m.start(0), m.nodes[0].ready())
}

// cut cuts the power of member 0 in the middle of a load.
func (m *member) cut(ctx context.Context, seed uint64) error {
	begun := m.fs.Position()
	var loaded error
	done := make(chan struct{})
	go func() {
		defer close(done)
		loaded = m.load(ctx)
	}()
	err := await("there is something to lose", func() (bool, error) {
		select {
		case <-done:
			return true, nil
		default:
			return m.fs.Position() > begun+int(5+seed%17), nil
		}
	})
	m.fs.PowerCut(seed)
	_ = m.stop(0) // it has failed
	m.fs.PowerOn()
	if err := errors.Join(err, m.start(0)); err != nil {
		return err
	}
	err = m.nodes[0].ready()
	<-done
	return errors.Join(err, loaded)
}

// have tries to make member 0 the leader, or another one, by stopping and starting who
// leads. Who takes over is the group's choice: after some tries it is left at that.
func (m *member) have(leads bool) error {
	tries := 0
	return await("the group has a leader", func() (bool, error) {
		for i, n := range m.nodes {
			s, err := n.Status()
			if err != nil || s.Role != "leader" {
				continue
			}
			if tries++; (i == 0) == leads || tries > 6 {
				return true, nil
			}
			return false, errors.Join(m.stop(i), m.start(i), m.nodes[i].ready())
		}
		return false, nil
	})
}

// load has three clients write.
func (m *member) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for n := range perRound / 2 {
				_, err := m.client.Append(ctx, fmt.Sprint("key", i), []byte(strings.Repeat(strconv.Itoa(n), 1+n*n%200)))
				if errs[i] = err; err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	m.acks += len(errs) * perRound / 2
	return errors.Join(errs...)
}

// memberSeen is what a member's disk holds.
type memberSeen struct {
	m          *member
	clean      bool // nothing was to be repaired
	id         replica.Identity
	promised   paxos.Ballot
	base       paxos.Slot // of the newest snapshot
	entries    map[paxos.Slot]held
	recovering bool
	lost       bool
}

func (m *member) recover(l *life, dir, socket string) (observation, error) {
	seen := &memberSeen{m: m, clean: asStopped(dir), entries: map[paxos.Slot]held{}}
	o := l.options
	o.Dir, o.Listen = dir, "unix:"+socket
	o.Peers = slices.Clone(o.Peers)
	o.Peers[0] = o.Listen
	n, err := server.Open(o)
	if err != nil {
		return nil, err
	}
	st := n.Recovered()
	n.Close()
	seen.id, seen.promised, seen.base = st.Identity, st.Ballot, st.Snapshot.Slot
	seen.recovering = st.Role == "recovering"
	aside, _ := filepath.Glob(filepath.Join(dir, "quarantine", "lost-*"))
	seen.lost = len(aside) > 0
	if !st.Identity.HasLog() {
		return seen, nil
	}
	if !asStopped(dir) {
		return nil, errors.New("a clean stop behind the recovery leaves a log that is to be repaired")
	}
	_, err = wal.Scan(filepath.Join(dir, "wal"), func(_ uint64, r wal.Record, _ int64) error {
		if r.Type != wal.TypeData {
			return nil
		}
		e, err := replica.ReadEntry(replica.Record{Kind: replica.RecordEntry, Slot: paxos.Slot(r.Tag), Payload: r.Payload})
		if err != nil {
			return err
		}
		seen.entries[e.Slot] = held{e.Ballot, m.isChosen(e.Entry, st.Commit)}
		return m.proposed(e.Entry)
	})
	return seen, err
}

// held is what the log holds in a slot.
type held struct {
	ballot paxos.Ballot
	chosen bool // its value is chosen, now or later
}

// isChosen reports whether a slot is known as chosen, with this value: all proposals
// under higher ballots than the one that was chosen have its value. A leader that has
// stood down may know more than it has told: commit is what its own disk says.
func (m *member) isChosen(e paxos.Entry, commit paxos.Slot) bool {
	n, ok := m.newest[e.Slot]
	return ok && e.Slot <= max(m.commit, commit) && n.Kind == e.Kind && bytes.Equal(n.Value, e.Value)
}

// proposed reports an entry that nobody has proposed.
func (m *member) proposed(e paxos.Entry) error {
	digest, known := m.values[voted{e.Slot, e.Ballot}]
	switch {
	case known && digest != digestOf(e):
		return fmt.Errorf("slot %d has another value than was proposed under ballot %v", e.Slot, e.Ballot)
	case !known && e.Ballot.Replica != 0:
		return fmt.Errorf("slot %d has a value of ballot %v that nobody has proposed to this member", e.Slot, e.Ballot)
	}
	return nil
}

func (s *memberSeen) check(l *life, prefix int) error {
	if slices.Contains(l.cleans, prefix) && !s.clean {
		return errors.New("behind a clean stop the log is to be repaired")
	}
	first := l.dir == "first"
	if first && (s.lost || s.recovering) {
		return errors.New("the disk counts as lost")
	}
	through := map[paxos.Ballot]paxos.Slot{}
	for _, m := range s.m.sent {
		if m.position > prefix || m.position < l.from {
			continue
		}
		switch {
		case m.life.Nonce != s.id.Life.Nonce:
			return fmt.Errorf("its life is %v, it spoke as %v", s.id.Life, m.life)
		case (m.vote || m.stored) && !s.id.HasLog():
			return errors.New("it has voted, and has no log")
		case m.vote && s.recovering:
			return errors.New("it has voted, and recovers")
		case m.vote && s.id.Life.Epoch < m.life.Epoch:
			return fmt.Errorf("its life is %v, it voted as %v", s.id.Life, m.life)
		case m.vote && s.promised.Less(m.ballot):
			return fmt.Errorf("its promise is %v, it has given %v", s.promised, m.ballot)
		}
		if m.through > 0 {
			through[m.ballot] = max(through[m.ballot], m.through)
		}
	}
	for ballot, last := range through {
		for slot := s.base + 1; slot <= last; slot++ {
			if h, ok := s.entries[slot]; !ok || h.ballot.Less(ballot) && !h.chosen {
				return fmt.Errorf("slot %d, which it accepted under %v, is not there (it has that of ballot %v)", slot, ballot, h.ballot)
			}
		}
	}
	return nil
}
