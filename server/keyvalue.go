package server

import (
	"fmt"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
	"diskv/shard"
)

// keyValue is the service of a group that holds keys.
type keyValue struct {
	group shard.GroupID // of a sharded cluster; 0: it owns every shard
}

// keyStore is the key/value store as a machine.
type keyStore struct{ *kv.Store }

// Image returns the present state.
func (s keyStore) Image() replica.Image { return s.Store.Image() }

func (s keyStore) known(dst, _ []byte) ([]byte, bool) { return dst, false }

func (s keyStore) describe(st *Status) {
	st.Keys, st.Expires, st.Sessions, st.Data = s.Keys(), s.Expires(), s.Sessions(), s.Bytes()
	h := s.Handover()
	st.Moves, st.Newest = h, h.Config
	st.Settled, st.Incoming, st.Outgoing = h.Settled, len(h.Incoming), len(h.Outgoing)
	if h.Config != nil {
		st.Config, st.Groups = h.Config.Num, len(h.Config.Groups)
	}
	for id := range shard.ID(shard.Count) {
		switch s.ShardState(id) {
		case kv.Served:
			st.Served++
		case kv.Leaving:
			st.Served++
			st.Leaving++
		case kv.Awaited:
			st.Awaited++
		case kv.Elsewhere:
		}
	}
}

func (s keyStore) holds() string { return fmt.Sprintf("%d keys, %d sessions", s.Keys(), s.Sessions()) }

// groupHandlers are the commands of key/value groups alone.
var groupHandlers = []handler{
	{&kv.Spec{Name: "diskv.session", Arity: 1, Flags: kv.Fast | kv.NoMulti, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
		Summary: "Returns a fresh session id for DISKV.ONCE."}, session},
	{&kv.Spec{Name: "diskv.pull", Arity: 5, Flags: kv.Admin | kv.Stale | kv.NoMulti, Group: "diskv", Since: "0.1.0", Complexity: "O(N)",
		Summary: "Returns a piece of the shards that a config moves to another group."}, pull},
	{&kv.Spec{Name: "diskv.settled", Arity: -1, Flags: kv.Admin | kv.Stale | kv.NoMulti, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
		Summary: "Tells how far the group has come in taking configs."}, settled},
}

func (k keyValue) empty() machine {
	if k.group == 0 {
		return keyStore{kv.New()}
	}
	return keyStore{kv.NewSharded(k.group)}
}

func (k keyValue) restore(next func() ([]byte, error)) (machine, error) {
	s, err := kv.Restore(next)
	if err != nil {
		return nil, err
	}
	if group := s.Handover().Group; group != k.group {
		return nil, fmt.Errorf("it is of group %d of a cluster, not of group %d (0: of one that owns every shard): put back the file that belongs here", group, k.group)
	}
	return keyStore{s}, nil
}

func (k keyValue) words(encoded []byte) ([][]byte, bool) {
	c, err := kv.DecodeCommand(encoded)
	return c.Words(), err == nil
}

func (k keyValue) handlers() *handlerTable { return keyValueHandlers }

func (k keyValue) prepare(n *Node, args [][]byte) (prepared, []byte) {
	p, refusal := kv.Prepare(args)
	if refusal != nil {
		return prepared{}, refusal
	}
	p.Command.MaxValue = uint32(n.opts.MaxValueBytes)
	return prepared{
		spec: p.Spec, encoded: p.Command.Append(make([]byte, 0, encodedSize(p.Command.Args))),
		write: p.Write, growing: p.Grows, keyed: p.Keyed, shard: p.Shard,
	}, nil
}

// encodedSize is what a command with these arguments is encoded in, at most.
func encodedSize(args [][]byte) int {
	const head, each = 1 + 1 + 4 + 24 + 4, 4
	size := head + each*len(args)
	for _, a := range args {
		size += len(a)
	}
	return size
}

// topology is that of the newest config that this member has applied, with shards that
// move where they are served, or of a group that owns every shard; without a leader that
// one serves none.
func (k keyValue) topology(n *Node) topology {
	if k.group != 0 {
		return n.shardedTopology()
	}
	id := shard.GroupID(n.opts.Group)
	t := topology{config: &shard.Config{Groups: []shard.Group{{ID: id}}}}
	for i := range n.opts.Peers {
		t.config.Groups[0].Servers = append(t.config.Groups[0].Servers, n.peerAddr(paxosID(i)))
	}
	if rt := n.route.Load(); rt.known {
		t.leaders = map[shard.GroupID]int{id: int(rt.leader)}
		for i := range t.config.Owner {
			t.config.Owner[i] = id
		}
	}
	_ = n.do(func(r *replica.Replica) { t.epoch = r.Status().Ballot.Round })
	return t
}

// shardedTopology is that of a member of a sharded group.
func (n *Node) shardedTopology() topology {
	c := n.placed()
	if c == nil {
		return topology{config: &shard.Config{}}
	}
	t := topology{config: c, leaders: n.directory.members(c), epoch: c.Num}
	if rt := n.route.Load(); rt.known {
		t.leaders[shard.GroupID(n.opts.Group)] = int(rt.leader)
	}
	return t
}

// session is DISKV.SESSION.
func session(c *client, args [][]byte) {
	var birth int64
	var leading bool
	if c.node.do(func(r *replica.Replica) { birth, leading = r.LeaderTime() }) != nil || !leading {
		if d := c.node.locate(0, false); d != (destination{}) {
			c.away(d, 0, args, false, counting{}) // who answers DISKV.SESSION counts it
		} else {
			c.fail("CLUSTERDOWN " + whyDown(c.node.route.Load()))
		}
		return
	}
	c.out = resp.AppendBulkString(c.out, kv.NewSessionID(birth, randomUint64()).String())
}
