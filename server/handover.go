package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"diskv/handover"
	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
	"diskv/shard"
)

// shardMover carries out what the leader of a sharded group wants so that shards
// move: requests to other groups and to the shardmasters, and proposals. All of its
// methods but those of the requests' goroutines are the loop's.
type shardMover struct {
	node  *Node
	mover *handover.Mover
	out   *outbound

	store   *kv.Store // that state is of
	version uint64    // of state
	state   kv.Handover
	shown   bool // the shard table that is published is of state
	due     bool // something has happened since the last step
	stepAt  time.Duration
	problem string
	saidAt  time.Duration // when problem was reported

	ctx    context.Context
	cancel context.CancelCauseFunc
	asking sync.WaitGroup
}

// requestTimeout bounds a request of the mover. It is given up there before.
const requestTimeout = 5 * time.Second

func newShardMover(n *Node) *shardMover {
	m := &shardMover{
		node: n, mover: handover.New(handover.Options{Group: shard.GroupID(n.opts.Group)}),
		out: newOutbound(maxChunkReply), due: true,
	}
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	return m
}

// maxChunkReply bounds what another group may answer: a chunk, which may be one
// largest value alone.
const maxChunkReply = maxMaxValue + (2 << 20)

// movedShards is the token of what the mover proposes. What has become of it is seen
// from the group's state.
type movedShards struct{}

// observe takes note of where the group stands, if that has changed.
func (m *shardMover) observe(store *kv.Store) {
	if v := store.HandoverVersion(); m.version != v || m.store != store {
		m.state, m.store, m.version = store.Handover(), store, v
		m.shown, m.due = false, true
	}
}

// step has the mover look at where the group stands.
func (m *shardMover) step(r *replica.Replica, now time.Duration) {
	m.observe(storeOf(r))
	if !m.due && now < m.stepAt+tickInterval {
		return
	}
	m.due, m.stepAt = false, now
	_, _, leading := r.Leader()
	out := m.mover.Step(now, leading, m.state)
	m.report(now)
	for _, req := range out.Requests {
		m.carry(req)
	}
	for _, command := range out.Propose {
		r.Propose(movedShards{}, command)
	}
}

// report says at a steady interval what keeps shards from moving.
func (m *shardMover) report(now time.Duration) {
	problem := m.mover.Problem()
	if problem == m.problem && (problem == "" || now < m.saidAt+problemInterval) {
		return
	}
	m.problem, m.saidAt = problem, now
	if problem != "" {
		m.node.logger.Warn(problem)
	}
}

// problemInterval is how often a problem that lasts is reported.
const problemInterval = 10 * time.Second

// carry carries out a request, in a goroutine of its own: there are never more than
// one for each stream, for each group that is to get shards, and for the
// shardmasters.
func (m *shardMover) carry(req handover.Request) {
	servers := req.Servers
	if servers == nil {
		servers = m.node.opts.Shardmasters
	}
	m.asking.Go(func() {
		ctx, cancel := context.WithTimeout(m.ctx, requestTimeout)
		defer cancel()
		v, err := m.out.ask(ctx, servers, req.Args)
		m.node.inbox.put(func(*replica.Replica) {
			m.mover.Answered(req.ID, v, err)
			m.due = true
		})
	})
}

// close ends the requests under way.
func (m *shardMover) close() {
	m.cancel(errStopped)
	m.out.close()
	m.asking.Wait()
}

// storeOf returns the key/value store of a replica, which must be one of keys.
func storeOf(r *replica.Replica) *kv.Store { return r.Machine().(keyStore).Store }

