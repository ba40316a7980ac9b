package server

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"diskv/handover"
	"diskv/kv"
	"diskv/paxos"
	"diskv/shard"
)

// shardWait is how long a command waits for a shard that is on its way. Most moves
// of a shard are over sooner; a client that is told TRYAGAIN comes again, but
// clients count how often, and plain ones do not come at all.
const shardWait = time.Second

// askGiverAfter is how long it waits for an awaited shard before the giver is asked
// whether it still serves it: about as long as a batch of shards takes. The next questions
// come later and later.
const askGiverAfter = 20 * time.Millisecond

// destination is where a command is to be executed. The zero value is here.
type destination struct {
	addr    string // there, another member or group
	refusal string // nowhere; the error to answer
}

// config returns the newest config that this member has applied, or nil.
func (n *Node) config() *shard.Config {
	if t := n.shards.Load(); t != nil {
		return t.config
	}
	return nil
}

// placed returns that config with the shards that move where they are served, or nil.
func (n *Node) placed() *shard.Config {
	if t := n.shards.Load(); t != nil {
		return t.placed
	}
	return nil
}

// locate finds out where a command on a shard, or one without keys, is to be
// executed.
func (n *Node) locate(id shard.ID, keyed bool) destination {
	if t := n.shards.Load(); keyed && t != nil && !t.states[id].Serves() {
		if d := n.locateShard(t, id); d != (destination{}) {
			return d
		}
	}
	rt := n.route.Load()
	switch {
	case rt.leading:
		return destination{}
	case !rt.known || int(rt.leader) == n.opts.Index:
		return destination{refusal: "CLUSTERDOWN " + whyDown(rt)}
	default:
		return destination{addr: n.memberAddr(rt.leader)}
	}
}

// isHere tells, without waiting, whether locate would say that this member executes
// commands on a shard.
func (n *Node) isHere(id shard.ID, keyed bool) bool {
	t := n.shards.Load()
	return (!keyed || t == nil || t.states[id].Serves()) && n.route.Load().leading
}

// readsApplied tells whether this member follows a leader and serves a shard as far as it
// has applied, so that it may answer reads that are allowed to lag.
func (n *Node) readsApplied(id shard.ID, keyed bool) bool {
	if t := n.shards.Load(); keyed && t != nil && !t.states[id].Serves() {
		return false
	}
	rt := n.route.Load()
	return rt.known && !rt.leading && rt.why == ""
}

// memberAddr returns the address of a member of this group by which clients know it:
// that of the config, if there is one.
func (n *Node) memberAddr(id paxos.ReplicaID) string {
	if c := n.config(); c != nil {
		if g, ok := c.Group(shard.GroupID(n.opts.Group)); ok && len(g.Servers) == len(n.opts.Peers) {
			return g.Servers[id]
		}
	}
	return n.peerAddr(id)
}

// locateShard finds the group of a shard that this one does not serve. The zero
// destination is this group.
func (n *Node) locateShard(t *shardTable, id shard.ID) destination {
	giver := ""
	if t.moving(id) && n.route.Load().leading {
		t, giver = n.awaitShard(id)
	}
	owner := t.owner(id)
	switch {
	case giver != "":
		return destination{addr: giver}
	case t.states[id].Serves():
		return destination{}
	case t.config == nil:
		return destination{refusal: "CLUSTERDOWN " + n.whyNoConfig()}
	case owner == 0:
		return destination{refusal: fmt.Sprintf("CLUSTERDOWN Hash slot not served: no group has shard %d in config %d", id, t.config.Num)}
	case uint64(owner) != n.opts.Group:
		if t.moving(id) && n.route.Load().leading {
			return destination{refusal: fmt.Sprintf("TRYAGAIN shard %d is on its way to group %d", id, owner)}
		}
		return destination{addr: n.directory.leader(t.config, owner)}
	case !n.route.Load().leading:
		return destination{} // the leader knows more
	default:
		return destination{refusal: fmt.Sprintf("TRYAGAIN shard %d is on its way to this group", id)}
	}
}

// awaitShard waits until a shard is not on its way any more, for a bounded time, or until
// the group that it comes from says that it serves it: most shards are there for a while
// when much moves. The address is that of this group's leader then.
func (n *Node) awaitShard(id shard.ID) (t *shardTable, giver string) {
	deadline := time.NewTimer(shardWait)
	defer deadline.Stop()
	pause := askGiverAfter
	ask := time.NewTimer(pause)
	defer ask.Stop()
	for {
		t = n.shards.Load()
		if !t.moving(id) || !n.route.Load().leading {
			return t, ""
		}
		select {
		case <-t.changed:
		case <-ask.C:
			if t.states[id] == kv.Awaited {
				if giver = n.directory.serves(t.placed.Owner[id], id); giver != "" {
					return t, giver
				}
			}
			pause *= 2
			ask.Reset(pause)
		case <-deadline.C:
			return t, ""
		case <-n.ended:
			return t, ""
		}
	}
}

