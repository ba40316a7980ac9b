package explore

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"

	"diskv/paxos"
)

// kind is what can happen to a member.
type kind uint8

const (
	deliver  kind = iota // a message arrives
	sync                 // the oldest sync of a slow disk ends
	identity             // IDENTITY of a slow disk is stored
	timeout              // the timers run out and the pre-vote is won
	propose              // a leader proposes the next value
	crash                // the process ends and starts again
	lose                 // the same, with an empty disk
)

// step is one thing that happens to one member. What number is, depends: the
// message, the number of the value, how many records survive that were not
// synced, which loss it is.
type step struct {
	member paxos.ReplicaID
	kind   kind
	number uint16
}

// outcome is what a step makes of a member: another state of it, and what it
// adds to the messages and votes of the group. It is nil if the step cannot
// happen.
type outcome struct {
	next    int32
	sent    []uint16
	votes   []uint16
	applied []paxos.Entry
	broken  string
}

// local is a state of a member, with the outcomes that were asked for.
type local struct {
	*member
	promised paxos.Ballot // on its disk
	arrivals []*outcome   // by message, if it was tried
	outcomes map[step]*outcome
}

// untaken stands for a step that was tried and cannot happen.
var untaken = &outcome{}

// world holds the tables of a search: every state of a member, message and vote
// that was met, by number.
type world struct {
	bounds
	locals   []local
	localOf  map[[sha256.Size]byte]int32
	messages []paxos.Envelope
	number   map[string]uint16
	votes    []vote
	voteOf   map[string]uint16
	plans    map[reflect.Type][]treatment // of fingerprint
}

func newWorld(b bounds) *world {
	return &world{
		bounds: b, localOf: map[[sha256.Size]byte]int32{},
		number: map[string]uint16{}, voteOf: map[string]uint16{},
		plans: map[reflect.Type][]treatment{},
	}
}

// maxNumber bounds the messages and the votes of a search.
const maxNumber = 1<<16 - 1

// enter puts a member and what its last step did into the tables.
func (w *world) enter(m *member, fx *effects) *outcome {
	o := &outcome{sent: fx.sent, applied: fx.applied, broken: fx.broken}
	for _, v := range fx.votes {
		o.votes = insert(o.votes, w.voteNumber(v))
	}
	key := w.fingerprint(m)
	id, ok := w.localOf[key]
	if !ok {
		id = int32(len(w.locals))
		w.localOf[key] = id
		disk := w.restored(m, &effects{})
		w.locals = append(w.locals, local{member: m, promised: disk.Promised(), outcomes: map[step]*outcome{}})
	}
	o.next = id
	return o
}

// messageNumber numbers e as it comes out of its encoding at the receiver.
func (w *world) messageNumber(e paxos.Envelope) uint16 {
	b := paxos.AppendEnvelope(nil, e)
	n, ok := w.number[string(b)]
	if !ok {
		decoded, err := paxos.DecodeEnvelope(b)
		if err != nil || len(w.messages) == maxNumber {
			panic(fmt.Sprintf("explore: message %d, %s: %v", len(w.messages), showMessage(e), err))
		}
		n = uint16(len(w.messages))
		w.messages = append(w.messages, decoded)
		w.number[string(b)] = n
	}
	return n
}

func (w *world) voteNumber(v vote) uint16 {
	key := string(paxos.AppendEntry([]byte{byte(v.member)}, v.entry))
	n, ok := w.voteOf[key]
	if !ok {
		if len(w.votes) == maxNumber {
			panic("explore: too many different votes")
		}
		n = uint16(len(w.votes))
		w.votes = append(w.votes, v)
		w.voteOf[key] = n
	}
	return n
}

// insert returns the sorted set with n in it. The set itself is left alone.
func insert(set []uint16, n uint16) []uint16 {
	i, found := slices.BinarySearch(set, n)
	if found {
		return set
	}
	out := make([]uint16, 0, len(set)+4)
	out = append(out, set[:i]...)
	out = append(out, n)
	return append(out, set[i:]...)
}

// outcome looks up, or tries, a step of a member in state id.
func (w *world) outcome(id int32, s step) *outcome {
	var o *outcome
	l := &w.locals[id]
	if s.kind == deliver && int(s.number) < len(l.arrivals) {
		o = l.arrivals[s.number]
	} else if s.kind != deliver {
		o = l.outcomes[s]
	}
	if o == nil {
		if o = w.try(l.member, s); o == nil {
			o = untaken
		}
		l = &w.locals[id] // there may be more of them now
		if s.kind == deliver {
			l.arrivals = append(l.arrivals, make([]*outcome, max(0, int(s.number)+1-len(l.arrivals)))...)
			l.arrivals[s.number] = o
		} else {
			l.outcomes[s] = o
		}
	}
	if o == untaken {
		return nil
	}
	return o
}

// try carries out a step on a copy of m. An invariant of the core that breaks is
// an outcome as well.
func (w *world) try(m *member, s step) (o *outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = &outcome{broken: fmt.Sprint(p)}
		}
	}()
	m = m.clone()
	var fx effects
	if s.kind != timeout {
		m.pass()
	}
	if !w.carryOut(m, s, &fx) {
		return nil
	}
	w.drain(m, &fx)
	if m.core.Promised().Round > w.rounds || int(m.core.Last()) > w.slots {
		return nil
	}
	return w.enter(m, &fx)
}

func (w *world) carryOut(m *member, s step, fx *effects) bool {
	switch s.kind {
	case deliver:
		m.core.Step(w.messages[s.number])
		return true
	case sync:
		return w.sync(m, fx)
	case identity:
		return w.storeIdentity(m)
	case timeout:
		return w.timeout(m, fx)
	case propose:
		_, ok := m.core.Propose(paxos.KindBatch, []byte{'a' + byte(s.number)})
		return ok
	case crash:
		return w.crash(m, int(s.number), fx)
	case lose:
		w.lose(m, firstNonce+uint64(s.number), fx)
		return true
	}
	panic(fmt.Sprintf("explore: step of kind %d", s.kind))
}

// firstNonce is the nonce of the first disk in place of a lost one.
const firstNonce = 20
