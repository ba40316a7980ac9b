package paxos

import (
	"cmp"
	"fmt"
)

// MaxReplicas is the largest number of members that a group may have.
const MaxReplicas = 7

// ReplicaID is a member's index in its group, from 0 to MaxReplicas-1.
type ReplicaID uint8

// ClusterID names a cluster for ever: it is drawn at random when the cluster
// forms. Zero means that there is none yet.
type ClusterID uint64

func (c ClusterID) String() string { return fmt.Sprintf("%016x", uint64(c)) }

// GroupID numbers a replica group within its cluster.
type GroupID uint64

// Service says what the group's state machine is for. It is fixed when the group
// forms. On disk and on the wire.
type Service uint8

// The services.
const (
	ServicePlain       Service = 0 // a key/value store that owns every shard
	ServiceSharded     Service = 1 // a key/value store that owns the shards that the shardmasters give it
	ServiceShardmaster Service = 2 // the configs of the shards
)

func (s Service) String() string {
	switch s {
	case ServicePlain:
		return "plain"
	case ServiceSharded:
		return "sharded"
	case ServiceShardmaster:
		return "shardmaster"
	}
	return fmt.Sprintf("service(%d)", uint8(s))
}

// Slot is a position in the replicated log. The first is 1; zero stands for
// the empty prefix.
type Slot uint64

// Ballot numbers a leader's term. Ballots are ordered by round and then by
// replica, so no two replicas ever use the same one. The zero Ballot is
// invalid and lower than every valid one.
type Ballot struct {
	Round   uint64
	Replica ReplicaID
}

// Valid reports whether b can have been used by a replica.
func (b Ballot) Valid() bool { return b.Round != 0 }

// Compare orders ballots as cmp.Compare does numbers.
func (b Ballot) Compare(o Ballot) int {
	if c := cmp.Compare(b.Round, o.Round); c != 0 {
		return c
	}
	return cmp.Compare(b.Replica, o.Replica)
}

// Less reports whether b is ordered before o.
func (b Ballot) Less(o Ballot) bool { return b.Compare(o) < 0 }

func (b Ballot) String() string { return fmt.Sprintf("%d.%d", b.Round, b.Replica) }

// Life names one life of a replica's disk: the recovery epoch orders the lives
// of one replica, the nonce tells any two apart. A valid nonce is not zero.
type Life struct {
	Epoch uint64
	Nonce uint64
}

func (l Life) String() string { return fmt.Sprintf("%d/%016x", l.Epoch, l.Nonce) }

// Vector holds the newest life that a replica knows of every member, by index.
// What is beyond the group's size is zero.
type Vector [MaxReplicas]Life

// over reports whether v knows a later life of replica id, under another nonce,
// than l. The same nonce at a higher epoch is the same life.
func (v *Vector) over(id ReplicaID, l Life) bool {
	return v[id].Epoch > l.Epoch && v[id].Nonce != l.Nonce
}
