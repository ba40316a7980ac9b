package replica

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// rig drives a whole group as a driver must: in the order of Output's fields,
// on a network and disks that the test commands. Time passes in steps.
type rig struct {
	t       *testing.T
	opts    Options
	now     time.Duration
	members []*member
	network []paxos.Envelope
	cut     map[[2]paxos.ReplicaID]bool
	// filter, if set, says which messages arrive.
	filter func(e paxos.Envelope) bool
}

// member is a replica with its disk. R is nil while it is down.
type member struct {
	rig      *rig
	index    paxos.ReplicaID
	r        *Replica
	identity Identity // the file IDENTITY
	peers    []byte   // the file PEERS
	wall     int64    // what its wall clock is ahead

	log       []Record // durable
	pending   []pendingBatch
	slow      bool // syncs only when told so
	snapshots map[paxos.Slot]snapshotFile
	partial   map[[32]byte][]byte // of snapshots that are being received

	tasks     []func() // reads and writes beside the log, not carried out
	slowTasks bool
	failSaves bool // snapshots cannot be written
	failPeers bool // PEERS cannot be written

	lost    string // why the replica says that its disk is lost
	replies map[Token]Reply
	events  []Event
	outputs int
	// crashBefore and crashAfter, if set, are asked around storing IDENTITY.
	crashBefore, crashAfter func() bool
}

type pendingBatch struct {
	sync    uint64
	records []Record
	after   []paxos.Envelope
}

type snapshotFile struct {
	info   SnapshotInfo
	header SnapshotHeader
	data   []byte
}

// newRig returns a group whose members have just been formatted.
func newRig(t *testing.T, size int, opts Options) *rig {
	t.Helper()
	g := &rig{t: t, opts: opts, cut: map[[2]paxos.ReplicaID]bool{}}
	for i := range paxos.ReplicaID(size) {
		m := &member{rig: g, index: i}
		m.format(uint64(i) + 1)
		m.identity.Size = size
		g.members = append(g.members, m)
	}
	return g
}

// formed returns a group that has formed and has a leader.
func formed(t *testing.T, size int, opts Options) *rig {
	t.Helper()
	g := newRig(t, size, opts)
	g.startAll()
	g.run(2 * time.Second)
	require.NotNil(t, g.leader(), "no leader")
	return g
}

// format empties the disk of m, as --bootstrap does on an empty directory.
func (m *member) format(nonce uint64) {
	size, lease := m.identity.Size, m.identity.Lease
	m.identity = Identity{
		Group: 5, Index: m.index, Size: size, Lease: lease, Phase: PhaseForming,
		Life: paxos.Life{Nonce: nonce}, Boot: 1, BootID: nonce,
	}
	m.log, m.snapshots, m.partial = nil, map[paxos.Slot]snapshotFile{}, map[[32]byte][]byte{}
}

// loseDisk ends the process of m and empties its disk, as a start without
// --bootstrap finds it.
func (m *member) loseDisk() {
	boot := m.identity.Boot
	if m.r != nil {
		m.crash()
	}
	m.format(uint64(m.index) + 1000*(boot+1))
	m.identity.Phase, m.identity.Boot = PhaseRecovering, boot+1
}

func (g *rig) startAll() {
	for _, m := range g.members {
		m.start()
	}
}

// start begins a life of the process with what the disk holds.
func (m *member) start() {
	t := m.rig.t
	t.Helper()
	cfg := Config{
		Options: m.rig.opts, Identity: m.identity, Machine: newTestMachine(), Peers: m.peers,
		Rand: rand.New(rand.NewPCG(uint64(m.index), m.identity.Boot)),
	}
	for slot, f := range m.snapshots {
		if slot >= cfg.Snapshot.Slot {
			cfg.Snapshot, cfg.Header, cfg.Machine = f.info, f.header, loadImage(f.data)
		}
	}
	r, err := New(cfg)
	require.NoError(t, err)
	for _, rec := range m.log {
		require.NoError(t, r.Replay(rec))
	}
	m.r, m.replies, m.events = r, map[Token]Reply{}, nil
	m.r.Start(m.time())
	m.carryOut()
}

// crash ends the process: what was not synced is lost, and so is every task.
func (m *member) crash() {
	m.r, m.pending, m.tasks = nil, nil, nil
	m.identity.Boot++
}

func (m *member) time() Time {
	return Time{Mono: m.rig.now, Wall: int64(m.rig.now) + m.wall + epochWall}
}

// epochWall is the wall clock, in ns since the Unix epoch, when a test begins.
const epochWall = 1_700_000_000_000_000_000

