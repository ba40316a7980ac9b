package server

import (
	"fmt"
	"slices"
	"time"

	"diskv/paxos"
)

// report is what /status.json says. docs/monitoring.md describes the fields; they are
// added to, and not changed.
type report struct {
	Time    int64   `json:"time"` // ms since the Unix epoch
	Version string  `json:"version"`
	Uptime  float64 `json:"uptime_seconds"`

	Cluster string `json:"cluster"`
	Service string `json:"service"`
	Group   uint64 `json:"group"`
	Member  int    `json:"member"`
	Address string `json:"address"`
	Read    string `json:"read"`

	Ready         bool    `json:"ready"`
	Why           string  `json:"why,omitempty"`
	Role          string  `json:"role"`
	Phase         string  `json:"phase"`
	Leader        *int    `json:"leader"`
	LeaderAddress string  `json:"leader_address,omitempty"`
	Ballot        string  `json:"ballot"`
	Elections     uint64  `json:"elections"`
	LeaderChanges uint64  `json:"leader_changes"`
	Outlook       outlook `json:"outlook"`
	// Problems are what needs a person, in words.
	Problems []string `json:"problems"`

	Members []reportMember `json:"members"`

	Slots struct {
		LogStart uint64 `json:"log_start"`
		Applied  uint64 `json:"applied"`
		Commit   uint64 `json:"commit"`
		Last     uint64 `json:"last"`
	} `json:"slots"`
	Queued    int `json:"commands_queued"`
	Undecided int `json:"slots_undecided"`

	Disk struct {
		LogBytes      int64  `json:"log_bytes"`
		SinceSnapshot int64  `json:"log_bytes_since_snapshot"`
		SnapshotBytes int64  `json:"snapshot_bytes"`
		SnapshotSlot  uint64 `json:"snapshot_slot"`
		DataBytes     int64  `json:"data_bytes"`
		FreeBytes     int64  `json:"free_bytes"`
		MinFreeBytes  int64  `json:"min_free_bytes"`
		Low           bool   `json:"low"`
		SlowSyncs     bool   `json:"slow_syncs"`
	} `json:"disk"`

	Keys     int   `json:"keys"`
	Expires  int   `json:"expires"`
	Sessions int   `json:"sessions"`
	Clients  int64 `json:"clients"`

	// Shards is null for a shardmaster, Config where there are no configs.
	Shards *reportShards `json:"shards"`
	Config *reportConfig `json:"config"`

	Commands []reportCommand `json:"commands"` // that were called, the most called first
	History  []sample        `json:"history"`
}

// reportMember is what the member that is asked knows of one of its group.
type reportMember struct {
	Member  int    `json:"member"`
	Address string `json:"address"`
	// Role is leader, follower, candidate and so on; recovering: it lost its disk and
	// does not vote; silent: the leader does not hear it; unknown: this member does not
	// know.
	Role    string   `json:"role"`
	Epoch   uint64   `json:"epoch"`
	Boot    uint64   `json:"boot"`           // 0: not known
	Slot    *uint64  `json:"slot"`           // highest accepted; null: not known here
	Lag     *uint64  `json:"lag"`            // slots behind the leader; null: not known here
	Silence *float64 `json:"silent_seconds"` // since it was heard; null: never, or this member
	// Of the connection from here; null for this member.
	Connected   *bool  `json:"connected"`
	QueuedBytes int    `json:"queued_bytes"`
	Problem     string `json:"problem,omitempty"`
}

// reportShards is where the shards of a key/value group are.
type reportShards struct {
	Served  int          `json:"served"`
	Awaited int          `json:"awaited"`
	Leaving int          `json:"leaving"`
	Moves   []reportMove `json:"moves"`
}

// reportMove is shards on their way to or from another group.
type reportMove struct {
	Way    string   `json:"way"` // "from" or "to"
	Group  uint64   `json:"group"`
	Config uint64   `json:"config"`
	Shards int      `json:"shards"` // that have not arrived, or are not fetched yet
	Kept   int      `json:"kept"`   // shards that are served there and kept here until that is certain
	Peers  []string `json:"addresses"`
}

