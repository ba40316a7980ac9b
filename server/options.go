package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/server/transport"
)

// Options are a node's settings. Zero values stand for the defaults, except
// where it is said.
type Options struct {
	Dir    string // data directory
	Listen string // host:port, or unix:/path
	// Group is the number of the replica group; 0 is the shardmasters'.
	Group uint64
	// Service is what the group is for; see package paxos. The whole group must
	// agree on it.
	Service paxos.Service
	// Shardmasters are the addresses of the shardmaster group, for a sharded
	// group.
	Shardmasters []string
	Peers        []string // addresses of all members, by index; nil for a single node
	Index        int      // this member's place in Peers
	// Forward has commands that another member has to execute passed on to it, for
	// clients that do not follow redirects.
	Forward bool
	// Bootstrap formats an empty directory as a member of a group that has
	// never formed. It does nothing to a directory that was formatted.
	Bootstrap bool
	// Lease answers reads by leader lease. The whole group must agree on it.
	Lease bool
	HTTP  string // address of the status page, /metrics and the health checks; empty for none
	Pprof bool   // serve profiles there, too
	// SlowSync is the time above which a sync of the log counts as slow. When more
	// than one in a hundred are, there is a warning. 0: never.
	SlowSync time.Duration

	// MaxValueBytes bounds keys, values and what commands make of them.
	// Default 8 MiB.
	MaxValueBytes int
	// MaxClients bounds the client connections. Default 10,000.
	MaxClients int
	// MinFreeBytes is the free space on the data directory's disk below which
	// commands that need more of it are refused. Default 256 MiB.
	MinFreeBytes int64
	// SegmentBytes is the size in bytes above which the log goes on in a new segment, and
	// that its files have in advance while there is writing.
	// Default 3 MiB, as package wal has it; tests have small ones.
	SegmentBytes int64
	// CommandTimeout is how long a client may be silent in the middle of a
	// command. Between two commands it may be for ever. Default 60 s.
	CommandTimeout time.Duration
	// ReplyTimeout is how long a client may take to read the replies that are
	// sent to it in one piece. Default 60 s.
	ReplyTimeout time.Duration
	// ShutdownTimeout bounds how long a node that is stopped waits for another
	// to take over and for its clients' commands to end. Default 2 s.
	ShutdownTimeout time.Duration

	Replica replica.Options // see there
	Logger  *slog.Logger    // default: slog.Default

	free func(dir string) (int64, error) // free space; tests have their own
}

// Bounds of MaxValueBytes.
const (
	minMaxValue     = 1 << 10
	maxMaxValue     = 128 << 20
	defaultMaxValue = 8 << 20
)

func (o *Options) setDefaults() {
	if o.MaxValueBytes == 0 {
		o.MaxValueBytes = defaultMaxValue
	}
	if o.MaxClients == 0 {
		o.MaxClients = 10_000
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 256 << 20
	}
	if o.CommandTimeout == 0 {
		o.CommandTimeout = time.Minute
	}
	if o.ReplyTimeout == 0 {
		o.ReplyTimeout = time.Minute
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = 2 * time.Second
	}
	if o.free == nil {
		o.free = freeBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if len(o.Peers) == 0 {
		o.Peers = []string{o.Listen}
	}
}

// Validate reports the first setting that cannot be, without looking at files or
// addresses.
func (o Options) Validate() error {
	o.setDefaults()
	return o.check()
}

// check is Validate for options whose defaults are set.
func (o *Options) check() error {
	switch {
	case o.Dir == "":
		return errors.New("no data directory: give --dir")
	case len(o.Peers) > paxos.MaxReplicas:
		return fmt.Errorf("--peers names %d members, a group has at most %d", len(o.Peers), paxos.MaxReplicas)
	case o.Index != 0 && o.single():
		return fmt.Errorf("--index %d: a single node, without --peers, is member 0", o.Index)
	case o.Index < 0 || o.Index >= len(o.Peers):
		return fmt.Errorf("--index %d: --peers names members 0 to %d", o.Index, len(o.Peers)-1)
	case o.MaxValueBytes < minMaxValue || o.MaxValueBytes > maxMaxValue:
		return fmt.Errorf("--max-value-bytes %d: must be between %d and %d", o.MaxValueBytes, minMaxValue, maxMaxValue)
	case o.Pprof && o.HTTP == "":
		return errors.New("--pprof: profiles are served at the address of --http: give it as well")
	case o.SlowSync < 0:
		return fmt.Errorf("--slow-sync %v: must be 0, for never, or above", o.SlowSync)
	}
	if err := o.checkService(); err != nil {
		return err
	}
	if _, _, err := transport.ParseAddress(o.Listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	seen := make(map[string]int)
	for i, p := range o.Peers {
		if _, _, err := transport.ParseAddress(p); err != nil {
			return fmt.Errorf("--peers, member %d: %w", i, err)
		}
		if j, ok := seen[p]; ok {
			return fmt.Errorf("--peers: members %d and %d have the same address, %s", j, i, p)
		}
		seen[p] = i
	}
	return nil
}

// checkService reports the first setting that does not fit what the group is for.
func (o *Options) checkService() error {
	switch {
	case o.Service == paxos.ServiceShardmaster && o.Group != 0:
		return fmt.Errorf("--group %d: the shardmasters are group 0", o.Group)
	case o.Service != paxos.ServiceShardmaster && o.Group == 0:
		return errors.New("--group 0 is the shardmasters': groups have numbers from 1 on")
	case o.Service == paxos.ServiceSharded && len(o.Shardmasters) == 0:
		return errors.New("a sharded group has to know its shardmasters: give --shardmasters")
	case o.Service == paxos.ServiceSharded && o.Group > math.MaxInt64:
		return fmt.Errorf("--group %d: the numbers of groups go up to %d", o.Group, math.MaxInt64)
	case o.Service != paxos.ServiceSharded && len(o.Shardmasters) > 0:
		return fmt.Errorf("--shardmasters: a %v group has none", o.Service)
	case o.Service > paxos.ServiceShardmaster:
		return fmt.Errorf("unknown service %d", uint8(o.Service))
	}
	for i, a := range o.Shardmasters {
		if _, _, err := transport.ParseAddress(a); err != nil {
			return fmt.Errorf("--shardmasters, member %d: %w", i, err)
		}
		if slices.Contains(o.Peers, a) {
			return fmt.Errorf("--shardmasters: %s is a member of this group by --peers", a)
		}
	}
	return nil
}

// single reports whether the node is its whole group.
func (o *Options) single() bool { return len(o.Peers) == 1 }

// readModes are the words of --read.
var readModes = map[bool]string{false: "quorum", true: "lease"}
