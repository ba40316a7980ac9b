package server

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/server/transport"
	"diskv/shard"
	"diskv/shardmaster"
)

// infoHandlers are INFO.
var infoHandlers = []handler{
	{&kv.Spec{Name: "info", Arity: -1, Flags: kv.Loading | kv.Stale, Group: "server", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Describes the server in numbers."}, info},
}

// Status is what an operator wants to know of a node.
type Status struct {
	replica.Status
	Ready    bool
	Why      string // not ready
	Keys     int
	Expires  int
	Sessions int
	Data     int64 // bytes of keys, values and sessions, or of configs, about

	Config      uint64 // number of the newest config, where there are configs
	Groups      int    // in it
	ConfigsKept int    // of a shardmaster
	Settled     uint64 // of a key/value group: the newest config of which it has everything
	Served      int    // shards
	Leaving     int    // of them, served until another group fetches them
	Awaited     int    // shards that come from other groups
	Incoming    int    // groups from which shards are awaited
	Outgoing    int    // configs and groups for which shards leave, or are kept that have left

	// What is behind these numbers; not to be changed.
	Moves     kv.Handover            // of a key/value group
	Standings []shardmaster.Standing // of a shardmaster
	Newest    *shard.Config          // nil: there are no configs

	LogSize int64 // bytes of the log's files
	Peers   []transport.PeerStatus
}

// lag is how many slots a member has yet to accept.
func (s *Status) lag(m replica.MemberStatus) uint64 { return uint64(max(s.Last, m.Match) - m.Match) }

// lagOf returns that of another member, if this one leads and has heard of it how far
// it is.
func (s *Status) lagOf(member int) (lag uint64, known bool) {
	if member >= len(s.Members) || member == int(s.Identity.Index) {
		return 0, false
	}
	m, d := s.Members[member], s.Disks[member]
	return s.lag(m), m.Match > 0 || d.Votes || d.Lost
}

// Recovered describes what Open has found in the directory and made of it. It is to
// be called before Run.
func (n *Node) Recovered() replica.Status { return n.replica.Status() }

// Status describes the node. It fails when the node is stopping.
func (n *Node) Status() (Status, error) {
	var s Status
	err := n.do(func(r *replica.Replica) {
		s.Status = r.Status()
		s.Ready, s.Why = r.Ready()
		machineOf(r).describe(&s)
		if n.log != nil {
			s.LogSize = n.log.Bytes()
		}
	})
	s.Peers = n.transport.Status()
	if err == nil && !s.Ready {
		for _, p := range s.Peers {
			if p.Problem != "" {
				s.Why += fmt.Sprintf("; member %d, %s: %s", p.Peer, p.Address, p.Problem)
			}
		}
	}
	return s, err
}

// infoSections are the sections of INFO, in order.
var infoSections = []struct {
	name  string
	write func(w *strings.Builder, n *Node, s Status)
}{
	{"Server", infoServer},
	{"Clients", infoClients},
	{"Memory", infoMemory},
	{"Persistence", infoPersistence},
	{"Stats", infoStats},
	{"Replication", infoReplication},
	{"CPU", infoCPU},
	{"Modules", func(*strings.Builder, *Node, Status) {}},
	{"Commandstats", infoCommandStats},
	{"Errorstats", infoErrorStats},
	{"Latencystats", infoLatencyStats},
	{"Cluster", infoCluster},
	{"Keyspace", infoKeyspace},
	{"Diskv", infoDiskv},
}

// info is INFO [section ...].
func info(c *client, args [][]byte) {
	st, err := c.node.Status()
	if err != nil {
		c.fail("ERR " + err.Error())
		return
	}
	wanted := func(name string) bool {
		name = strings.ToLower(name)
		usual := name != "commandstats" && name != "latencystats"
		if len(args) == 1 {
			return usual
		}
		for _, a := range args[1:] {
			switch s := strings.ToLower(string(a)); {
			case s == name, s == "everything", s == "all" && name != "modules", s == "default" && usual:
				return true
			}
		}
		return false
	}
	var w strings.Builder
	for _, section := range infoSections {
		if !wanted(section.name) {
			continue
		}
		if w.Len() > 0 {
			w.WriteString("\r\n")
		}
		w.WriteString("# " + section.name + "\r\n")
		section.write(&w, c.node, st)
	}
	c.reply(resp.AppendVerbatim(nil, "txt", w.String()))
}

// field writes one line of INFO.
func field(w *strings.Builder, name string, value any) { fmt.Fprintf(w, "%s:%v\r\n", name, value) }

func infoServer(w *strings.Builder, n *Node, _ Status) {
	field(w, "redis_version", redisVersion)
	field(w, "redis_git_sha1", "00000000")
	field(w, "redis_git_dirty", 0)
	field(w, "redis_mode", n.redisMode())
	field(w, "diskv_version", Version)
	field(w, "os", runtime.GOOS+" "+runtime.GOARCH)
	field(w, "arch_bits", strconv.IntSize)
	field(w, "process_supervised", "no")
	field(w, "go_version", runtime.Version())
	field(w, "process_id", os.Getpid())
	field(w, "run_id", n.ownID())
	field(w, "listen", n.Addr())
	_, port := hostPort(n.Addr())
	field(w, "tcp_port", port)
	field(w, "server_time_usec", time.Now().UnixMicro())
	up := int64(time.Since(n.started).Seconds())
	field(w, "uptime_in_seconds", up)
	field(w, "uptime_in_days", up/(24*60*60))
	executable, _ := os.Executable()
	field(w, "executable", executable)
	field(w, "config_file", "")
}

func infoClients(w *strings.Builder, n *Node, _ Status) {
	field(w, "connected_clients", n.clients.count.Load())
	field(w, "cluster_connections", connectedPeers(n))
	field(w, "maxclients", n.clients.most.Load())
	field(w, "blocked_clients", n.clients.blocked.Load())
	field(w, "tracking_clients", n.tracking.numClients.Load())
}

func infoMemory(w *strings.Builder, _ *Node, s Status) {
	m := readMemory()
	size := func(name string, n uint64) {
		field(w, name, n)
		field(w, name+"_human", human(n))
	}
	size("used_memory", m.heap)
	size("used_memory_rss", m.resident)
	size("used_memory_peak", m.peak)
	field(w, "used_memory_dataset", s.Data)
	var system unix.Sysinfo_t
	if unix.Sysinfo(&system) == nil {
		size("total_system_memory", uint64(system.Totalram)*uint64(system.Unit)) //nolint:unconvert // not of this size everywhere
	}
	size("maxmemory", 0)
	field(w, "maxmemory_policy", "noeviction")
	field(w, "mem_allocator", "go")
	field(w, "active_defrag_running", 0)
	field(w, "lazyfree_pending_objects", 0)
}

func infoPersistence(w *strings.Builder, n *Node, s Status) {
	field(w, "loading", 0)
	field(w, "async_loading", 0)
	field(w, "rdb_bgsave_in_progress", boolInt(s.Saving))
	field(w, "rdb_last_save_time", n.lastSaved(s).Unix())
	field(w, "rdb_last_bgsave_status", okOr(!s.SavingFailed))
	field(w, "aof_enabled", 1)
	field(w, "aof_rewrite_in_progress", boolInt(s.Saving))
	field(w, "aof_last_bgrewrite_status", okOr(!s.SavingFailed))
	field(w, "aof_last_write_status", "ok") // else the process ends
	field(w, "wal_bytes", s.LogSize)
	field(w, "wal_bytes_since_snapshot", s.LogBytes)
	field(w, "snapshot_slot", s.Snapshot.Slot)
	field(w, "snapshot_bytes", s.Snapshot.Size)
	field(w, "disk_low", boolInt(n.lowDisk.Load()))
}

func infoReplication(w *strings.Builder, n *Node, s Status) {
	leading := s.HasLeader && int(s.Leader) == n.opts.Index
	defer func() {
		field(w, "master_failover_state", "no-failover")
		field(w, "master_replid", n.ownID())
		field(w, "master_repl_offset", s.Commit)
	}()
	if leading {
		field(w, "role", "master")
		n.infoFollowers(w, s)
		return
	}
	field(w, "role", "slave")
	host, port := "", ""
	if s.HasLeader {
		host = n.peerAddr(s.Leader)
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasPrefix(host, "unix:") {
			host, port = host[:i], host[i+1:]
		}
	}
	field(w, "master_host", host)
	field(w, "master_port", port)
	status := "down"
	if s.HasLeader {
		status = "up"
	}
	field(w, "master_link_status", status)
	field(w, "master_sync_in_progress", boolInt(s.Role == "recovering"))
	field(w, "slave_repl_offset", s.Applied)
	field(w, "slave_read_only", 1)
}

func infoCluster(w *strings.Builder, n *Node, _ Status) {
	field(w, "cluster_enabled", boolInt(n.clustered()))
}

func infoKeyspace(w *strings.Builder, _ *Node, s Status) {
	if s.Keys > 0 {
		fmt.Fprintf(w, "db0:keys=%d,expires=%d,avg_ttl=0\r\n", s.Keys, s.Expires)
	}
}

func infoDiskv(w *strings.Builder, n *Node, s Status) {
	id := s.Identity
	field(w, "cluster_id", id.Cluster)
	field(w, "service", id.Service)
	field(w, "group", id.Group)
	field(w, "member", id.Index)
	field(w, "members", id.Size)
	field(w, "phase", id.Phase)
	field(w, "epoch", id.Life.Epoch)
	field(w, "boot", id.Boot)
	field(w, "read_mode", readModes[id.Lease])
	if len(n.opts.Shardmasters) > 0 {
		field(w, "shardmasters", strings.Join(n.opts.Shardmasters, ","))
	}
	field(w, "ready", boolInt(s.Ready))
	if !s.Ready {
		field(w, "not_ready_because", s.Why)
	}
	field(w, "consensus_role", s.Role)
	if s.HasLeader {
		field(w, "leader", s.Leader)
		field(w, "leader_address", n.peerAddr(s.Leader))
	}
	field(w, "ballot", s.Ballot)
	field(w, "slot_commit", s.Commit)
	field(w, "slot_applied", s.Applied)
	field(w, "slot_last", s.Last)
	field(w, "slot_log_start", s.LogStart)
	field(w, "log_time_unix_ms", s.LogTime/int64(time.Millisecond))
	field(w, "commands_queued", s.Queued)
	field(w, "slots_undecided", s.Undecided)
	switch id.Service {
	case paxos.ServiceShardmaster:
		field(w, "config", s.Config)
		field(w, "configs_kept", s.ConfigsKept)
		field(w, "groups", s.Groups)
	case paxos.ServiceSharded:
		field(w, "sessions", s.Sessions)
		field(w, "config", s.Config)
		field(w, "groups", s.Groups)
		field(w, "config_settled", s.Settled)
		field(w, "shards_served", s.Served)
		field(w, "shards_awaited", s.Awaited)
		field(w, "handovers_incoming", s.Incoming)
		field(w, "handovers_outgoing", s.Outgoing)
	case paxos.ServicePlain:
		field(w, "sessions", s.Sessions)
	}
	for i, m := range s.Members {
		fmt.Fprintf(w, "member%d:address=%s,accepted=%d,lag=%d,silent_ms=%d\r\n",
			i, n.opts.Peers[i], m.Match, s.lag(m), m.Silence.Milliseconds())
	}
	for _, p := range s.Peers {
		fmt.Fprintf(w, "peer%d:address=%s,connected=%d,receiving=%d,queued_bytes=%d\r\n",
			p.Peer, p.Address, boolInt(p.Connected), boolInt(p.Receiving), p.QueuedBytes)
		if p.Problem != "" {
			field(w, fmt.Sprintf("peer%d_problem", p.Peer), p.Problem)
		}
	}
}
