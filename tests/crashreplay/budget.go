package crashreplay

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// budget knows which members are whole: not in the hands of a fault, and recovered from
// the last one. It lets at most a minority be faulty at once, or all together.
// Who has taken a member may do to its process what it wants, and nobody else may.
type budget struct {
	mu     sync.Mutex
	faulty []bool
	given  chan struct{} // closed, and made anew, when members are given back
}

func newBudget(members int) *budget {
	return &budget{faulty: make([]bool, members), given: make(chan struct{})}
}

// take chooses members for a fault that are whole. If there are not enough without more
// than a minority being faulty then, it returns nil, and a channel that is closed when it
// may be tried again. The leader is taken if it is wanted and whole; -1: nobody.
func (b *budget) take(f Fault, leader int) (members []int, again <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var whole []int
	for i, is := range b.faulty {
		if !is {
			whole = append(whole, i)
		}
	}
	faulty := len(b.faulty) - len(whole)
	switch {
	case f.Count == len(b.faulty):
		if faulty > 0 {
			return nil, b.given
		}
	case faulty+f.Count > minority(len(b.faulty)):
		return nil, b.given
	}
	if f.Members != nil {
		for _, m := range f.Members {
			if b.faulty[m] {
				return nil, b.given
			}
		}
		members = f.Members
	} else {
		chance := rand.New(rand.NewPCG(f.Seed, 0))
		chance.Shuffle(len(whole), func(i, j int) { whole[i], whole[j] = whole[j], whole[i] })
		if i := slices.Index(whole, leader); f.Leader && i > 0 {
			whole[0], whole[i] = whole[i], whole[0]
		}
		members = slices.Clone(whole[:f.Count])
		slices.Sort(members)
	}
	for _, m := range members {
		b.faulty[m] = true
	}
	return members, nil
}

// give returns members that are whole again.
func (b *budget) give(members []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range members {
		b.faulty[m] = false
	}
	close(b.given)
	b.given = make(chan struct{})
}

// whole returns the members that are whole.
func (b *budget) whole() []int {
	var whole []int
	b.eachWhole(func(m int) { whole = append(whole, m) })
	return whole
}

// eachWhole calls f with every member that is whole; none is taken meanwhile.
func (b *budget) eachWhole(f func(member int)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, is := range b.faulty {
		if !is {
			f(i)
		}
	}
}
