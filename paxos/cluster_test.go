package paxos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// cluster is several Cores on a network and disks that do only what a story
// says. Whatever it applies is compared with what others applied in the slot.
type cluster struct {
	t       *testing.T
	cfg     Config
	now     time.Duration
	nodes   []*node
	network []Envelope // in flight, in the order sent
	held    []Envelope // taken out of the network by hold
	cuts    map[[2]ReplicaID]bool
	chosen  map[Slot]Entry
	events  []string // since the last command
}

// node is a replica with its disk. Core is nil while it is down.
type node struct {
	id       ReplicaID
	core     *Core
	log      []diskRecord // durable
	pending  []diskBatch  // not synced
	slow     bool         // syncs only when told so
	slowRead bool         // reads its log only when told so
	snapshot *diskSnapshot
	kept     Slot // commit index in the log, synced or not
	logReads []diskRead
	role     Role

	paused     bool // its process stands still: no ticks, and what arrives is lost
	life       Life // in IDENTITY
	recovering bool // in IDENTITY
	readmitted *diskIdentity
}

// diskIdentity is a new life, to be stored once a sync has ended.
type diskIdentity struct {
	sync uint64
	life Life
}

// diskRead is a read of the log and what was found there, which need not be
// what is there when it is answered.
type diskRead struct {
	LogRead
	entries []Entry
}

// diskRecord is an entry with the commit index that rides along, or a state.
type diskRecord struct {
	entry  Entry
	commit Slot
	state  *HardState
}

// diskBatch is one sync: its records and the messages that wait for it.
type diskBatch struct {
	sync    uint64
	records []diskRecord
	after   []Envelope
}

type diskSnapshot struct {
	slot  Slot
	state HardState
}

// fixedSource makes the members' election timers run out in the order of their
// ids, 38 ms apart at the default timeout.
type fixedSource uint64

func (s fixedSource) Uint64() uint64 { return uint64(s)<<61 | 0x0fedcba987654321 }

func newCluster(t *testing.T, cfg Config) *cluster {
	t.Helper()
	c := &cluster{t: t, cfg: cfg, cuts: map[[2]ReplicaID]bool{}, chosen: map[Slot]Entry{}}
	genesis := &HardState{}
	for id := range ReplicaID(cfg.Size) {
		n := &node{id: id, life: Life{Nonce: uint64(id) + 1}}
		n.log = []diskRecord{{state: genesis}}
		genesis.Vector[id] = n.life
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		c.start(n)
	}
	return c
}

// start makes a Core of what the disk of n holds, as a driver does.
func (c *cluster) start(n *node) {
	cfg := c.cfg
	cfg.Cluster, cfg.Group, cfg.ID = 1, 1, n.id
	cfg.Life, cfg.Recovering = n.life, n.recovering
	cfg.Rand = rand.New(fixedSource(n.id))
	n.core = New(cfg)
	n.role = Follower
	if s := n.snapshot; s != nil {
		n.core.RestoreSnapshot(s.slot, s.state)
	}
	for _, r := range n.log {
		var err error
		if r.state != nil {
			err = n.core.RestoreHardState(*r.state)
		} else if err = n.core.RestoreEntry(r.entry); err == nil {
			err = n.core.RestoreCommit(r.commit)
		}
		if err != nil {
			c.t.Fatalf("replica %d: replay: %v", n.id, err)
		}
		c.apply(n, n.core.TakeCommitted())
	}
	n.kept = n.core.Commit()
	n.core.Start(c.now, int64(c.now))
	c.drain(n)
}

func (c *cluster) crash(n *node) {
	n.core, n.pending, n.logReads = nil, nil, nil
}

// lose empties the disk of n, which recovers from then on, as a new life with
// the knowledge that a member gave it.
func (c *cluster) lose(n *node, nonce uint64) {
	vector := c.nodes[(int(n.id)+1)%len(c.nodes)].log[0].state.Vector
	*n = node{id: n.id, life: Life{Nonce: nonce}, recovering: true}
	n.log = []diskRecord{{state: &HardState{Recovering: true, Vector: vector}}}
}

