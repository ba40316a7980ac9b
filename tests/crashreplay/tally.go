package crashreplay

import (
	"sync"
	"time"
)

// tally counts what the clients do, and when nothing was answered.
type tally struct {
	mu       sync.Mutex
	counts   map[Verb]map[Outcome]int
	seconds  []second
	lastOK   time.Duration
	gaps     []Gap
	watching bool
}

// second is what was answered in one second of a run.
type second struct{ ok, unknown, refused int }

// Gap is a time without an answer to anybody.
type Gap struct {
	From, To time.Duration // since the start of the run
	Faults   []Kind        // that were there then
}

// shortestGap is from when on a time without an answer is told.
const shortestGap = 250 * time.Millisecond

func newTally() *tally { return &tally{counts: make(map[Verb]map[Outcome]int)} }

func (t *tally) add(o Op) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[o.Verb] == nil {
		t.counts[o.Verb] = make(map[Outcome]int)
	}
	t.counts[o.Verb][o.Outcome]++
	s := int(o.Return / time.Second)
	for len(t.seconds) <= s {
		t.seconds = append(t.seconds, second{})
	}
	switch o.Outcome {
	case OK:
		t.seconds[s].ok++
		t.served(o.Return)
	case Unknown:
		t.seconds[s].unknown++
	case Refused:
		t.seconds[s].refused++
	}
}

// served notes that something was answered. The caller holds mu.
func (t *tally) served(at time.Duration) {
	if t.watching && at-t.lastOK >= shortestGap {
		t.gaps = append(t.gaps, Gap{From: t.lastOK, To: at})
	}
	t.lastOK = max(t.lastOK, at)
}

// watch has gaps noted from now on, or not any more.
func (t *tally) watch(at time.Duration, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.lastOK = at
	} else {
		t.served(at)
	}
	t.watching = on
}

// silent returns for how long nothing was answered until now.
func (t *tally) silent(now time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.watching {
		return 0
	}
	return now - t.lastOK
}
