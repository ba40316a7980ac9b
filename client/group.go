package client

import (
	"slices"
	"sync"
)

// group is the members of a replica group, as far as known, and who of them
// should be asked: the leader, or the next candidate while that is not known.
type group struct {
	mu      sync.Mutex
	members []string // not changed
	at      int
}

func newGroup(members []string) *group { return &group{members: members} }

// leader returns the address to ask.
func (g *group) leader() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members[g.at]
}

// lead notes that addr leads. It returns false if that is no member.
func (g *group) lead(addr string) bool {
	i := slices.Index(g.members, addr)
	if i < 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = i
	return true
}

// suspect has the next member asked, if addr still is the one to ask: others may
// have found the same at the same time.
func (g *group) suspect(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members[g.at] == addr {
		g.at = (g.at + 1) % len(g.members)
	}
}

// same tells whether members are those of g, in any order.
func (g *group) same(members []string) bool {
	if len(members) != len(g.members) {
		return false
	}
	for _, m := range members {
		if !slices.Contains(g.members, m) {
			return false
		}
	}
	return true
}
