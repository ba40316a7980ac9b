package server

import (
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
)

// service is what a group is for: its state machine, and what clients can ask of it.
// There is one implementation for key/value groups (keyvalue.go) and one for the
// shardmasters (shardmaster.go); everything else in a node is the same for both.
type service interface {
	// empty returns a machine that has applied nothing.
	empty() machine
	// restore makes a machine from the records of a snapshot.
	restore(next func() ([]byte, error)) (machine, error)
	// handlers are the commands that a node answers without the log.
	handlers() *handlerTable
	// prepare checks any other command as far as that can be done without the state.
	// refusal is nil, or the error reply. It is called by the client's goroutine.
	prepare(n *Node, args [][]byte) (p prepared, refusal []byte)
	// words returns a command that was prepared as a client sends it.
	words(encoded []byte) (args [][]byte, ok bool)
	// topology is what CLUSTER describes.
	topology(n *Node) topology
}

// machine is a service's state machine, in the form in which the replica drives it.
type machine interface {
	replica.StateMachine
	// known answers a query that any member may answer; see prepared.
	known(dst, query []byte) (reply []byte, ok bool)
	// describe puts what is the machine's into a status.
	describe(s *Status)
	// holds says in numbers what the machine holds: "3 keys, 1 sessions".
	holds() string
}

// image is a view of a machine of this package.
type image interface {
	replica.Image
	// Config returns the number of the config that is in force; 0: there is none.
	Config() uint64
}

// prepared is a client's command with nothing wrong in itself.
type prepared struct {
	spec    *kv.Spec
	encoded []byte // for the log, or for a query
	write   bool   // it goes through the log
	growing bool   // it may need more disk
	keyed   bool   // it has keys, all of them in shard
	shard   shard.ID
	// known: it is a query whose answer, on a member that has it, can never change.
	// A member that does not lead may answer it.
	known bool
}

// newService returns what a group with that number is for.
func newService(s paxos.Service, group uint64) service {
	switch s {
	case paxos.ServiceShardmaster:
		return shardmasters{}
	case paxos.ServiceSharded:
		return keyValue{group: shard.GroupID(group)}
	default:
		return keyValue{}
	}
}

// machineOf returns the machine of a replica of this package.
func machineOf(r *replica.Replica) machine { return r.Machine().(machine) }
