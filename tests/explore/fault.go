package explore

import "diskv/paxos"

// fault is a mistake that the driver makes on purpose, so that a test can show
// that the search finds what follows from it. The core has no switches: what
// breaks is what is around it.
type fault uint8

const (
	faultless fault = iota
	// deadVotesCount takes away what rule 4 of recovery looks at. Every vote
	// travels with a life that no other is above, and without a vector: the
	// core, which compares lives, finds none that is over.
	deadVotesCount
	// earlyAccepted and earlyPromise let messages of that kind leave before the
	// sync that they wait for.
	earlyAccepted
	earlyPromise
	// forgetful starts a member that lost its disk as if its group had just
	// formed.
	forgetful
)

// early reports whether messages that wait for a sync leave at once.
func (f fault) early(after []paxos.Envelope) bool {
	switch after[0].Message.(type) {
	case paxos.Accepted:
		return f == earlyAccepted
	case paxos.Promise:
		return f == earlyPromise
	}
	return false
}

// touch changes a message on its way.
func (f fault) touch(e paxos.Envelope) paxos.Envelope {
	if f != deadVotesCount {
		return e
	}
	switch e.Message.(type) {
	case paxos.Promise, paxos.Accepted, paxos.HeartbeatAck:
		e.Life = paxos.Life{Epoch: 1 << 62, Nonce: 1 << 62}
		e.Vector = paxos.Vector{}
	}
	return e
}
