package crashreplay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"diskv/client"
)

// Options are those of a run. Zero values stand for the defaults, where there are any.
type Options struct {
	Binary   string // path of diskvd
	Dir      string // gets everything; it is made, and must not exist
	Scenario Scenario
	Members  int
	Duration time.Duration // of the faults; recovery and the last checks come on top
	Seed     uint64
	Clients  int           // default 12; half as many plain ones come on top, and a reader for each member
	Plan     []Fault       // default: that of the scenario
	Log      io.Writer     // what happens, line by line; nil: nowhere
	Patience time.Duration // for a member to come back, for anything to be answered; default 90 s

	tamper func(r *run) // tests have something go wrong; called when the load has begun
}

func (o *Options) setDefaults() error {
	if o.Clients == 0 {
		o.Clients = 12
	}
	if o.Patience == 0 {
		o.Patience = 90 * time.Second
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Plan == nil {
		o.Plan = Plan(o.Scenario, o.Members, o.Duration, o.Seed)
	}
	switch {
	case o.Members < 3:
		return fmt.Errorf("%d members: a minority of them is nobody; give 3 or more", o.Members)
	case o.Duration <= 0:
		return fmt.Errorf("a duration of %v: must be above 0", o.Duration)
	}
	for _, f := range o.Plan {
		if !f.fits(o.Members) || f.Group < 0 || f.Group >= o.Scenario.parts() {
			return fmt.Errorf("fault %d of the schedule is for another size of group than %d: %d members, %v", f.N, o.Members, f.Count, f.Members)
		}
	}
	if _, err := os.Stat(o.Dir); err == nil {
		return fmt.Errorf("%s exists: name a directory that does not, or remove it", o.Dir)
	}
	return nil
}

// Violation is something that must not be.
type Violation struct {
	Kind    string // history, answer, lost data, process, recovery, service
	Text    string
	Finding *Finding // of a history
	At      time.Duration
}

// run is a run that is under way.
type run struct {
	o       Options
	begun   time.Time
	parts   []*part // the groups; of a cluster the shardmasters first
	client  *client.Client
	masters *client.Shardmaster // of a cluster
	history *historyFile
	book    *book
	tally   *tally
	records *records
	checks  *checks
	marks   atomic.Uint64
	answers answers
	moves   int    // of shards; of one goroutine until the load has ended
	without string // why there are no faults of disks, or nothing

	ctx  context.Context    //nolint:containedctx // of the run; ends with stop
	stop context.CancelFunc // ends everything, at a violation

	mu        sync.Mutex
	violation *Violation
}

func (r *run) now() time.Duration { return time.Since(r.begun) }

func (r *run) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.o.Log, "%9.3f  "+format+"\n", append([]any{r.now().Seconds()}, args...)...)
}

// violate ends the run, if it is the first violation.
func (r *run) violate(v Violation) {
	r.mu.Lock()
	first := r.violation == nil
	if first {
		v.At = r.now()
		r.violation = &v
	}
	r.mu.Unlock()
	if first {
		r.say("VIOLATION: %s: %s", v.Kind, v.Text)
		r.stop()
	}
}

// Run runs a scenario. A violation is in the result; an error is one of the harness or
// the machine. The directory is left as it is then; see [Result.Tidy].
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &run{
		o: o, begun: time.Now(), ctx: ctx, stop: stop, tally: newTally(),
	}
	if err := r.writeManifest(); err != nil {
		return nil, err
	}
	var err error
	if r.history, err = createHistory(filepath.Join(o.Dir, historyName)); err != nil {
		return nil, err
	}
	if r.records, err = createRecords(filepath.Join(o.Dir, scheduleName)); err != nil {
		return nil, err
	}
	if err = r.makeParts(); err == nil {
		err = r.perform(ctx)
	}
	if fault := r.closeParts(); err == nil {
		err = fault
	}
	if fault := errors.Join(r.history.close(), r.records.close()); err == nil {
		err = fault
	}
	if err == nil && r.violation == nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	result := r.result()
	return result, result.write()
}

