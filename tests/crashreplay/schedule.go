package crashreplay

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Fault is one fault of a schedule. As it is planned it has no members: those are
// chosen among the whole ones when its time has come. As it is recorded it has them,
// and is injected into the same ones again.
type Fault struct {
	N       int           `json:"n"`
	Kind    Kind          `json:"kind"`
	After   time.Duration `json:"after"`             // the beginning of the one before, in ns
	Lasts   time.Duration `json:"lasts"`             // in ns, recovery apart
	Group   int           `json:"group"`             // of a cluster: 0 the shardmasters, or a group; else 0
	Count   int           `json:"count"`             // members
	Leader  bool          `json:"leader"`            // the leader is to be among them
	Seed    uint64        `json:"seed"`              // of everything else that is by chance
	Members []int         `json:"members,omitempty"` // chosen
}

// fits tells whether a group of so many members can have the fault.
func (f *Fault) fits(members int) bool {
	for i, m := range f.Members {
		if m < 0 || m >= members || slices.Contains(f.Members[:i], m) {
			return false
		}
	}
	return (f.Members == nil || len(f.Members) == f.Count) && f.Count > 0 && (f.Count <= minority(members) || f.Count == members)
}

// minority is the most members of a group that may be faulty at once.
func minority(members int) int { return (members - 1) / 2 }

// Plan returns the faults of a run. They follow from what it is given alone.
func Plan(s Scenario, members int, d time.Duration, seed uint64) []Fault {
	chance := rand.New(rand.NewPCG(seed, 0xc4a54))
	var (
		plan  []Fault
		round []Kind
		at    time.Duration
	)
	for len(s.Kinds) > 0 {
		if len(round) == 0 {
			round = append(round, s.Kinds...)
			chance.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		}
		f := Fault{N: len(plan) + 1, Kind: round[0], After: between(chance, s.Gap/2, s.Gap*3/2)}
		round = round[1:]
		if at += f.After; at >= d {
			break
		}
		k := kinds[f.Kind]
		f.Lasts = between(chance, k.least, k.most)
		f.Count = 1 + chance.IntN(max(1, min(k.members, minority(members))))
		switch {
		case k.members == everyone:
			f.Count = members
		case f.Kind == Swapped:
			f.Count = min(k.members, minority(members))
		}
		f.Leader = chance.IntN(2) == 0
		f.Seed = chance.Uint64()
		if n := s.parts(); n > 1 {
			f.Group = chance.IntN(n)
		}
		plan = append(plan, f)
	}
	return plan
}

// between returns a duration from low on and below high, in ms.
func between(chance *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(chance.Int64N(max(1, int64((high-low)/time.Millisecond))))*time.Millisecond
}
