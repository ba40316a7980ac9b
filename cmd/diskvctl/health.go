package main

import (
	"fmt"
	"strings"
)

// name returns what people call the group.
func (g *groupStatus) name() string {
	if g.Standing == "shardmasters" {
		return "shardmasters"
	}
	return fmt.Sprint("group ", g.Group)
}

// advice is something to do. The lower its rank, the more it matters.
type advice struct {
	rank int
	text string
}

// Ranks of advice. From rankWait on nothing is wrong.
const (
	rankDown = iota
	rankUnreachable
	rankDisk
	rankNotReady
	rankWait
	rankHint
)

// judge says whether all is well, and what to do next: the one thing that matters
// most.
func (s *clusterStatus) judge() {
	best := advice{rankHint, "nothing to do"}
	consider := func(rank int, format string, args ...any) {
		if rank < best.rank {
			best = advice{rank, fmt.Sprintf(format, args...)}
		}
	}
	for i := range s.Groups {
		s.Groups[i].advise(consider, s.Config)
	}
	if s.Config != nil && len(s.Groups) == 1 {
		consider(rankWait, "no group has joined yet: diskvctl shard join GROUP ADDRESS...")
	}
	s.Healthy, s.Next = best.rank >= rankWait, best.text
}

// stopped says why a group whose members can be reached does not serve.
func (g *groupStatus) stopped() string {
	var lost []string
	for _, m := range g.Members {
		if m.Role == "recovering" {
			lost = append(lost, fmt.Sprint(m.Member))
		}
	}
	if len(g.Members)-len(lost) < quorum(len(g.Members)) {
		return fmt.Sprintf("%s has stopped, and does not go on by itself: members %s lost their disks, and those that kept theirs are no majority. "+
			"Put a disk back, or begin a new group with what a survivor holds: docs/operations.md, A lost disk", g.name(), strings.Join(lost, ", "))
	}
	for _, m := range g.Members {
		if m.Role == "forming" {
			return fmt.Sprintf("%s has no leader: member %d at %s: %s", g.name(), m.Member, m.Address, m.Problem)
		}
	}
	return g.name() + " has no leader: an election is under way; look again"
}

func (g *groupStatus) advise(consider func(rank int, format string, args ...any), config *uint64) {
	for i := range g.Members {
		m := &g.Members[i]
		who := fmt.Sprintf("member %d of %s at %s", m.Member, g.name(), m.Address)
		rank := rankUnreachable
		if !g.Serves {
			rank = rankDown
		}
		switch {
		case m.Role == "unreachable":
			consider(rank, "start %s, or see why it cannot be reached: %s", who, m.Problem)
		case m.Role == "recovering":
			consider(max(rank, rankNotReady), "wait: %s lost its disk and gets everything back: %s", who, m.Problem)
		case !m.Ready:
			consider(max(rank, rankNotReady), "%s is not ready: %s", who, m.Problem)
		case m.DiskLow:
			consider(rankDisk, "make room on the disk of %s: it refuses writes", who)
		}
	}
	if !g.Serves {
		consider(rankDown, "%s", g.stopped())
	}
	switch {
	case g.Standing == "leaving":
		consider(rankWait, "keep the processes of %s running until it is drained", g.name())
	case g.Settled != nil && config != nil && *g.Settled < *config:
		consider(rankWait, "wait: %s takes config %d", g.name(), *config)
	}
}