// drain carries out what n wants done, but for syncs and log reads.
func (c *cluster) drain(n *node) {
	rd := n.core.Ready()
	if r := n.core.Role(); r != n.role {
		n.role = r
		c.event("%d is %v under %v", n.id, r, n.core.Promised())
	}
	if rd.MustSync {
		b := diskBatch{sync: rd.Sync}
		for i, e := range rd.Entries {
			r := diskRecord{entry: e, commit: n.kept}
			if i == len(rd.Entries)-1 && !rd.StateChanged {
				r.commit = rd.HardState.Commit
			}
			b.records = append(b.records, r)
		}
		if rd.StateChanged {
			b.records = append(b.records, diskRecord{state: &rd.HardState})
		}
		n.kept = rd.HardState.Commit
		n.pending = append(n.pending, b)
	}
	for _, e := range rd.Messages {
		if k := e.Message.kind(); len(n.pending) > 0 && (k == kindPromise || k == kindAccepted) {
			c.t.Fatalf("%s leaves before its sync", showMessage(e))
		}
	}
	c.network = append(c.network, rd.Messages...)
	if len(rd.AfterSync) > 0 {
		last := &n.pending[len(n.pending)-1]
		if last.sync != rd.Sync {
			c.t.Fatalf("replica %d: messages wait for sync %d, the last is %d", n.id, rd.Sync, last.sync)
		}
		last.after = append(last.after, rd.AfterSync...)
	}
	c.apply(n, rd.Committed)
	if rd.Readmitted != nil {
		n.readmitted = &diskIdentity{sync: rd.Sync, life: *rd.Readmitted}
	}
	if rd.Lost != "" {
		c.event("%d has lost its disk: %s", n.id, rd.Lost)
	}
	for _, r := range rd.Reads {
		outcome := "failed"
		if r.OK {
			outcome = fmt.Sprintf("answered at slot %d", n.core.Applied())
		}
		c.event("%d: read %d %s", n.id, r.ID, outcome)
	}
	for _, lr := range rd.LogReads {
		c.event("%d reads its log from slot %d, through %d at most, for %d", n.id, lr.From, lr.Through, lr.For)
		n.logReads = append(n.logReads, diskRead{LogRead: lr, entries: n.readLog(lr.From)})
	}
	for _, id := range rd.NeedSnapshot {
		c.event("%d: %d needs a snapshot", n.id, id)
	}
}

// readLog returns the newest entry that the disk holds of every slot from s on.
func (n *node) readLog(s Slot) []Entry {
	newest := map[Slot]Entry{}
	for _, r := range n.log {
		if r.state == nil {
			newest[r.entry.Slot] = r.entry
		}
	}
	var entries []Entry
	for ; newest[s].Slot == s; s++ {
		entries = append(entries, newest[s])
	}
	return entries
}

// apply checks that what is applied is on the replica's own disk and is what
// everybody else applied.
func (c *cluster) apply(n *node, entries []Entry) {
	for _, e := range entries {
		on := func(r diskRecord) bool { return r.state == nil && r.entry.Slot == e.Slot && sameValue(r.entry, e) }
		if !slices.ContainsFunc(n.log, on) {
			c.t.Fatalf("replica %d applied slot %d before its own log held it", n.id, e.Slot)
		}
		if old, ok := c.chosen[e.Slot]; ok && !sameValue(old, e) {
			c.t.Fatalf("slot %d has two chosen values, %s and %s", e.Slot, show(old), show(e))
		}
		c.chosen[e.Slot] = e
		c.event("%d applies %s", n.id, show(e))
	}
}

// sync ends the oldest sync of n. It reports whether there was one.
func (c *cluster) sync(n *node) bool {
	if len(n.pending) == 0 {
		return false
	}
	b := n.pending[0]
	n.pending = n.pending[1:]
	n.log = append(n.log, b.records...)
	c.network = append(c.network, b.after...)
	n.core.Durable(b.sync)
	if r := n.readmitted; r != nil && r.sync <= b.sync {
		n.life, n.recovering, n.readmitted = r.life, false, nil
		n.core.Readmit()
		c.event("%d votes again, as %v", n.id, n.life)
	}
	c.drain(n)
	return true
}

