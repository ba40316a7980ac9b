package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"diskv/internal/resp"
	"diskv/paxos"
	"diskv/server/transport"
	"diskv/shard"
)

// topology is a config in the words of Redis Cluster: the leader of a group is the
// master of its shards, the other members are its replicas.
type topology struct {
	config *shard.Config
	// leaders are the members that lead, as far as is known; of a group that is not
	// here the first member is named, which sends clients on.
	leaders map[shard.GroupID]int
	epoch   uint64
}

// order calls yield with the members of a group, the leader first.
func (t *topology) order(g shard.Group, yield func(member int, leads bool)) {
	leader := t.leaders[g.ID]
	yield(leader, true)
	for i := range g.Servers {
		if i != leader {
			yield(i, false)
		}
	}
}

// appendSlots appends the reply of CLUSTER SLOTS.
func (t *topology) appendSlots(dst []byte, n *Node) []byte {
	var rows []byte
	count := 0
	for r, owner := range t.config.Rows() {
		g, ok := t.config.Group(owner)
		if !ok {
			continue
		}
		count++
		rows = resp.AppendArray(rows, 2+len(g.Servers))
		rows = resp.AppendInt(rows, int64(r.First))
		rows = resp.AppendInt(rows, int64(r.Last))
		t.order(g, func(member int, _ bool) {
			host, port := hostPort(g.Servers[member])
			rows = resp.AppendArray(rows, 4)
			rows = resp.AppendBulkString(rows, host)
			rows = resp.AppendInt(rows, int64(port))
			rows = resp.AppendBulkString(rows, n.nodeID(g.ID, member))
			rows = resp.AppendArray(rows, 0)
		})
	}
	return append(resp.AppendArray(dst, count), rows...)
}

// appendShards appends the reply of CLUSTER SHARDS.
func (t *topology) appendShards(dst []byte, n *Node) []byte {
	dst = resp.AppendArray(dst, len(t.config.Groups))
	rows := t.rows()
	for _, g := range t.config.Groups {
		dst = resp.AppendMap(dst, 2)
		dst = resp.AppendBulkString(dst, "slots")
		dst = resp.AppendArray(dst, 2*len(rows[g.ID]))
		for _, r := range rows[g.ID] {
			dst = resp.AppendInt(dst, int64(r.First))
			dst = resp.AppendInt(dst, int64(r.Last))
		}
		dst = resp.AppendBulkString(dst, "nodes")
		dst = resp.AppendArray(dst, len(g.Servers))
		t.order(g, func(member int, leads bool) {
			host, port := hostPort(g.Servers[member])
			role := "replica"
			if leads {
				role = "master"
			}
			dst = resp.AppendMap(dst, 7)
			for _, pair := range [][2]string{
				{"id", n.nodeID(g.ID, member)}, {"ip", host}, {"endpoint", host}, {"role", role}, {"health", "online"},
			} {
				dst = resp.AppendBulkString(dst, pair[0])
				dst = resp.AppendBulkString(dst, pair[1])
			}
			dst = resp.AppendBulkString(dst, "port")
			dst = resp.AppendInt(dst, int64(port))
			dst = resp.AppendBulkString(dst, "replication-offset")
			dst = resp.AppendInt(dst, 0)
		})
	}
	return dst
}

// names tells whether a member of that name is in CLUSTER NODES.
func (t *topology) names(n *Node, id string) bool {
	for line := range strings.Lines(t.nodes(n)) {
		if strings.HasPrefix(line, id+" ") {
			return true
		}
	}
	return false
}

// nodes returns the reply of CLUSTER NODES. The node that is asked is in it, whether
// it owns shards or not.
func (t *topology) nodes(n *Node) string {
	var w strings.Builder
	own, shown := shard.GroupID(n.opts.Group), false
	line := func(g shard.GroupID, member int, address, role, master string, rows []shard.Range) {
		if g == own && member == n.opts.Index {
			role, shown = "myself,"+role, true
		}
		host, port := hostPort(address)
		fmt.Fprintf(&w, "%s %s:%d@%d %s %s 0 0 %d connected", n.nodeID(g, member), host, port, port, role, master, t.epoch)
		for _, r := range rows {
			w.WriteString(" " + r.String())
		}
		w.WriteByte('\n')
	}
	rows := t.rows()
	for _, g := range t.config.Groups {
		leader := ""
		t.order(g, func(member int, leads bool) {
			if leads {
				leader = n.nodeID(g.ID, member)
				line(g.ID, member, g.Servers[member], "master", "-", rows[g.ID])
			} else {
				line(g.ID, member, g.Servers[member], "slave", leader, nil)
			}
		})
	}
	if !shown {
		line(own, n.opts.Index, n.peerAddr(paxosID(n.opts.Index)), "master", "-", nil)
	}
	return w.String()
}

// info returns the reply of CLUSTER INFO.
func (t *topology) info(n *Node) string {
	assigned, nodes, size := 0, 0, 0
	rows := t.rows()
	for _, g := range t.config.Groups {
		nodes += len(g.Servers)
		for _, r := range rows[g.ID] {
			assigned += int(r.Last-r.First) + 1
		}
		if len(rows[g.ID]) > 0 {
			size++
		}
	}
	state := "fail"
	if assigned == shard.Count {
		state = "ok"
	}
	return fmt.Sprintf("cluster_enabled:%d\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n"+
		"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:%d\r\n",
		boolInt(n.clustered()), state, assigned, assigned, nodes, size, t.epoch)
}

// rows returns the shards of every group.
func (t *topology) rows() map[shard.GroupID][]shard.Range {
	out := make(map[shard.GroupID][]shard.Range)
	for r, owner := range t.config.Rows() {
		out[owner] = append(out[owner], r)
	}
	return out
}

// hostPort splits an address, which was checked, as Redis names it. A unix socket has
// no port.
func hostPort(address string) (host string, port int) {
	if network, _, err := transport.ParseAddress(address); err != nil || network != "tcp" {
		return address, 0
	}
	host, p, _ := net.SplitHostPort(address)
	port, _ = strconv.Atoi(p)
	return host, port
}

// nodeID names a member in 40 hex digits, as Redis Cluster names its nodes. Tools show
// the first eight: they are those that tell members apart, of the group 6 and of the
// member 2. The members of a sharded cluster all name each other alike.
func (n *Node) nodeID(group shard.GroupID, member int) string {
	cluster := uint64(0)
	if n.opts.Service == paxos.ServicePlain {
		cluster = n.cluster.Load()
	}
	return fmt.Sprintf("%06x%02x%016x%016x", uint64(group)&0xffffff, member, cluster, uint64(group))
}

// ownID names this member.
func (n *Node) ownID() string { return n.nodeID(shard.GroupID(n.opts.Group), n.opts.Index) }

// clustered tells whether a Redis client should take the node for one of a cluster.
func (n *Node) clustered() bool { return !n.opts.single() || n.opts.Service != paxos.ServicePlain }

// paxosID is the place of a member as package paxos has it.
func paxosID(member int) paxos.ReplicaID { return paxos.ReplicaID(member) }