// awaitChange waits until another table than the one shown is published. It reports
// false if none has been by the deadline, or the node ends.
func (n *Node) awaitChange(shown *shardTable, deadline time.Time) bool {
	if shown == nil {
		return false
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-shown.changed:
		return true
	case <-timer.C:
	case <-n.ended:
	}
	return false
}

func (n *Node) whyNoConfig() string {
	return handover.NoConfig(shard.GroupID(n.opts.Group))
}

// onItsWay tells whether a command on a shard has to wait before it is known where
// the shard is.
func (n *Node) onItsWay(id shard.ID) bool {
	t := n.shards.Load()
	return t != nil && t.moving(id)
}

// wrongShard tells whether a reply says that the group, when the log came to the
// command, did not serve its shard: it was not executed, and never will be.
func wrongShard(reply []byte) bool { return bytes.HasPrefix(reply, wrongShardPrefix) }

var wrongShardPrefix = []byte("-" + kv.CodeWrongShard + " ")

// shardTable is where the shards are, as far as this member has applied. It does not
// change once it is published.
type shardTable struct {
	config  *shard.Config // nil: none yet
	placed  *shard.Config // the same with the shards that move where they are served, as far as is known
	states  [shard.Count]kv.ShardState
	untaken []shard.GroupID // groups that may not know yet what they get from here
	changed chan struct{}   // closed when another table is published
}

// owner returns the group that has a shard by the config, or 0.
func (t *shardTable) owner(id shard.ID) shard.GroupID {
	if t.config == nil {
		return 0
	}
	return t.config.Owner[id]
}

// moving tells whether a shard is on its way: awaited here, or gone from here to a
// group that would still send its clients back.
func (t *shardTable) moving(id shard.ID) bool {
	return t.states[id] == kv.Awaited ||
		t.states[id] == kv.Elsewhere && len(t.untaken) > 0 && slices.Contains(t.untaken, t.owner(id))
}

// publish shows the clients where the shards are, if that has changed.
func (m *shardMover) publish(store *kv.Store) {
	m.observe(store)
	old := m.node.shards.Load()
	untaken := m.mover.Untaken(m.state)
	if m.shown && slices.Equal(old.untaken, untaken) {
		return
	}
	m.shown = true
	next := &shardTable{config: m.state.Config, placed: m.placed(), untaken: untaken, changed: make(chan struct{})}
	for id := range shard.ID(shard.Count) {
		next.states[id] = store.ShardState(id)
	}
	m.node.shards.Store(next)
	if old != nil {
		close(old.changed)
	}
}

// placed returns the config with the shards that move where they are served: those that
// leave here, those that are awaited at their giver, also if that is no longer a member.
func (m *shardMover) placed() *shard.Config {
	h := &m.state
	waiting := slices.ContainsFunc(h.Outgoing, func(d kv.Departure) bool { return d.Waiting > 0 })
	if h.Config == nil || len(h.Incoming) == 0 && !waiting {
		return h.Config
	}
	c := &shard.Config{Num: h.Config.Num, Owner: h.Config.Owner, Groups: slices.Clone(h.Config.Groups)}
	add := func(g shard.Group) {
		i, ok := slices.BinarySearchFunc(c.Groups, g.ID, func(g shard.Group, id shard.GroupID) int { return cmp.Compare(g.ID, id) })
		if !ok {
			c.Groups = slices.Insert(c.Groups, i, g)
		}
	}
	if waiting {
		own := shard.Group{ID: h.Group}
		for i := range m.node.opts.Peers {
			own.Servers = append(own.Servers, m.node.peerAddr(paxosID(i)))
		}
		add(own)
	}
	for _, in := range h.Incoming {
		add(in.From)
	}
	for id := range shard.ID(shard.Count) {
		switch m.store.ShardState(id) {
		case kv.Leaving:
			c.Owner[id] = h.Group
		case kv.Awaited:
			c.Owner[id] = m.store.AwaitedFrom(id)
		case kv.Served, kv.Elsewhere:
		}
	}
	return c
}

// away answers a command that is not to be executed here, or has it executed there.
func (c *client) away(d destination, id shard.ID, args [][]byte, write bool, count counting) {
	if d.addr != "" && c.forwards() {
		c.forward(d.addr, args, write, count)
		return
	}
	count.rejected()
	c.finishRun()
	if d.refusal != "" {
		c.fail(d.refusal)
		return
	}
	c.fail(moved(id, d.addr))
}
