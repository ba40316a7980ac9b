package paxos

import "fmt"

// Kind says what an entry's value is. On disk and on the wire.
type Kind uint8

// The kinds of entries. Zero is invalid.
const (
	KindNoop  Kind = 1 // fills a hole; the value is empty
	KindBatch Kind = 2 // a batch of commands, opaque to this package
	// KindRejoin names a new life of a member's disk; the value is a Rejoin.
	KindRejoin Kind = 3
)

func (k Kind) String() string {
	switch k {
	case KindNoop:
		return "noop"
	case KindBatch:
		return "batch"
	case KindRejoin:
		return "rejoin"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// valid reports whether k is a kind that this version knows.
func (k Kind) valid() bool { return k >= KindNoop && k <= KindRejoin }

// Entry is a value in a slot, with the ballot under which it was accepted.
// Value is never changed once it is in an Entry; whoever holds the Entry may
// keep it.
type Entry struct {
	Slot   Slot
	Ballot Ballot
	Kind   Kind
	Value  []byte
}

// cost is the memory that an entry is charged with where entries are limited
// by bytes.
func (e Entry) cost() int { return len(e.Value) + entryOverhead }

// entryOverhead covers the fields of an entry besides its value.
const entryOverhead = 64

// HardState is what a replica must remember besides its accepted entries.
type HardState struct {
	Promised   Ballot // no ballot below this one gets a vote
	Commit     Slot   // everything up to here is chosen and held
	Recovering bool   // the replica lost its disk and may not vote yet
	Vector     Vector // newest known life of every member
}
