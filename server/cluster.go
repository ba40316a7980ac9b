package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"diskv/internal/resp"
	"diskv/paxos"
	"diskv/replica"
	"diskv/server/transport"
	"diskv/shard"
)

// cluster is CLUSTER SLOTS, INFO, MYID, KEYSLOT: the group as a Redis Cluster,
// with the leader as the master of all shards and the others as its replicas.
func cluster(c *client, args [][]byte) {
	n := c.node
	switch sub := strings.ToUpper(string(args[1])); {
	case sub == "SLOTS" && len(args) == 2:
		c.reply(n.appendSlots(nil))
	case sub == "INFO" && len(args) == 2:
		c.reply(resp.AppendVerbatim(nil, "txt", n.clusterInfo()))
	case sub == "MYID" && len(args) == 2:
		c.out = resp.AppendBulkString(c.out, n.nodeID(paxos.ReplicaID(n.opts.Index)))
	case sub == "KEYSLOT" && len(args) == 3:
		c.out = resp.AppendInt(c.out, int64(shard.Of(args[2])))
	case sub == "SLOTS", sub == "INFO", sub == "MYID", sub == "KEYSLOT":
		c.wrongArguments("cluster|" + strings.ToLower(sub))
	default:
		c.unknownSubcommand(args)
	}
}

// appendSlots appends the reply of CLUSTER SLOTS: one range with every shard,
// the leader first. Without a leader no shard is served.
func (n *Node) appendSlots(dst []byte) []byte {
	rt := n.route.Load()
	if !rt.known {
		return resp.AppendArray(dst, 0)
	}
	dst = resp.AppendArray(dst, 1)
	dst = resp.AppendArray(dst, 2+len(n.opts.Peers))
	dst = resp.AppendInt(dst, 0)
	dst = resp.AppendInt(dst, shard.Count-1)
	dst = n.appendClusterNode(dst, rt.leader)
	for id := range paxos.ReplicaID(len(n.opts.Peers)) {
		if id != rt.leader {
			dst = n.appendClusterNode(dst, id)
		}
	}
	return dst
}

func (n *Node) appendClusterNode(dst []byte, id paxos.ReplicaID) []byte {
	host, port := n.peerAddr(id), 0
	if network, _, err := transport.ParseAddress(host); err == nil && network == "tcp" {
		h, p, _ := net.SplitHostPort(host) // checked when the node was opened, as the port was
		host = h
		port, _ = strconv.Atoi(p)
	}
	dst = resp.AppendArray(dst, 4)
	dst = resp.AppendBulkString(dst, host)
	dst = resp.AppendInt(dst, int64(port))
	dst = resp.AppendBulkString(dst, n.nodeID(id))
	return resp.AppendArray(dst, 0)
}

// nodeID names a member in 40 hex digits, as Redis Cluster names its nodes.
func (n *Node) nodeID(id paxos.ReplicaID) string {
	return fmt.Sprintf("%016x%016x%08x", n.cluster.Load(), n.opts.Group, uint32(id))
}

func (n *Node) clusterInfo() string {
	state, assigned := "fail", 0
	if n.route.Load().known {
		state, assigned = "ok", shard.Count
	}
	var ballot paxos.Ballot
	_ = n.do(func(r *replica.Replica) { ballot = r.Status().Ballot })
	return fmt.Sprintf("cluster_enabled:%d\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n"+
		"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:1\r\ncluster_current_epoch:%d\r\n",
		boolInt(!n.opts.single()), state, assigned, assigned, len(n.opts.Peers), ballot.Round)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