// carryOut does what the replica wants done, but for syncs and disk tasks.
func (m *member) carryOut() {
	out := m.r.Output()
	m.outputs++
	if len(out.Records) > 0 {
		m.pending = append(m.pending, pendingBatch{sync: out.Sync, records: out.Records})
	}
	m.rig.network = append(m.rig.network, out.Messages...)
	if len(out.AfterSync) > 0 {
		require.NotEmpty(m.rig.t, m.pending)
		last := &m.pending[len(m.pending)-1]
		require.Equal(m.rig.t, last.sync, out.Sync)
		last.after = append(last.after, out.AfterSync...)
	}
	for _, reply := range out.Replies {
		_, twice := m.replies[reply.Token]
		require.False(m.rig.t, twice, "%v answered twice", reply.Token)
		m.replies[reply.Token] = reply
	}
	m.events = append(m.events, out.Events...)
	m.lost += out.Lost
	if id := out.Identity; id != nil {
		m.tasks = append(m.tasks, func() { m.storeIdentity(id) })
	}
	m.queueTasks(out)
}

// storeIdentity creates the log and then replaces IDENTITY.
func (m *member) storeIdentity(id *NewIdentity) {
	if m.crashBefore != nil && m.crashBefore() {
		m.crash()
		return
	}
	if id.State != nil {
		m.log = []Record{{Kind: RecordState, Payload: id.State}}
	}
	m.identity = id.Identity
	if m.crashAfter != nil && m.crashAfter() {
		m.crash()
		return
	}
	m.r.IdentityStored()
}

// queueTasks turns what is asked of log and snapshots into tasks.
func (m *member) queueTasks(out Output) {
	task := func(f func()) { m.tasks = append(m.tasks, f) }
	if content := out.Peers; content != nil {
		task(func() {
			if m.failPeers {
				m.r.PeersStored(errDiskFull)
				return
			}
			m.peers = content
			m.r.PeersStored(nil)
		})
	}
	for _, lr := range out.LogReads {
		task(func() {
			entries, err := ChosenEntries(m.log, lr.From, lr.Limit)
			require.NoError(m.rig.t, err)
			m.r.LogRead(lr.For, entries)
		})
	}
	if s := out.Snapshot; s != nil {
		task(func() { m.saveSnapshot(s) })
	}
	for _, rd := range out.SnapshotReads {
		task(func() {
			f, ok := m.snapshots[rd.Slot]
			require.True(m.rig.t, ok, "snapshot of slot %d was dropped while it is being sent", rd.Slot)
			end := min(int(rd.Offset)+rd.Limit, len(f.data))
			m.r.SnapshotRead(rd, f.data[rd.Offset:end], nil)
		})
	}
	if w := out.SnapshotWrite; w != nil {
		task(func() { m.writeSnapshot(w) })
	}
	if out.DropLog != 0 {
		// The newest state is repeated at the head of what stays.
		var state []Record
		var rest []Record
		for _, rec := range m.log {
			switch {
			case rec.Kind == RecordState && len(rest) == 0:
				state = []Record{rec}
			case rec.Kind == RecordState || rec.Slot > out.DropLog:
				rest = append(rest, rec)
			}
		}
		m.log = append(state, rest...)
	}
	for slot := range m.snapshots {
		if slot < out.DropSnapshots {
			delete(m.snapshots, slot)
		}
	}
}

var errDiskFull = errorString("no space left on device")

type errorString string

func (e errorString) Error() string { return string(e) }

func (m *member) saveSnapshot(s *SnapshotTask) {
	if m.failSaves {
		m.r.SnapshotSaved(SnapshotInfo{}, errDiskFull)
		return
	}
	data := imageBytes(s.Image)
	info := SnapshotInfo{Slot: s.Header.Slot, Digest: sha256.Sum256(data), Size: int64(len(data))}
	m.snapshots[info.Slot] = snapshotFile{info: info, header: s.Header, data: data}
	m.r.SnapshotSaved(info, nil)
}

func (m *member) writeSnapshot(w *SnapshotWriteTask) {
	have := m.partial[w.Snapshot.Digest]
	if len(w.Data) > 0 && int(w.Offset) == len(have) {
		have = append(bytes.Clone(have), w.Data...)
		m.partial[w.Snapshot.Digest] = have
	}
	if int64(len(have)) < w.Snapshot.Size {
		m.r.SnapshotWritten(int64(len(have)), nil, nil)
		return
	}
	require.Equal(m.rig.t, w.Snapshot.Digest, sha256.Sum256(have))
	header := m.rig.headerOf(w.Snapshot)
	m.snapshots[w.Snapshot.Slot] = snapshotFile{info: w.Snapshot, header: header, data: have}
	m.r.SnapshotWritten(int64(len(have)), &LoadedSnapshot{Header: header, Machine: loadImage(have)}, nil)
}

