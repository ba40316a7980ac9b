package server

import (
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// clusterHandlers are CLUSTER.
var clusterHandlers = []handler{
	{&kv.Spec{Name: "cluster", Arity: -2, Flags: kv.Stale, Group: "cluster", Since: "3.0.0", Complexity: "O(N)",
		Summary: "Describes the cluster."}, cluster},
}

// cluster is CLUSTER SLOTS, SHARDS, NODES, INFO, MYID and KEYSLOT.
func cluster(c *client, args [][]byte) {
	n := c.node
	topology := func() *topology {
		t := n.service.topology(n)
		return &t
	}
	switch sub := strings.ToUpper(string(args[1])); {
	case sub == "SLOTS" && len(args) == 2:
		c.reply(topology().appendSlots(nil, n))
	case sub == "SHARDS" && len(args) == 2:
		c.reply(topology().appendShards(nil, n))
	case sub == "NODES" && len(args) == 2:
		c.reply(resp.AppendVerbatim(nil, "txt", topology().nodes(n)))
	case sub == "INFO" && len(args) == 2:
		c.reply(resp.AppendVerbatim(nil, "txt", topology().info(n)))
	case sub == "MYID" && len(args) == 2:
		c.out = resp.AppendBulkString(c.out, n.ownID())
	case sub == "KEYSLOT" && len(args) == 3:
		c.out = resp.AppendInt(c.out, int64(shard.Of(args[2])))
	case sub == "SLOTS", sub == "SHARDS", sub == "NODES", sub == "INFO", sub == "MYID", sub == "KEYSLOT":
		c.wrongArguments("cluster|" + strings.ToLower(sub))
	default:
		c.unknownSubcommand(args)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
