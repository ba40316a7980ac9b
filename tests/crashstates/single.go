package crashstates

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"diskv/server"
	"diskv/tests/faultfs"
	"diskv/tests/proc"
)

// perRound is how many commands each writer sends in a round.
const perRound = 40

// syncDelay keeps every sync under way for long enough that a position, taken when an
// answer arrives, is surely before the end of the next one: an answer that left too
// early is found.
const syncDelay = 300 * time.Microsecond

// version is a content of a key.
type version struct {
	value       string
	absent      bool
	sent, acked int // positions; what was not answered has none, -1
}

// writer sends commands about one key, one after the other, each of which makes a
// version of it.
type writer struct {
	key      string
	session  string // empty: outside of sessions
	versions []version
	next     func(n int, v version) (command []string, after version)
	found    map[string][]int // versions by content, "" for none
}

// appends are a session's: number n adds "n ".
func appends(key string) *writer {
	return &writer{key: key, next: func(n int, v version) ([]string, version) {
		item := fmt.Sprint(n, " ")
		return []string{"APPEND", key, item}, version{value: v.value + item}
	}}
}

// registers are values of many lengths, written over and deleted.
func registers(key string, longest int) *writer {
	return &writer{key: key, next: func(n int, _ version) ([]string, version) {
		if n%7 == 6 {
			return []string{"DEL", key}, version{absent: true}
		}
		value := fmt.Sprintf("%s %d %s", key, n, strings.Repeat(string(rune('a'+n%26)), n*397%longest))
		return []string{"SET", key, value}, version{value: value}
	}}
}

// single is the workload of a single node.
type single struct {
	fs      *faultfs.FS
	writers []*writer
}

func runSingle(ctx context.Context, o Options, dir string) (t *trace, err error) {
	mount := filepath.Join(dir, "disk")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return nil, err
	}
	w := &single{writers: []*writer{
		appends("a0"), appends("a1"), appends("a2"), registers("small", 300), registers("large", 4000),
	}}
	if w.fs, err = faultfs.Mount(mount, faultfs.Options{Record: true}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.fs.Unmount()) }()
	w.fs.Fault(faultfs.Fault{Op: faultfs.OpSync | faultfs.OpSyncDir, Delay: syncDelay})

	l := life{name: "single", dir: "data", options: options()}
	at := l.options
	at.Dir, at.Listen = filepath.Join(mount, l.dir), "unix:"+filepath.Join(dir, "node")
	for i := range o.Rounds {
		if err := w.round(ctx, at, 0); err != nil {
			return nil, err
		}
		l.cleans = append(l.cleans, w.fs.Position())
		if err := w.round(ctx, at, 1+o.Seed*uint64(o.Rounds)+uint64(i)); err != nil {
			return nil, err
		}
	}
	t = &trace{recording: w.fs.Recorded(), lives: []life{l}, recover: w.recover}
	for _, x := range w.writers {
		x.index()
		t.acks += len(x.versions) - 1
	}
	t.note()
	return t, nil
}

// round starts the node and has every writer write. Then it stops the node, or, with a
// seed for that, cuts the power while they write.
func (w *single) round(ctx context.Context, o server.Options, cut uint64) error {
	n, err := start(o)
	if err != nil {
		return err
	}
	if err := n.ready(); err != nil {
		return errors.Join(err, n.stop())
	}
	begun := w.fs.Position()
	errs := make([]error, len(w.writers))
	var wg sync.WaitGroup
	for i, x := range w.writers {
		wg.Go(func() { errs[i] = x.write(ctx, o.Listen, w.fs.Position) })
	}
	if cut != 0 {
		// About half of what they write takes so many operations.
		err := await("there is something to lose", func() (bool, error) { return w.fs.Position() > begun+perRound+int(cut%17), nil })
		w.fs.PowerCut(cut)
		wg.Wait()
		_ = n.stop() // it has failed
		w.fs.PowerOn()
		return err
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), n.stop())
}