// perform is the run itself. It leaves no process and no goroutine.
func (r *run) perform(ctx context.Context) error {
	defer r.killAll()
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("start the group: %w", err)
	}
	defer r.client.Close()
	r.say("%d members are ready: %s for %v, seed %d", r.members(), r.o.Scenario.Name, r.o.Duration, r.o.Seed)
	r.checks = startChecks(r)
	r.book = newBook(r.checks.sealed)

	var watching, loading sync.WaitGroup
	loadCtx, endLoad := context.WithCancel(ctx)
	defer endLoad()
	watchCtx, endWatch := context.WithCancel(ctx)
	defer endWatch()
	r.tally.watch(r.now(), true)
	for i := range r.o.Clients {
		loading.Go(func() { r.goClient(loadCtx, i+1) })
	}
	for i := range max(1, r.o.Clients/2) {
		loading.Go(func() { r.plainClient(loadCtx, 1001+i, i%2 == 1) })
	}
	for i, addr := range r.addresses() {
		loading.Go(func() { r.reader(loadCtx, 1501+i, addr) })
	}
	watching.Go(func() { r.watch(watchCtx) })
	watching.Go(func() { r.audit(loadCtx) })
	if r.masters != nil {
		defer r.masters.Close()
		loading.Go(func() { r.moveShards(loadCtx) })
	}
	if r.o.tamper != nil {
		watching.Go(func() { r.o.tamper(r) })
	}

	r.inject(ctx)

	// From here on nothing is faulty. Who serves is to serve on, for a moment.
	if ctx.Err() == nil {
		r.say("no more faults; all members are whole")
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(2*time.Second, r.o.Duration)):
	}
	r.tally.watch(r.now(), false)
	endLoad()
	loading.Wait()
	r.book.closeAll()
	r.checks.finish(ctx)
	r.converge(ctx)
	endWatch()
	watching.Wait()
	return nil
}

// converge looks whether all members end with the same slots applied.
func (r *run) converge(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, r.o.Patience)
	defer cancel()
	if err := r.settled(within); err != nil && ctx.Err() == nil {
		r.violate(Violation{Kind: "recovery", Text: "the shards do not come to rest: " + err.Error()})
	}
	for _, p := range r.parts {
		if err := p.group.Converged(within); err != nil && ctx.Err() == nil {
			r.violate(Violation{Kind: "recovery", Text: p.called("the members do not end alike: ") + err.Error()})
		}
	}
}

// inject injects the faults of the schedule and returns when all are over.
func (r *run) inject(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var active sync.WaitGroup
	defer active.Wait()
	end := time.NewTimer(r.o.Duration)
	defer end.Stop()
	for _, f := range r.o.Plan {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-time.After(f.After):
		}
		members := r.take(ctx, f, end.C)
		if members == nil {
			return
		}
		f.Members = members
		rec := r.records.begin(f, r.now())
		active.Go(func() {
			err := r.suffer(ctx, f, rec)
			if err == nil {
				r.records.end(rec, r.now())
				r.parts[f.Group].budget.give(members)
				return
			}
			if ctx.Err() == nil {
				r.violate(Violation{Kind: "recovery", Text: fmt.Sprintf("fault %d, %s of %s: %v", f.N, f.Kind, r.parts[f.Group].called(fmt.Sprint(members)), err)})
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-end.C:
	}
}

// take waits until the members can be taken that a fault needs. It returns nil when the
// time is over.
func (r *run) take(ctx context.Context, f Fault, over <-chan time.Time) []int {
	p := r.parts[f.Group]
	for {
		leader := -1
		if f.Leader && f.Members == nil {
			leader = p.leader()
		}
		members, again := p.budget.take(f, leader)
		if members != nil {
			return members
		}
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return nil
		case <-again:
		}
	}
}
