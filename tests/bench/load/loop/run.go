package loop

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// clientsPerTally keeps clients from waiting for each other, and memory small.
const clientsPerTally = 32

// load is one run.
type load struct {
	o       Options
	tallies []*tally

	measuring atomic.Bool
	stopping  atomic.Bool
	left      atomic.Int64 // requests that may still be sent, with Options.Requests
}

// Run puts the load on the store and says what it has shown. An error says that there
// was no load; requests that failed are in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Fill {
		o.Reads, o.Requests, o.Warmup, o.Duration = 0, 0, 0, 0
		o.Clients = min(o.Clients, o.Keys)
	}
	if err := o.Check(); err != nil {
		return Report{}, err
	}
	var s store
	var err error
	if o.Etcd {
		s, err = openEtcd(ctx, o)
	} else {
		s, err = openRESP(ctx, o)
	}
	if err != nil {
		return Report{}, err
	}
	defer s.close()
	askers := make([]asker, o.Clients)
	for i := range askers {
		if askers[i], err = s.connect(ctx, i); err != nil {
			return Report{}, fmt.Errorf("connect client %d of %d: %w", i+1, o.Clients, err)
		}
		defer askers[i].close()
	}
	l := &load{o: o}
	for range (o.Clients + clientsPerTally - 1) / clientsPerTally {
		l.tallies = append(l.tallies, newTally())
	}
	r, err := l.run(ctx, askers)
	r.Conns = o.Clients
	if e, ok := s.(*etcdStore); ok {
		r.Conns = len(e.conns)
	}
	return r, err
}

func (l *load) run(ctx context.Context, askers []asker) (Report, error) {
	if l.o.Warmup > 0 {
		stop := time.AfterFunc(l.o.Warmup, func() { l.stopping.Store(true) })
		l.everyone(ctx, askers)
		stop.Stop()
		l.stopping.Store(false)
	}
	if ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	used, begun := processorTime(), time.Now()
	l.measuring.Store(true)
	if l.o.Duration > 0 && l.o.Requests == 0 {
		defer time.AfterFunc(l.o.Duration, func() { l.stopping.Store(true) }).Stop()
	}
	l.left.Store(l.o.Requests)
	l.everyone(ctx, askers)
	lasted := time.Since(begun)
	r := report(l.o, l.tallies, lasted)
	r.LoadProcessor = (processorTime() - used).Seconds()
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case r.Requests == 0:
		return r, fmt.Errorf("no request was answered; errors: %v", r.Errors)
	case l.o.Fill && r.Failed() > 0:
		return r, fmt.Errorf("%d keys may not be set; errors: %v", r.Failed(), r.Errors)
	}
	return r, nil
}

// everyone has all clients ask until they are to stop or have nothing left to ask.
func (l *load) everyone(ctx context.Context, askers []asker) {
	var wg sync.WaitGroup
	for i, a := range askers {
		wg.Go(func() { l.client(ctx, i, a) })
	}
	wg.Wait()
}

func (l *load) client(ctx context.Context, i int, a asker) {
	c, t := newChoice(l.o, i), l.tallies[i/clientsPerTally]
	buffers, answers := c.buffers(), make([]answer, l.o.Pipeline)
	measured := l.measuring.Load()
	for ctx.Err() == nil && !l.stopping.Load() {
		rs := c.fill(buffers, l.take(measured))
		if len(rs) == 0 {
			return
		}
		sent := time.Now()
		for len(rs) > 0 {
			as := answers[:len(rs)]
			clear(as)
			err := a.ask(ctx, rs, as)
			if ctx.Err() != nil {
				return
			}
			t.add(rs, as, sent, measured, err)
			// While nobody leads there is nothing to hurry for.
			if rs = redirected(rs, as); (err != nil || len(rs) > 0) && pause(ctx) != nil {
				return
			}
		}
	}
}

// redirected returns the requests that are to be sent again.
func redirected(rs []request, as []answer) []request {
	n := 0
	for i := range rs {
		if as[i].redirected {
			rs[i], rs[n] = rs[n], rs[i] // each keeps its memory
			n++
		}
	}
	return rs[:n]
}

// take returns how many requests a client may send next.
func (l *load) take(measured bool) int64 {
	n := int64(l.o.Pipeline)
	if l.o.Requests == 0 || !measured {
		return n
	}
	return n + min(0, max(-n, l.left.Add(-n)))
}

// processorTime returns what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