// write sends the commands of a round, until one fails. One of a session whose answer
// has not come is sent again first.
func (x *writer) write(ctx context.Context, addr string, position func() int) error {
	c, err := proc.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if len(x.versions) == 0 {
		x.versions = []version{{absent: true, sent: -1, acked: 0}}
		if x.key[0] == 'a' {
			v, err := c.Do("DISKV.SESSION")
			if err != nil {
				return err
			}
			x.session = string(v.Str)
		}
	}
	if n := len(x.versions) - 1; x.versions[n].acked < 0 && x.session != "" {
		if err := x.again(c, n); err != nil {
			return err
		}
		x.versions[n].acked = position()
	}
	for range perRound {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := len(x.versions)
		command, after := x.next(n, x.versions[n-1])
		after.sent, after.acked = position(), -1
		x.versions = append(x.versions, after)
		if _, err := c.Do(x.once(n, command)...); err != nil {
			return fmt.Errorf("%v: %w", command[:2], err)
		}
		x.versions[n].acked = position()
	}
	return nil
}

// once puts a command into the writer's session, if it has one.
func (x *writer) once(n int, command []string) []string {
	if x.session == "" {
		return command
	}
	return slices.Concat([]string{"DISKV.ONCE", x.key, x.session, fmt.Sprint(n)}, command)
}

// index prepares to find versions by content.
func (x *writer) index() {
	x.found = map[string][]int{}
	for i, v := range x.versions {
		x.found[v.value] = append(x.found[v.value], i)
	}
}

// singleSeen is which versions the keys may have, by writer.
type singleSeen struct {
	w        *single
	versions [][]int
	clean    bool // nothing was to be repaired
}

// recover starts a node on a directory and asks for everything.
func (w *single) recover(l *life, dir, socket string) (observation, error) {
	seen := &singleSeen{w: w, clean: asStopped(dir)}
	o := l.options
	o.Dir, o.Listen = dir, "unix:"+socket
	n, err := start(o)
	if err != nil {
		return nil, err
	}
	err = n.ready()
	if err == nil {
		err = w.ask(o.Listen, seen)
	}
	if err := errors.Join(err, n.stop()); err != nil {
		return nil, err
	}
	if !asStopped(dir) {
		return nil, errors.New("a clean stop behind the recovery leaves a log that is to be repaired")
	}
	return seen, nil
}

func (w *single) ask(addr string, seen *singleSeen) error {
	c, err := proc.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	keys := 0
	for _, x := range w.writers {
		v, err := c.Do("GET", x.key)
		if err != nil {
			return err
		}
		if !v.IsNull() {
			keys++
		}
		versions := x.found[string(v.Str)]
		if len(versions) == 0 {
			return fmt.Errorf("key %s has a value that it was never given: %.100q", x.key, v.Str)
		}
		seen.versions = append(seen.versions, versions)
		if n := versions[0]; x.session != "" && n > 0 {
			if err := x.again(c, n); err != nil {
				return err
			}
		}
	}
	v, err := c.Do("DBSIZE")
	if err == nil && v.Int != int64(keys) {
		return fmt.Errorf("there are %d keys, and not %d: some were never written", v.Int, keys)
	}
	return err
}

// again sends the last operation of a session that was executed once more.
func (x *writer) again(c *proc.Conn, n int) error {
	command, _ := x.next(n, x.versions[n-1])
	v, err := c.Do(x.once(n, command)...)
	if err != nil {
		return fmt.Errorf("operation %d of the session of %s, again: %w", n, x.key, err)
	}
	if want := len(x.versions[n].value); v.Int != int64(want) {
		return fmt.Errorf("operation %d of the session of %s, again: the answer is %d, it was %d", n, x.key, v.Int, want)
	}
	return nil
}

func (s *singleSeen) check(l *life, prefix int) error {
	if slices.Contains(l.cleans, prefix) && !s.clean {
		return errors.New("behind a clean stop the log is to be repaired")
	}
	for i, x := range s.w.writers {
		low, high := 0, 0
		for j, v := range x.versions {
			if v.acked >= 0 && v.acked <= prefix {
				low = j
			}
			if v.sent < prefix {
				high = j
			}
		}
		ok := slices.ContainsFunc(s.versions[i], func(n int) bool { return low <= n && n <= high })
		if !ok {
			return fmt.Errorf("key %s has version %v: %d versions were acknowledged, %d sent", x.key, s.versions[i], low, high)
		}
	}
	return nil
}