// answerLogRead answers the oldest log read of n.
func (c *cluster) answerLogRead(n *node) bool {
	if len(n.logReads) == 0 {
		return false
	}
	lr := n.logReads[0]
	n.logReads = n.logReads[1:]
	n.core.LogRead(lr.For, lr.entries)
	c.drain(n)
	return true
}

// takeSnapshot has n cover what it applied with a snapshot and drop the log.
func (c *cluster) takeSnapshot(n *node) {
	s := n.core.Applied()
	n.snapshot = &diskSnapshot{slot: s, state: n.core.SnapshotState()}
	h := n.core.HardState()
	h.Commit = n.snapshot.slot
	keep := []diskRecord{{state: &h}}
	for _, r := range n.log {
		if r.state != nil || r.entry.Slot > s {
			keep = append(keep, r)
		}
	}
	n.log = keep[1:]
	n.core.Truncated(s)
	c.drain(n)
}

// install ends a transfer of the newest snapshot of one replica to another.
func (c *cluster) install(from, to *node) bool {
	s := *from.snapshot
	if !to.core.InstallSnapshot(s.slot, from.core.Promised(), s.state.Vector) {
		return false
	}
	to.snapshot = &s
	c.drain(to)
	return true
}

// deliver hands over a message. It is lost if the way is cut or the receiver
// is down.
func (c *cluster) deliver(e Envelope) bool {
	to := c.nodes[e.To]
	if to.core == nil || to.paused || c.cuts[[2]ReplicaID{e.From, e.To}] {
		return false
	}
	decoded, err := DecodeEnvelope(AppendEnvelope(nil, e))
	if err != nil {
		c.t.Fatalf("%s: %v", showMessage(e), err)
	}
	to.core.Step(decoded)
	c.drain(to)
	return true
}

// settle delivers and syncs until nothing more happens. No time passes.
func (c *cluster) settle() {
	for range 10_000 {
		if !c.settleOnce() {
			return
		}
	}
	c.t.Fatal("the cluster does not come to rest")
}

func (c *cluster) settleOnce() bool {
	batch := c.network
	c.network = nil
	moved := len(batch) > 0
	for _, e := range batch {
		c.deliver(e)
	}
	for _, n := range c.nodes {
		if n.core != nil {
			moved = !n.slow && c.sync(n) || moved
			moved = !n.slowRead && c.answerLogRead(n) || moved
		}
	}
	return moved
}

// tickStep is how often the Cores are told the time.
const tickStep = 10 * time.Millisecond

// advance lets time pass. After every step it calls then.
func (c *cluster) advance(d time.Duration, then func()) {
	for ; d > 0; d -= tickStep {
		c.now += min(d, tickStep)
		for _, n := range c.nodes {
			if n.core != nil && !n.paused {
				n.core.Tick(c.now, int64(c.now))
				c.drain(n)
			}
		}
		then()
	}
}

func (c *cluster) event(format string, args ...any) {
	c.events = append(c.events, fmt.Sprintf(format, args...))
}

// show names an entry: slot=value, a long value by its name and length.
func show(e Entry) string {
	if e.Kind == KindNoop {
		return fmt.Sprintf("%d=noop", e.Slot)
	}
	if e.Kind == KindRejoin {
		j, _ := DecodeRejoin(e.Value)
		return fmt.Sprintf("%d=rejoin(%d,%v)", e.Slot, j.Replica, j.Life)
	}
	name := strings.TrimRight(string(e.Value), "\x00")
	if len(name) != len(e.Value) {
		name = fmt.Sprintf("%s~%d", name, len(e.Value))
	}
	return fmt.Sprintf("%d=%s", e.Slot, name)
}