// reportConfig is the newest config that the member has applied.
type reportConfig struct {
	Number  uint64        `json:"number"`
	Settled *uint64       `json:"settled"` // of this group; null for a shardmaster
	Kept    int           `json:"kept"`    // configs, by a shardmaster
	Groups  []reportGroup `json:"groups"`
}

// reportGroup is a group of the config.
type reportGroup struct {
	Group     uint64   `json:"group"`
	Shards    int      `json:"shards"`
	Addresses []string `json:"addresses"`
	Leaving   bool     `json:"leaving"`
	Settled   *uint64  `json:"settled"` // null: only the shardmasters know
	Drained   *bool    `json:"drained"`
}

// reportCommand is what was counted of a command, since the start or CONFIG RESETSTAT.
type reportCommand struct {
	Name     string  `json:"name"`
	Calls    uint64  `json:"calls"`
	Failed   uint64  `json:"failed"`
	Rejected uint64  `json:"rejected"`
	P50      float64 `json:"p50"` // seconds
	P99      float64 `json:"p99"`
}

// report describes the node. The history is what came after a time, in ms since the
// Unix epoch.
func (n *Node) report(after int64) (*report, error) {
	s, err := n.Status()
	if err != nil {
		return nil, err
	}
	id := s.Identity
	r := &report{
		Time: time.Now().UnixMilli(), Version: Version, Uptime: time.Since(n.started).Seconds(),
		Cluster: fmt.Sprint(id.Cluster), Service: id.Service.String(), Group: uint64(id.Group), Member: int(id.Index),
		Address: n.Addr(), Read: readModes[id.Lease],
		Ready: s.Ready, Why: s.Why, Role: s.Role, Phase: id.Phase.String(), Ballot: s.Ballot.String(),
		Elections: s.Elections, LeaderChanges: s.LeaderChanges,
		Queued: s.Queued, Undecided: s.Undecided,
		Keys: s.Keys, Expires: s.Expires, Sessions: s.Sessions, Clients: n.clients.count.Load(),
		Commands: []reportCommand{}, History: n.history.after(after),
	}
	if s.HasLeader {
		leader := int(s.Leader)
		r.Leader, r.LeaderAddress = &leader, n.peerAddr(s.Leader)
	}
	r.Outlook = outlookOf(&s, r.LeaderAddress)
	r.Slots.LogStart, r.Slots.Applied, r.Slots.Commit, r.Slots.Last = uint64(s.LogStart), uint64(s.Applied), uint64(s.Commit), uint64(s.Last)
	d := &r.Disk
	d.LogBytes, d.SinceSnapshot, d.DataBytes = s.LogSize, s.LogBytes, s.Data
	d.SnapshotBytes, d.SnapshotSlot = s.Snapshot.Size, uint64(s.Snapshot.Slot)
	d.FreeBytes, d.MinFreeBytes, d.Low = n.freeDisk.Load(), n.opts.MinFreeBytes, n.lowDisk.Load()
	d.SlowSyncs = n.history.slow.are.Load()
	r.Members = n.reportMembers(&s)
	r.addShards(&s)
	r.addProblems(n, &s)
	for c := range n.metrics.used {
		r.Commands = append(r.Commands, reportCommand{
			Name: c.spec.Name, Calls: c.calls(), Failed: c.failed, Rejected: c.rejected,
			P50: c.latency.time(0.5).Seconds(), P99: c.latency.time(0.99).Seconds(),
		})
	}
	slices.SortStableFunc(r.Commands, func(a, b reportCommand) int { return int(b.Calls+b.Rejected) - int(a.Calls+a.Rejected) })
	return r, nil
}

