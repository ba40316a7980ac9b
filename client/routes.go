package client

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diskv/shard"
)

// routes is what the client believes of who serves which shard. It may be old:
// whoever is asked in error says so.
type routes struct {
	of [shard.Count]atomic.Pointer[group]
	// moving says until when a shard is taken for one on its way: in ms since start.
	moving [shard.Count]atomic.Int64
	start  time.Time

	mu     sync.Mutex
	groups []*group
}

// group returns the one of a shard, or nil.
func (r *routes) group(id shard.ID) *group { return r.of[id].Load() }

// movingFor is how long a shard is taken for one on its way after the last sign of
// that: a little longer than a member has a command wait for one.
const movingFor = 2 * time.Second

func newRoutes() *routes { return &routes{start: time.Now()} }

// setMoving notes a sign that a shard is on its way, or, with false, that it has
// arrived.
func (r *routes) setMoving(id shard.ID, is bool) {
	until := int64(0)
	if is {
		until = (time.Since(r.start) + movingFor).Milliseconds()
	} else if r.moving[id].Load() == 0 {
		return
	}
	r.moving[id].Store(until)
}

// lane returns that for a command on a shard, which is the usual one unless the
// shard is on its way.
func (r *routes) lane(id shard.ID, usual int) int {
	if until := r.moving[id].Load(); until != 0 && until > time.Since(r.start).Milliseconds() {
		return laneMoving
	}
	return usual
}

// moved notes that addr leads the group that serves a shard. It returns true if
// that is more than another leader of the same group: there is more to learn then.
func (r *routes) moved(id shard.ID, addr string) (news bool) {
	if g := r.of[id].Load(); g != nil && g.lead(addr) {
		return false
	}
	r.setMoving(id, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.groups {
		if g.lead(addr) {
			r.of[id].Store(g)
			return true
		}
	}
	g := newGroup([]string{addr})
	r.groups = append(r.groups, g)
	r.of[id].Store(g)
	return true
}

// slotRange is one entry of CLUSTER SLOTS: shards and who serves them, the leader
// first.
type slotRange struct {
	first, last shard.ID
	members     []string
}

// install takes over what a member, from, has said. A shard that it did not name
// keeps what is known of it: perhaps it only has no leader at the moment. Who leads
// another group than its own it may know less well than we do.
func (r *routes) install(ranges []slotRange, from string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var groups []*group
	find := func(members []string) (g *group, known bool) {
		for _, known := range [][]*group{groups, r.groups} {
			for _, g := range known {
				if g.same(members) {
					return g, true
				}
			}
		}
		return newGroup(slices.Clone(members)), false
	}
	for _, sr := range ranges {
		g, known := find(sr.members)
		if !known || slices.Contains(g.members, from) {
			g.lead(sr.members[0])
		}
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
		for i := int(sr.first); i <= int(sr.last); i++ {
			if old := r.of[i].Swap(g); old != nil && old != g {
				r.setMoving(shard.ID(i), true)
			}
		}
	}
	for i := range r.of {
		if g := r.of[i].Load(); g != nil && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	r.groups = groups
}

// members returns the addresses of all members that are known.
func (r *routes) members() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, g := range r.groups {
		all = append(all, g.members...)
	}
	return all
}

// parseSlots reads the reply of CLUSTER SLOTS of a member that was asked at addr.
func parseSlots(v Value, addr string) ([]slotRange, error) {
	if err := v.Err(); err != nil {
		return nil, err
	}
	if v.Kind != kindArray {
		return nil, unexpected("CLUSTER SLOTS", v)
	}
	var out []slotRange
	for _, e := range v.Elems {
		if e.Kind != kindArray || len(e.Elems) < 3 || !isShard(e.Elems[0]) || !isShard(e.Elems[1]) || e.Elems[0].Int > e.Elems[1].Int {
			return nil, unexpected("CLUSTER SLOTS", e)
		}
		sr := slotRange{first: shard.ID(e.Elems[0].Int), last: shard.ID(e.Elems[1].Int)}
		for _, m := range e.Elems[2:] {
			if m.Kind != kindArray || len(m.Elems) < 2 || m.Elems[1].Kind != kindInt {
				return nil, unexpected("CLUSTER SLOTS", m)
			}
			member := memberAddress(string(m.Elems[0].Str), m.Elems[1].Int, addr)
			if shard.CheckAddress(member) == nil { // else it is of no use from here
				sr.members = append(sr.members, member)
			}
		}
		if len(sr.members) == 0 {
			return nil, fmt.Errorf("CLUSTER SLOTS: nobody that could be reached serves shard %d", sr.first)
		}
		out = append(out, sr)
	}
	return out, nil
}

func isShard(v Value) bool { return v.Kind == kindInt && v.Int >= 0 && v.Int < shard.Count }

// memberAddress joins a host and a port. A host that is missing or the address of
// every interface is the one at which the member was asked.
func memberAddress(host string, port int64, asked string) string {
	if strings.HasPrefix(host, "unix:") {
		return host
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		if i := strings.LastIndexByte(asked, ':'); i > 0 && !strings.HasPrefix(asked, "unix:") {
			host = strings.Trim(asked[:i], "[]")
		}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.FormatInt(port, 10)
}

// parseMoved returns the address in "MOVED shard address".
func parseMoved(text string) (addr string, ok bool) {
	f := strings.Fields(text)
	if len(f) != 3 || f[0] != codeMoved || shard.CheckAddress(f[2]) != nil {
		return "", false
	}
	if n, err := strconv.ParseUint(f[1], 10, 16); err != nil || n >= shard.Count {
		return "", false
	}
	return f[2], true
}

// describe returns the groups, by their first shard.
func (r *routes) describe() []Group {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Group
	place := make(map[*group]int)
	var last *group
	for i := range r.of {
		g := r.of[i].Load()
		if g == nil {
			last = nil
			continue
		}
		at, ok := place[g]
		if !ok {
			at = len(out)
			place[g] = at
			out = append(out, Group{Leader: g.leader(), Members: slices.Clone(g.members)})
		}
		id := shard.ID(i)
		if g != last {
			out[at].Shards = append(out[at].Shards, shard.Range{First: id, Last: id})
		}
		out[at].Shards[len(out[at].Shards)-1].Last = id
		last = g
	}
	return out
}