func showAll(entries []Entry, ballots bool) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(" " + show(e))
		if ballots {
			fmt.Fprintf(&b, "@%v", e.Ballot)
		}
	}
	return b.String()
}

// kindNames are the words for messages in stories.
var kindNames = map[messageKind]string{
	kindPreVote: "pre-vote", kindPreVoteReply: "pre-vote-reply", kindPrepare: "prepare", kindPromise: "promise",
	kindNack: "nack", kindAccept: "accept", kindAccepted: "accepted", kindHeartbeat: "heartbeat",
	kindHeartbeatAck: "heartbeat-ack", kindHandover: "handover",
	kindProgress: "progress", kindRejoinNotice: "rejoin-notice", kindRejoinRequest: "rejoin-request",
}

func showMessage(e Envelope) string {
	var rest string
	switch m := e.Message.(type) {
	case PreVote:
		rest = fmt.Sprintf("%v commit %d", m.Ballot, m.Commit)
	case PreVoteReply:
		rest = fmt.Sprintf("%v refused, promised %v", m.Ballot, m.Promised)
		if m.Granted {
			rest = fmt.Sprintf("%v granted", m.Ballot)
		}
	case Prepare:
		rest = fmt.Sprintf("%v from %d", m.Ballot, m.From)
		if m.Handover.Valid() {
			rest += fmt.Sprintf(" as %v asks", m.Handover)
		}
	case Promise:
		rest = fmt.Sprintf("%v from %d: commit %d, holds from %d:%s", m.Ballot, m.From, m.Commit, m.LogStart, showAll(m.Entries, true))
		if m.More {
			rest += " and more"
		}
	case Nack:
		rest = fmt.Sprintf("%v, promised %v", m.Ballot, m.Promised)
	case Accept:
		rest = fmt.Sprintf("%v commit %d:%s", m.Ballot, m.Commit, showAll(m.Entries, false))
	case Accepted:
		rest = fmt.Sprintf("%v through %d", m.Ballot, m.Through)
	case Heartbeat:
		rest = fmt.Sprintf("%v commit %d round %d", m.Ballot, m.Commit, m.Round)
	case HeartbeatAck:
		rest = fmt.Sprintf("%v round %d held %d", m.Ballot, m.Round, m.Held)
		if m.Gap {
			rest += " gap"
		}
	case Handover:
		rest = m.Ballot.String()
	case Progress:
		rest = fmt.Sprintf("%v held %d", m.Ballot, m.Held)
		if m.Gap {
			rest += " gap"
		}
	case RejoinNotice:
		rest = fmt.Sprintf("%v epoch %d, chosen %v", m.Ballot, m.Epoch, m.Chosen)
	case RejoinRequest:
		rest = fmt.Sprintf("%v prev %d of %v", m.Ballot, m.Prev, e.Life)
	}
	return fmt.Sprintf("%d->%d %s %s", e.From, e.To, kindNames[e.Message.kind()], rest)
}

// showState is a line about a replica and one about its entries in memory,
// where | stands behind what is applied and || behind what is chosen.
func (n *node) showState() string {
	if n.core == nil {
		return fmt.Sprintf("%d down\n", n.id)
	}
	c := n.core
	var b strings.Builder
	fmt.Fprintf(&b, "%d %v promised %v: applied %d, commit %d, held %d", n.id, c.role, c.promised, c.applied, c.commit, c.held)
	if c.hasLeader && c.role != Leader {
		fmt.Fprintf(&b, ", follows %d", c.leader)
	}
	if n.recovering {
		b.WriteString(", recovers")
	}
	if len(n.pending) > 0 {
		fmt.Fprintf(&b, ", %d syncs pending", len(n.pending))
	}
	if c.logStart > 1 {
		fmt.Fprintf(&b, ", log from %d", c.logStart)
	}
	b.WriteString("\n ")
	for _, e := range c.window.entries {
		fmt.Fprintf(&b, " %s@%v", show(e.Entry), e.Ballot)
		if e.sync > c.durable {
			b.WriteString("?")
		}
	}
	b.WriteString("\n")
	return b.String()
}
