package crashstates

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"diskv/tests/powerloss"
)

// enumerator goes through the prefixes of one trace.
type enumerator struct {
	o        Options
	t        *trace
	dir      string // in memory
	progress Progress

	mu      sync.Mutex
	states  map[key]*state
	report  WorkloadReport
	failure error

	keeping sync.Once
}

// key tells states apart: the same files are started in another way in another life.
type key struct {
	life   int
	digest [32]byte
}

// state is one that was met.
type state struct {
	done chan struct{} // closed when it is recovered
	seen observation
	err  error
}

// statesPerPrefix is about how many new states a prefix brings, to choose prefixes by.
const statesPerPrefix = 3

func enumerate(ctx context.Context, o Options, t *trace, dir string, progress Progress) (WorkloadReport, error) {
	e := &enumerator{o: o, t: t, dir: dir, progress: progress, states: map[key]*state{}}
	e.report = WorkloadReport{Name: t.workload, Operations: len(t.recording.Ops), Acks: t.acks, Marks: t.marks}
	var wg sync.WaitGroup
	for w := range o.Workers {
		wg.Go(func() {
			if err := e.work(ctx, w); err != nil {
				e.fail(err)
			}
		})
	}
	wg.Wait()
	e.report.States = len(e.states)
	return e.report, e.failure
}

// fail keeps the first failure.
func (e *enumerator) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil {
		e.failure = err
	}
}

func (e *enumerator) failed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failure != nil
}

// chosen reports whether a prefix is looked at, where their number is bounded.
func (e *enumerator) chosen(prefix int) bool {
	if e.o.States == 0 {
		return true
	}
	rng := rand.New(rand.NewPCG(e.o.Seed, uint64(prefix)))
	return rng.IntN(len(e.t.recording.Ops)) < e.o.States/statesPerPrefix || e.t.isClean(prefix)
}

// work looks at every prefix of which this is the worker, all on a disk of its own.
func (e *enumerator) work(ctx context.Context, w int) error {
	base := filepath.Join(e.dir, strconv.Itoa(w))
	if err := os.Mkdir(base, 0o700); err != nil {
		return err
	}
	disk := e.t.recording.Start.Clone()
	for prefix := 0; prefix <= len(e.t.recording.Ops); prefix++ {
		if prefix > 0 {
			disk.Apply(e.t.recording.Ops[prefix-1])
		}
		i := e.t.lifeAt(prefix)
		if prefix%e.o.Workers != w || i < 0 || !e.chosen(prefix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, v := range e.variants(disk, prefix) {
			if e.failed() {
				return nil
			}
			if err := e.look(disk, i, prefix, v, base); err != nil {
				return err
			}
		}
		e.count(prefix)
	}
	return nil
}

func (e *enumerator) count(prefix int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Prefixes++
	if e.progress != nil {
		e.progress(e.t.workload, prefix, len(e.t.recording.Ops), len(e.states))
	}
}

// variants are those that are tried of a prefix.
func (e *enumerator) variants(d *powerloss.Disk, prefix int) []powerloss.Variant {
	out := []powerloss.Variant{{Kind: powerloss.Dropped}}
	n := d.Pending()
	if n == 0 {
		return out
	}
	rng := rand.New(rand.NewPCG(e.o.Seed, uint64(prefix)<<1))
	out = append(out, powerloss.Variant{Kind: powerloss.Kept}, powerloss.Variant{Kind: powerloss.Names})
	for range e.o.Chances {
		for kind := powerloss.First; kind <= powerloss.Torn; kind++ {
			switch kind {
			case powerloss.Names:
			case powerloss.Mixed, powerloss.Torn:
				out = append(out, powerloss.Variant{Kind: kind, Seed: uint64(rng.Uint32())})
			default:
				out = append(out, powerloss.Variant{Kind: kind, N: rng.IntN(n)})
			}
		}
	}
	return out
}

// look recovers the state that a variant leaves, unless that was done, and judges it.
func (e *enumerator) look(d *powerloss.Disk, i, prefix int, v powerloss.Variant, base string) error {
	l := &e.t.lives[i]
	files := l.of(d.State(v))
	s, fresh := e.meet(key{i, files.Digest()})
	if fresh {
		s.seen, s.err = e.recover(l, files, base)
		close(s.done)
	}
	<-s.done
	err := s.err
	if err == nil {
		err = s.seen.check(l, prefix)
	}
	if err != nil {
		// Others may fail at the same time; one is kept.
		e.keeping.Do(func() { e.fail(e.t.failure(e.o, files, prefix, v, err)) })
	}
	return nil
}

// meet returns the state of a key, and whether it is the caller who recovers it.
func (e *enumerator) meet(k key) (*state, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Variants++
	if s := e.states[k]; s != nil {
		return s, false
	}
	s := &state{done: make(chan struct{})}
	e.states[k] = s
	return s, true
}

// recover builds a state and has a node recover from it.
func (e *enumerator) recover(l *life, files powerloss.State, base string) (observation, error) {
	at, err := os.MkdirTemp(base, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(at) }()
	if err := files.Build(at); err != nil {
		return nil, err
	}
	seen, err := e.t.recover(l, filepath.Join(at, l.dir), filepath.Join(base, "s"))
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	return seen, nil
}
