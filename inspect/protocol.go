package inspect

import (
	"crypto/sha256"
	"fmt"

	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// protocol checks what the protocol promises of the log of one replica, record by
// record.
//
// Invariants of a log, on top of a snapshot of slot s:
//  1. the promise never goes back: not from one state to the next, and no value is
//     accepted under a ballot below a promise or an earlier accept
//  2. slots have no gaps: behind s, or the last slot so far, comes at most the next
//  3. no commit index is above the last slot that the log holds by then
//  4. a slot at or below the commit index keeps its value
//  5. in one slot one ballot has one value
//  6. the epoch that is known of a member never decreases
//  7. every record decodes, and an entry is filed under its slot; commands are not
//     looked at, since a member that does not know one goes on all the same
//
// 4 and 5 are checked among the last recentSlots slots.
type protocol struct {
	first    bool // a header was seen
	last     paxos.Slot
	commit   paxos.Slot
	promised paxos.Ballot // the highest of states and accepts so far
	stated   paxos.Ballot // the highest of states so far
	epochs   [paxos.MaxReplicas]uint64
	state    paxos.HardState // the newest
	recent   map[paxos.Slot]seenValue
	rejoins  []rejoinAt // that were accepted
}

// rejoinAt is a Rejoin at a slot.
type rejoinAt struct {
	slot paxos.Slot
	paxos.Rejoin
}

// seenValue is what was accepted in a slot.
type seenValue struct {
	ballot paxos.Ballot
	digest [16]byte
}

// recentSlots is how many slots are remembered: some 20 MiB.
const recentSlots = 1 << 18

// newProtocol checks a log that goes on from a snapshot of a slot, or from nothing.
func newProtocol(base paxos.Slot) *protocol {
	return &protocol{last: base, commit: base, recent: make(map[paxos.Slot]seenValue)}
}

// take checks the next frame. A fault is the error, with the slot that it is about.
func (p *protocol) take(f *frame) (paxos.Slot, error) {
	switch f.Type {
	case wal.TypeMark:
		return 0, nil
	case wal.TypeHeader, wal.TypeState:
		h, err := paxos.DecodeHardState(f.Payload)
		if err != nil {
			return 0, err
		}
		if f.Type == wal.TypeHeader && p.first {
			return 0, nil // a copy; the log itself compares it
		}
		p.first = true
		return 0, p.takeState(h)
	case wal.TypeData:
		e, err := replica.ReadEntry(f.toReplica())
		if err != nil {
			return paxos.Slot(f.Tag), err
		}
		return e.Slot, p.takeEntry(&e)
	}
	return 0, fmt.Errorf("a record of unknown type %d", f.Type)
}

func (p *protocol) takeState(h paxos.HardState) error {
	if h.Promised.Less(p.stated) {
		return fmt.Errorf("the promise goes back: a state with promise %v behind one with %v", h.Promised, p.stated)
	}
	if h.Promised.Less(p.promised) {
		return fmt.Errorf("the promise goes back: a state with promise %v behind a value that was accepted under %v", h.Promised, p.promised)
	}
	p.stated, p.promised, p.state = h.Promised, h.Promised, h
	for id, l := range h.Vector {
		if l.Epoch < p.epochs[id] {
			return fmt.Errorf("the epoch of member %d goes back from %d to %d", id, p.epochs[id], l.Epoch)
		}
		p.epochs[id] = l.Epoch
	}
	return p.takeCommit(h.Commit)
}

func (p *protocol) takeEntry(e *replica.AcceptedEntry) error {
	if e.Ballot.Less(p.promised) {
		return fmt.Errorf("a value was accepted under ballot %v, below the promise of %v", e.Ballot, p.promised)
	}
	p.promised = e.Ballot
	if e.Slot > p.last+1 {
		return fmt.Errorf("slots %d to %d are missing in front of it: neither the log nor a snapshot has them", p.last+1, e.Slot-1)
	}
	v := seenValue{ballot: e.Ballot, digest: digestOf(&e.Entry)}
	if old, ok := p.recent[e.Slot]; ok && old.digest != v.digest {
		if e.Slot <= p.commit {
			return fmt.Errorf("the slot was chosen with one value (accepted under %v) and then accepted with another under %v", old.ballot, v.ballot)
		}
		if old.ballot == v.ballot {
			return fmt.Errorf("ballot %v has two values in one slot", v.ballot)
		}
	}
	p.recent[e.Slot] = v
	p.last = max(p.last, e.Slot)
	delete(p.recent, p.last-min(p.last, recentSlots))
	switch e.Kind {
	case paxos.KindRejoin:
		j, err := paxos.DecodeRejoin(e.Value)
		if err != nil {
			return err
		}
		if e.Slot > p.commit {
			p.epochs[j.Replica] = max(p.epochs[j.Replica], j.Life.Epoch)
			p.rejoins = append(p.rejoins, rejoinAt{slot: e.Slot, Rejoin: j})
		}
	case paxos.KindBatch:
		if _, err := replica.ReadBatch(e.Value); err != nil {
			return err
		}
	case paxos.KindNoop:
	}
	return p.takeCommit(e.Commit)
}

func (p *protocol) takeCommit(s paxos.Slot) error {
	if s > p.last {
		return fmt.Errorf("a commit index of %d, though the log goes up to slot %d only", s, p.last)
	}
	p.commit = max(p.commit, s)
	return nil
}

// successor returns a chosen later life of a member's disk than the one given.
func (p *protocol) successor(id paxos.ReplicaID, l paxos.Life) (rejoinAt, bool) {
	for _, c := range p.rejoins {
		if c.slot <= p.commit && c.Replica == id && c.Life.Epoch > l.Epoch && c.Life.Nonce != l.Nonce {
			return c, true
		}
	}
	return rejoinAt{}, false
}

// digestOf names the value of an entry. It is cryptographic, since whoever writes
// values must not be able to make two that are taken for one.
func digestOf(e *paxos.Entry) [16]byte {
	h := sha256.New()
	h.Write([]byte{byte(e.Kind)})
	h.Write(e.Value)
	var sum [sha256.Size]byte
	return [16]byte(h.Sum(sum[:0])[:16])
}
