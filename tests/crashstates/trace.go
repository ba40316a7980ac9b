package crashstates

import (
	"slices"
	"strings"

	"diskv/server"
	"diskv/tests/faultfs"
	"diskv/tests/powerloss"
)

// trace is what a workload leaves to be enumerated.
type trace struct {
	workload  string
	recording faultfs.Recording
	lives     []life // in order of time
	acks      int
	marks     map[string]int // what has happened, and how often
	// recover has a node recover from a directory, with a socket to listen on, and
	// says what it found. What is wrong whenever the power was cut is an error.
	recover func(l *life, dir, socket string) (observation, error)
}

// observation is what was recovered from a state.
type observation interface {
	// check says what is missing, or there and should not be, if the power was cut
	// behind so many operations.
	check(l *life, prefix int) error
}

// life is a time during which one data directory was used.
type life struct {
	from    int            // operations before it
	dir     string         // below the mount
	options server.Options // of a start, but for the directory and the address
	cleans  []int          // right behind clean stops
	name    string
}

// lifeAt returns the number of the life at a prefix, or -1 before the first.
func (t *trace) lifeAt(prefix int) int {
	at := -1
	for i, l := range t.lives {
		if l.from <= prefix {
			at = i
		}
	}
	return at
}

func (t *trace) isClean(prefix int) bool {
	return slices.ContainsFunc(t.lives, func(l life) bool { return slices.Contains(l.cleans, prefix) })
}

// of returns the part of a state that is the life's directory.
func (l *life) of(s powerloss.State) powerloss.State {
	var out powerloss.State
	for _, e := range s {
		if e.Path == l.dir || strings.HasPrefix(e.Path, l.dir+"/") {
			out = append(out, e)
		}
	}
	return out
}

// note finds out, from the operations, how often what the workload is there for has
// happened.
func (t *trace) note() {
	t.marks = map[string]int{}
	segments := map[powerloss.Inode]bool{}
	logs := map[powerloss.Inode]bool{}
	for _, op := range t.recording.Ops {
		switch {
		case op.Kind == powerloss.PowerCut:
			t.marks["power cuts"]++
		case op.Kind == powerloss.Mkdir && op.Name == "wal":
			logs[op.Inode] = true
		case op.Kind == powerloss.Mkdir && logs[op.Dir]:
			segments[op.Inode] = true
			t.marks["segments begun"]++
		case op.Kind == powerloss.Remove && logs[op.Dir] && len(op.Name) == 20:
			t.marks["segments dropped"]++
		case op.Kind == powerloss.Rename && strings.HasSuffix(op.ToName, ".snap"):
			t.marks["snapshots"]++
			if strings.HasSuffix(op.Name, ".part") {
				t.marks["snapshots received"]++
			}
		case op.Kind == powerloss.Rename && op.ToName == "IDENTITY":
			t.marks["identities"]++
		case op.Kind == powerloss.Rename && op.ToName == "PEERS":
			t.marks["peers noted"]++
		case op.Kind == powerloss.Rename && segments[op.Dir]:
			t.marks["tails rewritten"]++
		}
	}
	for _, l := range t.lives {
		t.marks["clean stops"] += len(l.cleans)
	}
	t.marks["lives"] = len(t.lives)
}