// headerOf finds the header of a snapshot, which in a real file is part of it.
func (g *rig) headerOf(info SnapshotInfo) SnapshotHeader {
	for _, m := range g.members {
		if f, ok := m.snapshots[info.Slot]; ok && f.info == info {
			return f.header
		}
	}
	g.t.Fatalf("nobody has the snapshot of slot %d", info.Slot)
	return SnapshotHeader{}
}

// sync ends the oldest sync of m.
func (m *member) sync() bool {
	if m.r == nil || len(m.pending) == 0 {
		return false
	}
	b := m.pending[0]
	m.pending = m.pending[1:]
	m.log = append(m.log, b.records...)
	m.rig.network = append(m.rig.network, b.after...)
	m.r.LogDurable(b.sync)
	m.carryOut()
	return true
}

// work carries out the oldest disk task of m.
func (m *member) work() bool {
	if m.r == nil || len(m.tasks) == 0 {
		return false
	}
	f := m.tasks[0]
	m.tasks = m.tasks[1:]
	f()
	if m.r != nil {
		m.carryOut()
	}
	return true
}

// settle delivers, syncs and works until nothing more happens. No time passes.
func (g *rig) settle() {
	g.t.Helper()
	for range 10_000 {
		batch := g.network
		g.network = nil
		moved := len(batch) > 0
		for _, e := range batch {
			g.deliver(e)
		}
		for _, m := range g.members {
			moved = !m.slow && m.sync() || moved
			moved = !m.slowTasks && m.work() || moved
		}
		if !moved {
			return
		}
	}
	g.t.Fatalf("the group does not come to rest: %+v", g.network)
}

func (g *rig) deliver(e paxos.Envelope) {
	if int(e.To) >= len(g.members) {
		return // for a member that the sender was told of by mistake
	}
	to := g.members[e.To]
	if to.r == nil || g.cut[[2]paxos.ReplicaID{e.From, e.To}] || g.filter != nil && !g.filter(e) {
		return
	}
	back, err := paxos.DecodeEnvelope(paxos.AppendEnvelope(nil, e))
	require.NoError(g.t, err)
	to.r.Receive(back)
	to.carryOut()
}

// run lets time pass.
func (g *rig) run(d time.Duration) {
	g.t.Helper()
	const step = 10 * time.Millisecond
	for end := g.now + d; g.now < end; {
		g.now += step
		for _, m := range g.members {
			if m.r != nil {
				m.r.Tick(m.time())
				m.carryOut()
			}
		}
		g.settle()
	}
}

// isolate cuts m off from all others.
func (g *rig) isolate(m *member) {
	for _, o := range g.members {
		g.cut[[2]paxos.ReplicaID{m.index, o.index}] = true
		g.cut[[2]paxos.ReplicaID{o.index, m.index}] = true
	}
}

func (g *rig) heal() { clear(g.cut) }

// leader returns the leader of the highest ballot, or nil.
func (g *rig) leader() *member {
	var best *member
	for _, m := range g.members {
		if m.r != nil && m.r.core != nil && m.r.core.Role() == paxos.Leader &&
			(best == nil || best.r.core.Promised().Less(m.r.core.Promised())) {
			best = m
		}
	}
	return best
}

// followers returns the running members but for the leader.
func (g *rig) followers() []*member {
	lead := g.leader()
	var out []*member
	for _, m := range g.members {
		if m != lead && m.r != nil {
			out = append(out, m)
		}
	}
	return out
}

// propose hands commands to m with themselves as tokens.
func (m *member) propose(commands ...string) {
	for _, c := range commands {
		m.r.Propose(c, []byte(c))
	}
	m.carryOut()
}

// read hands a query to m with itself as token.
func (m *member) read(token, query string) {
	m.r.Read(token, []byte(query))
	m.carryOut()
}

// set has a command executed.
func (g *rig) set(command string) {
	g.t.Helper()
	m := g.leader()
	require.NotNil(g.t, m)
	m.propose(command)
	g.settle()
	require.Equal(g.t, Done, m.replies[command].Outcome, command)
}

// outcome returns what became of a request, zero if it is open.
func (m *member) outcome(token string) Outcome { return m.replies[token].Outcome }

func (m *member) machine() *testMachine { return m.r.machine.(*testMachine) }

// said reports whether an event of m contains text.
func (m *member) said(text string) bool {
	return slices.ContainsFunc(m.events, func(e Event) bool { return strings.Contains(e.Text, text) })
}

// requireConverged lets a group without faults come to one state.
func (g *rig) requireConverged() {
	g.t.Helper()
	g.run(time.Second)
	lead := g.leader()
	require.NotNil(g.t, lead)
	for _, m := range g.members {
		require.NotNil(g.t, m.r)
		require.Equal(g.t, lead.r.core.Applied(), m.r.core.Applied(), "member %d", m.index)
		require.Equal(g.t, lead.machine().state(), m.machine().state(), "member %d", m.index)
	}
}
