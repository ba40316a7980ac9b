package server

import (
	"fmt"
	"slices"
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// clusterHandlers are CLUSTER.
var clusterHandlers = []handler{
	container(&kv.Spec{Name: "cluster", Arity: -2, Flags: kv.Stale, Group: "cluster", Since: "3.0.0",
		Complexity: "O(N) where N is the number of members", Summary: "Describes the cluster."}, nil, clusterSubcommands()...),
}

func clusterSubcommands() []subcommand {
	subs := []subcommand{
		{name: "count-failure-reports", flags: kv.Admin, arity: 3, since: "3.0.0", summary: "Counts who says that a member is down: nobody is asked here.", run: clusterFailureReports, usage: []string{
			"COUNT-FAILURE-REPORTS <node-id>", "    Return number of failure reports for <node-id>."}},
		{name: "countkeysinslot", arity: 3, since: "3.0.0", summary: "Counts the keys of a shard.", run: noKeys, usage: []string{
			"COUNTKEYSINSLOT <slot>", "    Return the number of keys in <slot>."}},
		{name: "getkeysinslot", arity: 4, since: "3.0.0", summary: "Returns keys of a shard.", run: noKeys, usage: []string{
			"GETKEYSINSLOT <slot> <count>", "    Return key names stored by current node in a slot."}},
		{name: "info", arity: 2, since: "3.0.0", summary: "Describes the cluster in numbers.", usage: []string{
			"INFO", "    Return information about the cluster."},
			run: func(c *client, _ [][]byte) {
				c.reply(resp.AppendVerbatim(nil, "txt", c.node.topology().info(c.node)))
			}},
		{name: "keyslot", arity: 3, since: "3.0.0", summary: "Returns the shard of a key.", usage: []string{
			"KEYSLOT <key>", "    Return the hash slot for <key>."},
			run: func(c *client, args [][]byte) { c.out = resp.AppendInt(c.out, int64(shard.Of(args[2]))) }},
		{name: "links", arity: 2, since: "7.0.0", summary: "Describes the connections to the other members of the group.", run: clusterLinks, usage: []string{
			"LINKS", "    Return information about all network links between this node and its peers.",
			"    Output format is an array where each array element is a map containing attributes of a link"}},
		{name: "myid", arity: 2, since: "3.0.0", summary: "Returns the name of the member.", usage: []string{
			"MYID", "    Return the node id."},
			run: func(c *client, _ [][]byte) { c.out = resp.AppendBulkString(c.out, c.node.ownID()) }},
		{name: "nodes", arity: 2, since: "3.0.0", summary: "Describes the members of all groups.", usage: []string{
			"NODES", "    Return cluster configuration seen by node. Output format:",
			"    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ..."},
			run: func(c *client, _ [][]byte) {
				c.reply(resp.AppendVerbatim(nil, "txt", c.node.topology().nodes(c.node)))
			}},
		{name: "replicas", flags: kv.Admin, arity: 3, since: "5.0.0", summary: "Describes the followers of a leader.", run: clusterReplicas, usage: []string{
			"REPLICAS <node-id>", "    Return <node-id> replicas."}},
		{name: "shards", arity: 2, since: "7.0.0", summary: "Says which members have which shards.", usage: []string{
			"SHARDS", "    Return information about slot range mappings and the nodes associated with them."},
			run: func(c *client, _ [][]byte) { c.reply(c.node.topology().appendShards(nil, c.node)) }},
		{name: "slaves", flags: kv.Admin, arity: 3, since: "3.0.0", summary: "Is REPLICAS.", run: clusterReplicas},
		{name: "slots", arity: 2, since: "3.0.0", summary: "Says which members have which shards.", usage: []string{
			"SLOTS", "    Return information about slots range mappings. Each range is made of:",
			"    start, end, master and replicas IP addresses, ports and ids"},
			run: func(c *client, _ [][]byte) { c.reply(c.node.topology().appendSlots(nil, c.node)) }},
	}
	// What changes a cluster of Redis. Here groups form by themselves and shards move
	// when the shardmasters are told so.
	for _, name := range []string{
		"addslots", "addslotsrange", "bumpepoch", "delslots", "delslotsrange", "failover", "flushslots", "forget",
		"meet", "replicate", "reset", "saveconfig", "set-config-epoch", "setslot",
	} {
		subs = append(subs, subcommand{name: name, arity: -2, flags: kv.Admin, since: "3.0.0", summary: "Is refused: diskvctl changes the cluster.", run: clusterRefuse})
	}
	slices.SortFunc(subs, func(a, b subcommand) int { return strings.Compare(a.name, b.name) })
	return subs
}

// topology is what the node knows of the cluster.
func (n *Node) topology() *topology {
	t := n.service.topology(n)
	return &t
}

// clusterRefuse answers what would change a cluster of Redis.
func clusterRefuse(c *client, args [][]byte) {
	c.fail(fmt.Sprintf("ERR CLUSTER %s does not apply: groups form by themselves, and 'diskvctl shard' adds and removes groups and moves shards",
		strings.ToUpper(string(args[1]))))
}

// noKeys answers, at a shardmaster, what the state machine of a group that has keys
// answers there.
func noKeys(c *client, _ [][]byte) {
	c.fail("ERR there are no keys here: ask a member of a group, which 'diskvctl status' names")
}

// clusterFailureReports is CLUSTER COUNT-FAILURE-REPORTS: members do not gossip, so
// there are none of a member that is known.
func clusterFailureReports(c *client, args [][]byte) {
	if !c.node.topology().names(c.node, string(args[2])) {
		c.unknownNode(args[2])
		return
	}
	c.out = resp.AppendInt(c.out, 0)
}

func (c *client) unknownNode(id []byte) { c.fail(fmt.Sprintf("ERR Unknown node %.128s", id)) }

// clusterReplicas is CLUSTER REPLICAS: the lines of CLUSTER NODES that name that master.
func clusterReplicas(c *client, args [][]byte) {
	t, id := c.node.topology(), string(args[2])
	if !t.names(c.node, id) {
		c.unknownNode(args[2])
		return
	}
	var replicas []string
	master := false
	for line := range strings.Lines(t.nodes(c.node)) {
		f := strings.Fields(line)
		master = master || f[0] == id && strings.Contains(f[2], "master")
		if f[3] == id {
			replicas = append(replicas, strings.TrimSuffix(line, "\n"))
		}
	}
	if !master {
		c.fail("ERR The specified node is not a master")
		return
	}
	c.out = resp.AppendArray(c.out, len(replicas))
	for _, line := range replicas {
		c.out = resp.AppendBulkString(c.out, line)
	}
}

// clusterLinks is CLUSTER LINKS: the connections to the other members of the group.
func clusterLinks(c *client, _ [][]byte) {
	var links []byte
	n := 0
	for _, p := range c.node.transport.Status() {
		for _, l := range []struct {
			there     bool
			direction string
			waiting   int
		}{{p.Connected, "to", p.QueuedBytes}, {p.Receiving, "from", 0}} {
			if !l.there {
				continue
			}
			n++
			links = resp.AppendMap(links, 3)
			links = resp.AppendBulkString(links, "direction")
			links = resp.AppendBulkString(links, l.direction)
			links = resp.AppendBulkString(links, "node")
			links = resp.AppendBulkString(links, c.node.nodeID(shard.GroupID(c.node.opts.Group), int(p.Peer)))
			links = resp.AppendBulkString(links, "send-buffer-used")
			links = resp.AppendInt(links, int64(l.waiting))
		}
	}
	c.reply(append(resp.AppendArray(nil, n), links...))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
