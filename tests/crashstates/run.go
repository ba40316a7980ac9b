package crashstates

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Options say how much is done.
type Options struct {
	// Seed is that of the choice of variants and, if States bounds them, of prefixes.
	// What the nodes do in the meantime is theirs.
	Seed uint64
	// Workloads are the names of those that are run; empty: all.
	Workloads []string
	// Rounds is how long each workload is; 0: 5.
	Rounds int
	// States is how many different states of each workload are recovered at most; 0:
	// all that are found.
	States int
	// Chances is how many variants by chance each prefix gets, of each kind; 0: 2.
	Chances int
	// Workers is how many states are recovered at a time; 0: 16, since a start waits more
	// than it works.
	Workers int
	// Failures is where what failed is left; empty: a new directory.
	Failures string
}

// Report says what was done.
type Report struct {
	Workloads []WorkloadReport
	Took      time.Duration
}

// WorkloadReport is that of one workload.
type WorkloadReport struct {
	Name       string
	Operations int
	Prefixes   int // that were looked at
	Variants   int // states with repetitions
	States     int // different ones, each recovered
	Acks       int // what was acknowledged in all
	Marks      map[string]int
	Ran        time.Duration // the workload itself
	Took       time.Duration // all of it
}

// States returns how many different states were recovered.
func (r Report) States() int {
	n := 0
	for _, w := range r.Workloads {
		n += w.States
	}
	return n
}

// String is a line for each workload.
func (r Report) String() string {
	var b strings.Builder
	for _, w := range r.Workloads {
		fmt.Fprintf(&b, "%s: %d operations, %d prefixes, %d variants, %d states recovered, %d acknowledged, %.0f s of which it ran %.0f s (%s)\n",
			w.Name, w.Operations, w.Prefixes, w.Variants, w.States, w.Acks, w.Took.Seconds(), w.Ran.Seconds(), w.marks())
	}
	fmt.Fprintf(&b, "%d states in %.0f s, all right\n", r.States(), r.Took.Seconds())
	return b.String()
}

func (w WorkloadReport) marks() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(w.Marks)) {
		out = append(out, fmt.Sprintf("%s %d", name, w.Marks[name]))
	}
	return strings.Join(out, ", ")
}

// Progress is told now and then how far a workload is: prefixes of operations, and
// different states. It may be nil.
type Progress func(workload string, prefix, operations, states int)

// workloads are all of them.
var workloads = map[string]func(ctx context.Context, o Options, dir string) (*trace, error){
	"single": runSingle,
	"member": runMember,
}

// Names returns the names of the workloads.
func Names() []string { return slices.Sorted(maps.Keys(workloads)) }

func (o *Options) setDefaults() error {
	if len(o.Workloads) == 0 {
		o.Workloads = Names()
	}
	for _, name := range o.Workloads {
		if workloads[name] == nil {
			return fmt.Errorf("there is no workload %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Chances == 0 {
		o.Chances = 2
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	return nil
}

// Run runs the workloads and recovers what they may leave. It ends at the first
// state that is not right, with an error of type *[Failure]. Without FUSE the error
// is faultfs.ErrUnavailable.
func Run(ctx context.Context, o Options, progress Progress) (Report, error) {
	var report Report
	if err := o.setDefaults(); err != nil {
		return report, err
	}
	begun := time.Now()
	for _, name := range o.Workloads {
		w, err := run(ctx, o, name, progress)
		if err != nil {
			return report, fmt.Errorf("workload %s: %w", name, err)
		}
		report.Workloads = append(report.Workloads, w)
	}
	report.Took = time.Since(begun)
	return report, nil
}

func run(ctx context.Context, o Options, name string, progress Progress) (WorkloadReport, error) {
	begun := time.Now()
	dir, err := scratch()
	if err != nil {
		return WorkloadReport{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	t, err := workloads[name](ctx, o, dir)
	if err != nil {
		return WorkloadReport{}, err
	}
	t.workload = name
	ran := time.Since(begun)
	r, err := enumerate(ctx, o, t, dir, progress)
	r.Ran, r.Took = ran, time.Since(begun)
	return r, err
}

// scratch makes a directory in memory, where there is such a file system. Its path is
// short, as those of sockets must be.
func scratch() (string, error) {
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err == nil {
		return os.MkdirTemp(memory, "diskv-")
	}
	return os.MkdirTemp("", "diskv-")
}
