package shard

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"diskv/internal/wire"
)

// GroupID names a replica group for as long as the cluster lives. 0 is nobody.
type GroupID uint64

// Bounds of a config. Every replica has to agree: changing one is a new format.
const (
	MaxGroups  = 1024
	MaxServers = 7   // of a group
	MaxAddress = 255 // bytes
)

// Group is a replica group as a config names it.
type Group struct {
	ID      GroupID
	Servers []string // addresses by member index: host:port or unix:/path
}

// Config is the numbered map of shards to groups. The shardmaster makes one after
// the other; groups take them in order. A config that is shared is never changed.
type Config struct {
	// Num is the config's number. Config 0 is the beginning: it has no groups.
	Num uint64
	// Owner of every shard; 0 while there is no group.
	Owner [Count]GroupID
	// Groups ascend by ID. One of them may own nothing.
	Groups []Group
}

// Range is a row of shards, both ends included.
type Range struct{ First, Last ID }

// String returns "first-last", or the one number.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Group returns the group of an id. Its addresses are the config's own.
func (c *Config) Group(id GroupID) (Group, bool) {
	i, ok := c.find(id)
	if !ok {
		return Group{}, false
	}
	return c.Groups[i], true
}

func (c *Config) find(id GroupID) (int, bool) {
	return slices.BinarySearchFunc(c.Groups, id, func(g Group, id GroupID) int { return cmp.Compare(g.ID, id) })
}

// Ranges returns the shards of a group, ascending, in as few ranges as possible.
func (c *Config) Ranges(id GroupID) []Range {
	var out []Range
	for r, owner := range c.Rows() {
		if owner == id {
			out = append(out, r)
		}
	}
	return out
}

// Held returns how many shards a group owns.
func (c *Config) Held(id GroupID) int {
	n := 0
	for _, owner := range c.Owner {
		if owner == id {
			n++
		}
	}
	return n
}

// Rows yields every longest row of shards with one owner, and that owner, which may
// be 0, in the order of the shards.
func (c *Config) Rows() iter.Seq2[Range, GroupID] {
	return func(yield func(Range, GroupID) bool) {
		for first := 0; first < Count; {
			owner, end := c.Owner[first], first+1
			for end < Count && c.Owner[end] == owner {
				end++
			}
			if !yield(Range{ID(first), ID(end - 1)}, owner) {
				return
			}
			first = end
		}
	}
}

// On disk and on the wire.
const (
	configVersion = 1
	minGroupBytes = 8 + 4
	runBytes      = 2 + 8
)

var (
	errConfigVersion = errors.New("unknown version")
	errRuns          = errors.New("runs of owners do not fit")
)

// Append appends the encoding of c to dst. All numbers are little-endian:
//
//	0   version   1 byte, 1
//	1   reserved  3 bytes, zero
//	4   num       8 bytes
//	12  groups    4 bytes: how many; each:
//	                id 8 bytes, servers 4 bytes: how many; each: address 4 bytes + bytes
//	    runs      4 bytes: how many rows of shards with one owner; each:
//	                shards 2 bytes: how many; owner 8 bytes
//
// Every config has one encoding: neighbouring runs have different owners.
func (c *Config) Append(dst []byte) []byte {
	dst = append(dst, configVersion, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, c.Num)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(c.Groups)))
	for _, g := range c.Groups {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(g.ID))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(g.Servers)))
		for _, a := range g.Servers {
			dst = wire.AppendBytes(dst, []byte(a))
		}
	}
	at, n := len(dst), 0
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	for r, owner := range c.Rows() {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(r.Last-r.First)+1)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(owner))
		n++
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(n))
	return dst
}

// DecodeConfig is the inverse of [Config.Append]. It keeps nothing of b.
func DecodeConfig(b []byte) (*Config, error) {
	r := wire.NewReader(b)
	if r.Uint8() != configVersion {
		r.Fail(errConfigVersion)
	}
	if string(r.Fixed(3)) != "\x00\x00\x00" {
		r.Fail(wire.ErrReserved)
	}
	c := &Config{Num: r.Uint64()}
	c.Groups = readGroups(r)
	c.readOwners(r)
	err := r.Close()
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("decode config: %w", err)
	}
	return c, nil
}

func readGroups(r *wire.Reader) []Group {
	n := r.Count(minGroupBytes)
	if n > MaxGroups {
		r.Fail(fmt.Errorf("%w: %d groups, at most %d", wire.ErrTooLong, n, MaxGroups))
	}
	if r.Err() != nil || n == 0 {
		return nil
	}
	groups := make([]Group, 0, n)
	for range n {
		g := Group{ID: GroupID(r.Uint64())}
		servers := r.Count(4)
		if servers > MaxServers {
			r.Fail(fmt.Errorf("%w: %d servers, at most %d", wire.ErrTooLong, servers, MaxServers))
			return nil
		}
		for range servers {
			g.Servers = append(g.Servers, string(r.Bytes(MaxAddress)))
		}
		groups = append(groups, g)
	}
	return groups
}

func (c *Config) readOwners(r *wire.Reader) {
	next := 0
	for i := range r.Count(runBytes) {
		n := int(r.Uint16())
		owner := GroupID(r.Uint64())
		if r.Err() == nil && (n == 0 || n > Count-next || i > 0 && owner == c.Owner[next-1]) {
			r.Fail(errRuns)
		}
		if r.Err() != nil {
			return
		}
		for range n {
			c.Owner[next] = owner
			next++
		}
	}
	if r.Err() == nil && next != Count {
		r.Fail(errRuns)
	}
}

// Check reports the first thing in c that no config has.
func (c *Config) Check() error {
	if len(c.Groups) > MaxGroups {
		return fmt.Errorf("%d groups, at most %d are possible", len(c.Groups), MaxGroups)
	}
	if c.Num == 0 && len(c.Groups) > 0 {
		return errors.New("config 0 has groups")
	}
	seen := make(map[string]GroupID)
	for i, g := range c.Groups {
		if g.ID == 0 || i > 0 && c.Groups[i-1].ID >= g.ID {
			return fmt.Errorf("group %d is out of order", g.ID)
		}
		if err := CheckServers(g.Servers); err != nil {
			return fmt.Errorf("group %d: %w", g.ID, err)
		}
		for _, a := range g.Servers {
			if other, ok := seen[a]; ok {
				return fmt.Errorf("groups %d and %d have the same address, %s", other, g.ID, a)
			}
			seen[a] = g.ID
		}
	}
	for r, owner := range c.Rows() {
		if _, ok := c.find(owner); owner != 0 && !ok {
			return fmt.Errorf("shard %d is of group %d, which the config does not have", r.First, owner)
		}
	}
	return nil
}
