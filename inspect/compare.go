package inspect

import (
	"errors"
	"fmt"

	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// Compare looks for slots that two members of a group know as chosen with different
// values, in what their logs still hold. Checks are of directories without a fault.
// A fault names both files. Shared is how many slots at least two of them had.
func Compare(checks []*Check, progress Progress) (fault *Fault, shared uint64, err error) {
	if f := sameGroup(checks); f != nil {
		return f, 0, nil
	}
	return compare(checks, progress, comparedSlots)
}

// comparedSlots are compared at a time: 16 MiB for each member.
const comparedSlots = 1 << 20

func compare(checks []*Check, progress Progress, step int) (*Fault, uint64, error) {
	first, last := paxos.Slot(0), paxos.Slot(0)
	for _, c := range checks {
		last = max(last, paxos.Slot(c.Commit))
	}
	for i, c := range checks {
		from, err := firstSlot(c)
		if err != nil {
			return nil, 0, err
		}
		if i == 0 || from < first {
			first = from
		}
	}
	shared := uint64(0)
	for from := first; from != 0 && from <= last; from += paxos.Slot(step) {
		known := make([]chosenIn, 0, len(checks))
		for i, c := range checks {
			progress.tell(int64(from-first)*int64(len(checks))+int64(i)*int64(step), int64(last-first+1)*int64(len(checks)))
			in, err := chosenOf(c, from, min(from+paxos.Slot(step)-1, last))
			if err != nil {
				return nil, shared, err
			}
			known = append(known, in)
		}
		fault, n := differ(checks, known)
		if shared += n; fault != nil {
			return fault, shared, nil
		}
	}
	return nil, shared, nil
}

// sameGroup says why directories are not those of different members of one group.
func sameGroup(checks []*Check) *Fault {
	for i, c := range checks {
		id := c.dir.Identity
		for _, o := range checks[:i] {
			other := o.dir.Identity
			f := &Fault{File: o.dir.file("IDENTITY"), Other: c.dir.file("IDENTITY"), Remedy: "give directories of different members of one group"}
			switch {
			case id.Cluster != other.Cluster || id.Group != other.Group:
				f.Reason = fmt.Sprintf("they are of group %d of cluster %v and group %d of cluster %v", other.Group, other.Cluster, id.Group, id.Cluster)
				return f
			case id.Index == other.Index:
				f.Reason = fmt.Sprintf("both are of member %d", id.Index)
				return f
			}
		}
	}
	return nil
}

// errEnough ends a scan that has seen what it was for.
var errEnough = errors.New("enough")

// firstSlot returns the first slot in the log of a directory, 0 if it has none.
func firstSlot(c *Check) (paxos.Slot, error) {
	first := paxos.Slot(0)
	_, _, err := scanLog(c.dir.walPath(), func(f frame) error {
		if f.Type == wal.TypeData {
			first = paxos.Slot(f.Tag)
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) && !isNoLog(err) {
		return 0, err
	}
	return first, nil
}

// chosenIn is what a member knows as chosen in a row of slots.
type chosenIn struct {
	from    paxos.Slot
	digests [][16]byte // zero: not in its log
	places  []place
}

// place is where a slot was found.
type place struct {
	segment uint64
	offset  int64
	index   uint64
}

// chosenOf reads the slots from one to another that a member knows as chosen. Of a
// slot that is there more than once the last record counts.
func chosenOf(c *Check, from, to paxos.Slot) (chosenIn, error) {
	to = min(to, paxos.Slot(c.Commit))
	in := chosenIn{from: from}
	if to < from {
		return in, nil
	}
	in.digests = make([][16]byte, to-from+1)
	in.places = make([]place, to-from+1)
	_, _, err := scanLog(c.dir.walPath(), func(f frame) error {
		if f.Type != wal.TypeData || paxos.Slot(f.Tag) < from || paxos.Slot(f.Tag) > to {
			return nil
		}
		e, err := replica.ReadEntry(f.toReplica())
		if err != nil {
			return err
		}
		in.digests[e.Slot-from] = digestOf(&e.Entry)
		in.places[e.Slot-from] = place{segment: f.segment, offset: f.offset, index: f.Index}
		return nil
	})
	if isNoLog(err) {
		err = nil
	}
	return in, err
}

// differ finds the first slot with two values, and counts those that are shared.
func differ(checks []*Check, known []chosenIn) (*Fault, uint64) {
	longest := 0
	for _, in := range known {
		longest = max(longest, len(in.digests))
	}
	shared := uint64(0)
	for i := range longest {
		have := -1 // the first member that has the slot
		both := false
		for m, in := range known {
			if i >= len(in.digests) || in.digests[i] == [16]byte{} {
				continue
			}
			if have < 0 {
				have = m
				continue
			}
			both = true
			if in.digests[i] == known[have].digests[i] {
				continue
			}
			p, q := in.places[i], known[have].places[i]
			f := &Fault{
				File: checks[m].segmentFile(p.segment), Other: checks[have].segmentFile(q.segment),
				Index: p.index, Offset: p.offset, Slot: uint64(in.from) + uint64(i),
				Reason: fmt.Sprintf("members %d and %d know the slot as chosen with different values (in the other file at offset %d)",
					checks[m].dir.Identity.Index, checks[have].dir.Identity.Index, q.offset),
				Remedy: "keep all directories and the logs of all members: this must never happen; stop the group before more is built on it",
			}
			return checks[m].dir.explain(f), shared
		}
		if both {
			shared++
		}
	}
	return nil, shared
}
