package server

import (
	"fmt"

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
}

func (s keyStore) holds() string { return fmt.Sprintf("%d keys, %d sessions", s.Keys(), s.Sessions()) }

// sharded tells whether the store is that of a group of a sharded cluster.
func (s keyStore) sharded() bool { return false }

func (k keyValue) empty() machine { return keyStore{kv.New()} }

func (k keyValue) restore(next func() ([]byte, error)) (machine, error) {
	s, err := kv.Restore(next)
	if err != nil {
		return nil, err
	}
	return keyStore{s}, nil
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
		write: p.Write, growing: p.Spec.Flags&kv.DenyOOM != 0, keyed: p.Keyed, shard: p.Shard,
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

// topology is that of a group that owns every shard; without a leader it serves none.
func (k keyValue) topology(n *Node) topology {
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
