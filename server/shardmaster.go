package server

import (
	"bytes"
	"fmt"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
	"diskv/shard"
	"diskv/shardmaster"
)

// shardmasters is the service of the group that makes the configs.
type shardmasters struct{}

// configs is the shardmaster's machine.
type configs struct{ *shardmaster.Machine }

// Image returns the present state.
func (c configs) Image() replica.Image { return c.Machine.Image() }

func (c configs) known(dst, query []byte) ([]byte, bool) { return c.Known(dst, query) }

func (c configs) describe(s *Status) {
	s.Data = c.Bytes()
	s.Newest, s.Standings = c.Newest(), c.Groups()
	s.Config, s.ConfigsKept, s.Groups = c.Newest().Num, c.Kept(), len(c.Newest().Groups)
}

func (c configs) holds() string {
	newest := c.Newest()
	return fmt.Sprintf("%d configs up to config %d, of %d groups", c.Kept(), newest.Num, len(newest.Groups))
}

func (shardmasters) empty() machine { return configs{shardmaster.New()} }

func (shardmasters) restore(next func() ([]byte, error)) (machine, error) {
	m, err := shardmaster.Restore(next)
	if err != nil {
		return nil, err
	}
	return configs{m}, nil
}

// words is not known: a command that has come in between two leaders is answered with
// where to send it.
func (shardmasters) words([]byte) ([][]byte, bool) { return nil, false }

func (shardmasters) handlers() *handlerTable { return shardmasterHandlers }

// shardsSpec describes DISKV.SHARDS.
var shardsSpec = &kv.Spec{
	Name: shardmaster.Name, Arity: -2, Flags: kv.Write | kv.Admin | kv.NoMulti, Group: "diskv", Since: "0.2.0",
	Complexity: "O(N) where N is the number of shards.", Summary: "Says which group owns which shard, and changes it",
	Subcommands: []*kv.Spec{
		{Name: "join", Arity: -4, Flags: kv.Write | kv.Admin, Group: "diskv", Since: "0.2.0", Complexity: "O(N)", Summary: "A group joins, or has new addresses"},
		{Name: "leave", Arity: -3, Flags: kv.Write | kv.Admin, Group: "diskv", Since: "0.2.0", Complexity: "O(N)", Summary: "A group leaves; its shards go to the others"},
		{Name: "move", Arity: -4, Flags: kv.Write | kv.Admin, Group: "diskv", Since: "0.2.0", Complexity: "O(N)", Summary: "Shards go to a group"},
		{Name: "balance", Arity: -2, Flags: kv.Write | kv.Admin, Group: "diskv", Since: "0.2.0", Complexity: "O(N)", Summary: "Evens out how many shards the groups own"},
		{Name: "passed", Arity: 5, Flags: kv.Write | kv.Admin, Group: "diskv", Since: "0.2.0", Complexity: "O(1)", Summary: "A group says how far it is with the configs"},
		{Name: "query", Arity: -2, Flags: kv.ReadOnly | kv.Stale, Group: "diskv", Since: "0.2.0", Complexity: "O(N)", Summary: "Returns a config, encoded"},
		{Name: "groups", Arity: 2, Flags: kv.ReadOnly, Group: "diskv", Since: "0.2.0", Complexity: "O(N)", Summary: "Says how far the groups are with the configs"},
	},
}

func (s shardmasters) prepare(n *Node, args [][]byte) (prepared, []byte) {
	if !bytes.EqualFold(args[0], []byte(shardmaster.Name)) {
		return prepared{}, s.holdsNoData(n, args)
	}
	p, refusal := shardmaster.Prepare(args)
	if refusal != nil {
		return prepared{}, refusal
	}
	return prepared{spec: shardsSpec, encoded: p.Encoded, write: p.Write, growing: p.Growing, known: p.Fixed}, nil
}

// holdsNoData answers a command on data with where the data is.
func (shardmasters) holdsNoData(n *Node, args [][]byte) []byte {
	p, refusal := kv.Prepare(args)
	if refusal != nil {
		return refusal // it is no command at all, or not used rightly
	}
	where := "CLUSTER SLOTS says where the groups are"
	if c := n.newestConfig(); c == nil || len(c.Groups) == 0 {
		where = "no group has joined yet; DISKV.SHARDS JOIN adds one"
	} else if g, ok := c.Group(c.Owner[p.Shard]); p.Keyed && ok {
		where = fmt.Sprintf("shard %d is with group %d at %s", p.Shard, g.ID, g.Servers[0])
	}
	return resp.AppendError(nil, "ERR this is a shardmaster, which holds no keys: "+where)
}

// newestConfig returns the newest config that a shardmaster has applied, or nil if
// the node is stopping.
func (n *Node) newestConfig() *shard.Config {
	var c *shard.Config
	_ = n.do(func(r *replica.Replica) { c = r.Machine().(configs).Newest() })
	return c
}

// topology is that of the newest config.
func (shardmasters) topology(n *Node) topology {
	c := n.newestConfig()
	if c == nil {
		c = &shard.Config{}
	}
	return topology{config: c, leaders: n.directory.members(c), epoch: c.Num}
}
