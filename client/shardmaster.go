package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"diskv/internal/resp"
	"diskv/shard"
)

// ErrConfigChanged is the error of a change that was bound to a config
// ([Shardmaster.If]) which is not the newest: it was not made.
var ErrConfigChanged = errors.New("the config has changed")

// Shardmaster is a client of the shardmaster group: of what says which group owns
// which shard. It is safe for concurrent use.
//
// A change is sent again when its reply is lost, and changes nothing then if it was
// made: two administrators at once should bind theirs to the config that they have
// seen. The error of one whose outcome is not known is [ErrUnknownOutcome]; asking
// for the newest config tells.
type Shardmaster struct {
	*masters
	bound bool
	num   uint64
}

// masters is what all views of a Shardmaster share.
type masters struct {
	net *network
	mu  sync.Mutex
	all *group
}

// OpenShardmaster connects to the shardmasters through any of them. ctx bounds the
// opening alone.
func OpenShardmaster(ctx context.Context, addrs ...string) (*Shardmaster, error) {
	return Options{}.OpenShardmaster(ctx, addrs...)
}

// OpenShardmaster is [OpenShardmaster] with settings.
func (o Options) OpenShardmaster(ctx context.Context, addrs ...string) (*Shardmaster, error) {
	if err := checkAddresses(addrs); err != nil {
		return nil, err
	}
	o.setDefaults()
	n := newNetwork(o)
	var failures []error
	for _, addr := range addrs {
		if _, err := n.ask(ctx, addr, Query("PING")); err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) == len(addrs) {
		n.close()
		return nil, fmt.Errorf("no member answers: %w", allOf(failures))
	}
	return &Shardmaster{masters: &masters{net: n, all: newGroup(slices.Clone(addrs))}}, nil
}

// Close ends all connections, those of views included.
func (s *Shardmaster) Close() { s.net.close() }

// If returns a view of s whose changes are made only while config num is the
// newest one; else their error is [ErrConfigChanged].
func (s *Shardmaster) If(num uint64) *Shardmaster { return &Shardmaster{s.masters, true, num} }

// Join makes a group a member of the cluster and gives it its share of the shards.
// Of one that is a member it changes the addresses. It returns the number of the
// newest config.
func (s *Shardmaster) Join(ctx context.Context, id shard.GroupID, servers []string) (uint64, error) {
	return s.change(ctx, append([]string{"JOIN", groupWord(id)}, servers...)...)
}

// Leave takes a group's shards away and gives them to the others. Its processes
// have to run on until it is drained.
func (s *Shardmaster) Leave(ctx context.Context, id shard.GroupID) (uint64, error) {
	return s.change(ctx, "LEAVE", groupWord(id))
}

// Move gives shards to a group, until the next Join, Leave or Balance.
func (s *Shardmaster) Move(ctx context.Context, shards shard.Range, to shard.GroupID) (uint64, error) {
	return s.change(ctx, "MOVE", shards.String(), groupWord(to))
}

// Balance evens out how many shards the groups own, with the fewest moves.
func (s *Shardmaster) Balance(ctx context.Context) (uint64, error) { return s.change(ctx, "BALANCE") }

// Newest returns the newest config.
func (s *Shardmaster) Newest(ctx context.Context) (*shard.Config, error) { return s.query(ctx) }

// Query returns the config of a number. Error replies: NOTYET if there is none yet,
// COMPACTED if it is no longer kept.
func (s *Shardmaster) Query(ctx context.Context, num uint64) (*shard.Config, error) {
	return s.query(ctx, strconv.FormatUint(num, 10))
}

// GroupState is what the shardmasters know of a group.
type GroupState struct {
	ID      shard.GroupID
	Leaving bool   // no longer in the newest config, and not known to be drained
	Joined  uint64 // the config in which it joined
	Settled uint64 // the highest config of which it has said that it holds all that it gave it
	Drained bool   // it has said that nobody waits for a shard of it
	Servers []string
}

// Groups returns all groups that are members or still have something to hand over.
func (s *Shardmaster) Groups(ctx context.Context) ([]GroupState, error) {
	v, err := s.do(ctx, false, "GROUPS")
	if err != nil {
		return nil, err
	}
	var out []GroupState
	for _, e := range v.Elems {
		f := e.Elems
		if len(f) < 5 || f[0].Kind != kindInt || f[2].Kind != kindInt || f[3].Kind != kindInt || f[4].Kind != kindInt {
			return nil, unexpected("DISKV.SHARDS GROUPS", e)
		}
		g := GroupState{
			ID: shard.GroupID(f[0].Int), Leaving: string(f[1].Str) == "leaving",
			Joined: uint64(f[2].Int), Settled: uint64(f[3].Int), Drained: f[4].Int != 0,
		}
		for _, a := range f[5:] {
			g.Servers = append(g.Servers, string(a.Str))
		}
		out = append(out, g)
	}
	return out, nil
}

func (s *Shardmaster) query(ctx context.Context, num ...string) (*shard.Config, error) {
	v, err := s.do(ctx, false, append([]string{"QUERY"}, num...)...)
	if err != nil {
		return nil, err
	}
	if v.Kind != kindBulk {
		return nil, unexpected("DISKV.SHARDS QUERY", v)
	}
	return shard.DecodeConfig(v.Str)
}

func (s *Shardmaster) change(ctx context.Context, words ...string) (uint64, error) {
	if s.bound {
		words = append(words, "IF", strconv.FormatUint(s.num, 10))
	}
	v, err := s.do(ctx, true, words...)
	if err == nil && v.Kind != kindInt {
		err = unexpected("DISKV.SHARDS "+words[0], v)
	}
	return uint64(v.Int), err
}

// do sends a command to the leader of the shardmasters.
func (s *Shardmaster) do(ctx context.Context, write bool, words ...string) (Value, error) {
	c := &call{
		what: "DISKV.SHARDS " + words[0], lane: onLaneRead, write: write,
		encoded: resp.AppendCommand(nil, Query(append([]string{"DISKV.SHARDS"}, words...)...).Args...),
		target:  s.target, moved: s.moved, learn: func(*group) {},
	}
	v, err := s.net.perform(ctx, c)
	if codeOf(err) == codeConfigChanged {
		if c.unsure { // by us, perhaps
			return v, fmt.Errorf("%s: %w: %v", c.what, ErrUnknownOutcome, err) //nolint:errorlint // not the reply of the change
		}
		err = fmt.Errorf("%w: %w", ErrConfigChanged, err)
	}
	return v, err
}

func (m *masters) target() *group {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

// moved takes note of the leader, which may be one that was not named.
func (m *masters) moved(reply string) bool {
	addr, ok := parseMoved(reply)
	if !ok {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.all.lead(addr) {
		m.all = newGroup(append(slices.Clone(m.all.members), addr))
		m.all.lead(addr)
	}
	return true
}

func groupWord(id shard.GroupID) string { return strconv.FormatUint(uint64(id), 10) }