func (n *Node) reportMembers(s *Status) []reportMember {
	own := int(s.Identity.Index)
	out := make([]reportMember, len(s.Disks))
	for i, d := range s.Disks {
		m := reportMember{Member: i, Address: n.peerAddr(paxos.ReplicaID(i)), Role: "unknown", Epoch: d.Epoch, Boot: d.Boot}
		switch {
		case i == own:
			m.Role = s.Role
		case d.Lost:
			m.Role = "recovering"
		case s.HasLeader && i == int(s.Leader):
			m.Role = "leader"
		case s.Members != nil && d.Votes:
			m.Role = "follower"
		case s.Members != nil:
			m.Role = "silent"
		}
		if i != own && d.Heard {
			silence := d.Silence.Seconds()
			m.Silence = &silence
		}
		if lag, known := s.lagOf(i); known {
			slot := uint64(s.Members[i].Match)
			m.Slot, m.Lag = &slot, &lag
		}
		if i == own {
			slot := uint64(s.Last)
			m.Slot = &slot
		}
		out[i] = m
	}
	for _, p := range s.Peers {
		m, connected := &out[p.Peer], p.Connected
		m.Connected, m.QueuedBytes, m.Problem = &connected, p.QueuedBytes, p.Problem
	}
	return out
}

// addShards says where the shards are.
func (r *report) addShards(s *Status) {
	service := s.Identity.Service
	switch service {
	case paxos.ServicePlain:
		r.Shards = &reportShards{Served: s.Served, Moves: []reportMove{}}
		return
	case paxos.ServiceSharded:
		r.Shards = &reportShards{Served: s.Served, Awaited: s.Awaited, Leaving: s.Leaving, Moves: []reportMove{}}
		for _, in := range s.Moves.Incoming {
			r.Shards.Moves = append(r.Shards.Moves, reportMove{
				Way: "from", Group: uint64(in.From.ID), Config: in.Config, Shards: in.Shards, Peers: in.From.Servers,
			})
		}
		for _, out := range s.Moves.Outgoing {
			r.Shards.Moves = append(r.Shards.Moves, reportMove{
				Way: "to", Group: uint64(out.To.ID), Config: out.Config, Shards: out.Waiting, Kept: out.Shards, Peers: out.To.Servers,
			})
		}
	case paxos.ServiceShardmaster:
	}
	r.Config = &reportConfig{Kept: s.ConfigsKept, Groups: []reportGroup{}}
	if service == paxos.ServiceSharded {
		r.Config.Settled = &s.Settled
	}
	c := s.Newest
	if c == nil {
		return
	}
	r.Config.Number = c.Num
	if service == paxos.ServiceSharded {
		for _, g := range c.Groups {
			r.Config.Groups = append(r.Config.Groups, reportGroup{Group: uint64(g.ID), Shards: c.Held(g.ID), Addresses: g.Servers})
		}
		return
	}
	for _, g := range s.Standings {
		r.Config.Groups = append(r.Config.Groups, reportGroup{
			Group: uint64(g.ID), Shards: c.Held(g.ID), Addresses: g.Servers, Leaving: g.Leaving, Settled: &g.Settled, Drained: &g.Drained,
		})
	}
}

// addProblems says what needs a person.
func (r *report) addProblems(n *Node, s *Status) {
	r.Problems = []string{}
	if !s.Ready {
		r.Problems = append(r.Problems, sentence(s.Why))
	}
	if r.Disk.Low {
		r.Problems = append(r.Problems, fmt.Sprintf("The disk of %s is nearly full: %d bytes are free, and below %d commands that need more are refused. Make room; writes resume by themselves.",
			n.opts.Dir, r.Disk.FreeBytes, r.Disk.MinFreeBytes))
	}
	if r.Disk.SlowSyncs {
		r.Problems = append(r.Problems, fmt.Sprintf("Syncs of the log in %s are slow: more than one in a hundred takes longer than %v, and every write waits for them.",
			n.opts.Dir, n.opts.SlowSync))
	}
	if c := r.Config; c != nil && c.Settled != nil && *c.Settled < c.Number {
		r.Problems = append(r.Problems, fmt.Sprintf("Shards are moving: of config %d not every shard has arrived.", c.Number))
	}
}
