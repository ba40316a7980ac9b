package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diskv/client"
	"diskv/internal/cli"
	"diskv/shard"
)

// clusterStatus is what status tells programs.
type clusterStatus struct {
	Config  *uint64       `json:"config,omitempty"` // the newest; of a sharded cluster
	Groups  []groupStatus `json:"groups"`
	Healthy bool          `json:"healthy"`
	Next    string        `json:"next"` // what to do
}

// groupStatus is one group. The shardmasters are group 0.
type groupStatus struct {
	Group    shard.GroupID  `json:"group"`
	Standing string         `json:"standing"` // shardmasters, member, leaving or plain
	Shards   int            `json:"shards"`
	Settled  *uint64        `json:"settled,omitempty"` // of a group that has shardmasters
	Drained  *bool          `json:"drained,omitempty"`
	Serves   bool           `json:"serves"`
	CanLose  int            `json:"can_lose"` // members, before it serves no more
	Members  []memberStatus `json:"members"`
}

// memberStatus is one member.
type memberStatus struct {
	Member  int    `json:"member"`
	Address string `json:"address"`
	Role    string `json:"role"`
	Ready   bool   `json:"ready"`
	Epoch   uint64 `json:"epoch"`
	Slot    uint64 `json:"slot"` // applied
	Lag     uint64 `json:"lag"`  // slots behind the highest commit index in the group
	DiskLow bool   `json:"disk_low,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Print how every group and member is, and what to do next", Args: cli.Arguments(0, 0),
		Long: `Print every group with its members: the role of each, its recovery epoch, the slot
that it has applied and how far that is behind, how many more members the group can
lose, and one thing to do next. Exit status 6: something needs attention.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, ctx, done, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			s, err := a.gather(ctx, c)
			if err != nil {
				return err
			}
			s.judge()
			if a.json {
				err = a.printJSON(s)
			} else {
				err = a.printStatus(s)
			}
			if err == nil && !s.Healthy {
				err = errUnhealthy
			}
			return err
		},
	}
}

// gather asks everybody.
func (a *app) gather(ctx context.Context, c *client.Client) (*clusterStatus, error) {
	named := probe(ctx, c, a.addrs())
	for i := range named {
		if m := &named[i]; m.err == nil && m.info["service"] == "plain" {
			members := probe(ctx, c, m.fellows())
			g := statusOf(shard.GroupID(m.number("group")), "plain", members)
			g.Shards = shard.Count
			return &clusterStatus{Groups: []groupStatus{g}}, nil
		}
	}
	addrs, err := findMasters(named)
	if err != nil {
		return nil, err
	}
	s := &clusterStatus{Groups: []groupStatus{statusOf(0, "shardmasters", probe(ctx, c, addrs))}}
	if !s.Groups[0].Serves {
		return s, nil // nobody else knows the groups
	}
	m := &masters{client: c, addrs: addrs}
	if m.master, err = client.OpenShardmaster(ctx, addrs...); err != nil {
		return nil, err
	}
	defer m.master.Close()
	config, err := m.master.Newest(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := m.master.Groups(ctx)
	if err != nil {
		return nil, err
	}
	standings, err := m.standings(ctx)
	if err != nil {
		return nil, err
	}
	s.Config = &config.Num
	for _, g := range groups {
		word := "member"
		if g.Leaving {
			word = "leaving"
		}
		gs := statusOf(g.ID, word, probe(ctx, c, g.Servers))
		gs.Shards, gs.Settled, gs.Drained = config.Held(g.ID), &g.Settled, &g.Drained
		for _, st := range standings {
			if st.id == g.ID {
				gs.Settled, gs.Drained = &st.settled, &st.drained
			}
		}
		s.Groups = append(s.Groups, gs)
	}
	return s, nil
}

// statusOf describes a group from what its members say.
func statusOf(id shard.GroupID, word string, members []member) groupStatus {
	g := groupStatus{Group: id, Standing: word, Members: []memberStatus{}}
	commit := uint64(0)
	for i := range members {
		commit = max(commit, members[i].number("slot_commit"))
	}
	leads, ready := false, 0
	for i := range members {
		m := &members[i]
		ms := memberStatus{
			Member: i, Address: m.address, Role: m.role(), Ready: m.ready(), Epoch: m.number("epoch"),
			Slot: m.number("slot_applied"), DiskLow: m.info["disk_low"] == "1",
		}
		ms.Lag = commit - min(commit, ms.Slot)
		leads = leads || ms.Role == "leader"
		switch {
		case m.err != nil:
			ms.Problem, ms.Lag = m.err.Error(), 0
		case !ms.Ready:
			ms.Problem = m.info["not_ready_because"]
		default:
			ms.Problem = unheard(members, i)
			ms.Ready = ms.Problem == ""
		}
		if ms.Ready {
			ready++
		}
		g.Members = append(g.Members, ms)
	}
	g.Serves = leads && ready >= quorum(len(members))
	g.CanLose = max(ready-quorum(len(members)), 0)
	return g
}

// unheard returns why a member that follows does not count: the leader does not hear it,
// so it does not take part in what is chosen. It returns nothing if it does.
func unheard(members []member, i int) string {
	for at := range members {
		l := &members[at]
		if at == i || l.role() != "leader" || !l.ready() {
			continue
		}
		silence := l.silence(i)
		if silence <= mostSilence {
			continue
		}
		text := fmt.Sprintf("the leader, member %d, has not heard it for %v", at, silence.Round(time.Second))
		if problem := members[i].info[fmt.Sprintf("peer%d_problem", at)]; problem != "" {
			text += ": " + problem
		}
		return text
	}
	return ""
}

func (a *app) printStatus(s *clusterStatus) error {
	if s.Config != nil {
		if _, err := fmt.Fprintf(a.out, "config %d\n\n", *s.Config); err != nil {
			return err
		}
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		if _, err := fmt.Fprintln(a.out, g.headline(s.Config)); err != nil {
			return err
		}
		var rows [][]string
		first := make(map[string]int) // who has a problem first
		for _, m := range g.Members {
			problem := m.Problem
			if as, told := first[problem]; told && problem != "" {
				problem = fmt.Sprintf("as member %d", as)
			} else {
				first[problem] = m.Member
			}
			row := []string{"  " + strconv.Itoa(m.Member), m.Address, m.Role, "-", "-", "-", problem}
			if m.Role != "unreachable" {
				row[3], row[4], row[5] = fmt.Sprint(m.Epoch), fmt.Sprint(m.Slot), fmt.Sprint(m.Lag)
			}
			rows = append(rows, row)
		}
		if err := cli.Table(a.out, []string{"  MEMBER", "ADDRESS", "ROLE", "EPOCH", "SLOT", "LAG"}, rows); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.out); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(a.out, "next:", s.Next)
	return err
}

// headline says in one line how a group is.
func (g *groupStatus) headline(config *uint64) string {
	var parts []string
	if g.Standing == "leaving" {
		parts = append(parts, "leaving")
	}
	if g.Standing != "shardmasters" {
		parts = append(parts, cli.Count(g.Shards, "shard"))
	}
	if g.Settled != nil && config != nil && *g.Settled < *config {
		parts = append(parts, fmt.Sprintf("settled up to config %d", *g.Settled))
	}
	if g.Serves {
		parts = append(parts, "up", fmt.Sprintf("can lose %d more", g.CanLose))
	} else {
		parts = append(parts, "DOWN")
	}
	return g.name() + ": " + strings.Join(parts, ", ")
}
