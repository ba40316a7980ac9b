package sim

import (
	"math/rand/v2"
	"time"
)

// schedule is the virtual clock and what is to happen. Events of the same moment
// happen in the order in which they were asked for.
type schedule struct {
	now    time.Duration
	events []event // a heap
	asked  uint64
	done   int
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// after has do called once, d from now.
func (s *schedule) after(d time.Duration, do func()) {
	s.asked++
	s.events = append(s.events, event{at: s.now + max(d, 0), seq: s.asked, do: do})
	h := s.events
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// next moves the clock to the next event and has it happen. It reports false if
// there is none.
func (s *schedule) next() bool {
	h := s.events
	if len(h) == 0 {
		return false
	}
	first := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	s.events = h
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	s.now = first.at
	s.done++
	first.do()
	return true
}

// dice is a source of chance of its own for each part of a simulation, so that a
// change in one part disturbs the others as little as possible.
type dice struct{ *rand.Rand }

func newDice(seed, part uint64) dice { return dice{rand.New(rand.NewPCG(seed, part))} }

// chance reports true with probability p.
func (d dice) chance(p float64) bool { return p > 0 && d.Float64() < p }

// between draws from lo to hi.
func (d dice) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(d.Int64N(int64(hi-lo)))
}

// around draws a time with the given mean, exponentially distributed, and never
// above ten times the mean.
func (d dice) around(mean time.Duration) time.Duration {
	return time.Duration(min(d.ExpFloat64(), 10) * float64(mean))
}