// pull is DISKV.PULL config group cursor limit: the next chunk of what a config
// moves from here to another group. What is frozen never changes, so any member may
// answer that has it; that a batch is wanted which is not frozen is the leader's affair.
func pull(c *client, args [][]byte) {
	config, ok1 := resp.ParseInt(args[1])
	to, ok2 := resp.ParseInt(args[2])
	limit, ok3 := resp.ParseInt(args[4])
	if !ok1 || !ok2 || !ok3 || config < 1 || to < 1 || limit < 1 {
		c.fail("ERR DISKV.PULL needs the numbers of a config and of a group, a cursor, and a size above 0")
		return
	}
	if c.node.mover == nil {
		c.fail(errNotSharded)
		return
	}
	batch, err := kv.CursorBatch(args[3])
	if err != nil {
		c.fail("ERR " + err.Error())
		return
	}
	var frozen *kv.Outgoing
	var found, waits, leading, applied bool
	for deadline := time.Now().Add(pullWait); ; {
		shown := c.node.shards.Load()
		if c.node.do(func(r *replica.Replica) {
			store := storeOf(r)
			if frozen, found = store.Outgoing(uint64(config), shard.GroupID(to), batch); found {
				waits = false
				return
			}
			h := store.Handover()
			applied = h.Config != nil && h.Config.Num >= uint64(config)
			waits = slices.ContainsFunc(h.Outgoing, func(d kv.Departure) bool {
				return d.Config == uint64(config) && d.To.ID == shard.GroupID(to) && d.Waiting > 0
			})
			if _, _, leading = r.Leader(); waits && leading {
				m := c.node.mover
				m.mover.Wanted(uint64(config), shard.GroupID(to), batch)
				m.due = true
			}
		}) != nil {
			c.fail("CLUSTERDOWN " + errStopped.Error())
			return
		}
		// Once the batch is frozen nobody serves it until it is fetched: the question
		// waits here, rather than come again some time later.
		if !waits || !leading || !c.node.awaitChange(shown, deadline) {
			break
		}
	}
	rt := c.node.route.Load()
	switch {
	case waits && !leading && rt.known && int(rt.leader) != c.node.opts.Index:
		c.fail("MOVED 0 " + c.node.memberAddr(rt.leader)) // who has it frozen
	case waits:
		c.fail(handover.CodeNotYet + " the batch is not frozen here yet")
	case found:
		chunk, err := frozen.Chunk(args[3], int(min(limit, maxChunk)))
		if err != nil {
			c.fail("ERR " + err.Error())
			return
		}
		c.out = resp.AppendBulk(c.out, chunk)
	case applied:
		c.fail(handover.CodeGone + " nothing is kept here that config " + string(args[1]) + " moves to group " + string(args[2]))
	default:
		c.fail(handover.CodeNotYet + " config " + string(args[1]) + " has not been applied here")
	}
}

// pullWait is how long a question for a batch waits for it to be frozen: less than the
// one who asks does.
const pullWait = time.Second

// maxChunk is the largest chunk that may be asked for, unless one key is larger.
const maxChunk = 1 << 20

const errNotSharded = "ERR this group has no shardmasters: it serves every shard, and moves none"

// settled is DISKV.SETTLED [shard]: the group, the config of which it has everything,
// whether nothing is left here that others have to get, the config that it is at,
// the address of its leader, or nothing, whether that is who answers, and whether the
// shard is served, if one is named. What has been applied is chosen, so any member may
// answer; that a shard is served is sure of the leader's word only.
func settled(c *client, args [][]byte) {
	if c.node.mover == nil {
		c.fail(errNotSharded)
		return
	}
	id, ok := int64(0), len(args) == 1
	if len(args) == 2 {
		id, ok = resp.ParseInt(args[1])
	}
	if !ok || id < 0 || id >= shard.Count {
		c.fail("ERR DISKV.SETTLED takes the number of a shard, 0 to 16383, or nothing")
		return
	}
	var h kv.Handover
	if c.node.do(func(r *replica.Replica) { h = storeOf(r).Handover() }) != nil {
		c.fail("CLUSTERDOWN " + errStopped.Error())
		return
	}
	leader, rt := "", c.node.route.Load()
	if rt.known {
		leader = c.node.memberAddr(rt.leader)
	}
	at := uint64(0)
	if h.Config != nil {
		at = h.Config.Num
	}
	c.out = resp.AppendArray(c.out, 5+len(args))
	c.out = resp.AppendInt(c.out, int64(h.Group))
	c.out = resp.AppendInt(c.out, int64(h.Settled))
	c.out = resp.AppendInt(c.out, int64(boolInt(len(h.Outgoing) == 0)))
	c.out = resp.AppendInt(c.out, int64(at))
	c.out = resp.AppendBulkString(c.out, leader)
	c.out = resp.AppendInt(c.out, int64(boolInt(rt.leading)))
	if len(args) == 2 {
		t := c.node.shards.Load()
		c.out = resp.AppendInt(c.out, int64(boolInt(t != nil && t.states[id].Serves())))
	}
}
