package crashreplay

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"
)

// checks checks the keys that are closed, while the run goes on.
type checks struct {
	r       *run
	sealed  chan *page
	workers sync.WaitGroup

	mu        sync.Mutex
	keys      []string          // those that are kept, the oldest first
	texts     map[string]string // what a key held when it was closed, if that cannot change any more
	histories map[string][]Op   // of the other keys: something without an answer may yet happen
	late      []*page           // undecided at first
	undecided int
	checked   int // keys
	audited   int // reads of closed keys
}

const (
	checkers = 3
	// checkPatience is how long porcupine may take for a key while the run goes on, and
	// latePatience when it is over.
	checkPatience = 10 * time.Second
	latePatience  = 2 * time.Minute
	auditEvery    = 20 * time.Millisecond
	sweepers      = 8
	// maxKept is how many closed keys there are at most. The oldest are read for the last time
	// and deleted, so that what members hold does not grow with the length of a run.
	maxKept = 20_000
	// auditor is the client number of what reads closed keys.
	auditor = 2000
)

func startChecks(r *run) *checks {
	c := &checks{r: r, sealed: make(chan *page, 4096), texts: make(map[string]string), histories: make(map[string][]Op)}
	for range checkers {
		c.workers.Go(func() {
			for p := range c.sealed {
				c.check(p)
			}
		})
	}
	return c
}

// read reads a closed key, until it is answered or the run ends.
func (r *run) read(ctx context.Context, key string) (Op, error) {
	for {
		o := Op{Key: key, Client: auditor, Verb: Get, Call: r.now()}
		err := r.do(ctx, &o)
		o.Return = r.now()
		if err != nil || o.Outcome == OK {
			r.history.add(o)
			return o, err
		}
		if ctx.Err() != nil {
			return o, ctx.Err()
		}
	}
}

// check reads a page that was closed for the last time, and checks its history.
func (c *checks) check(p *page) {
	o, err := c.r.read(c.r.ctx, p.key)
	if err != nil {
		return // the run ends
	}
	p.ops = append(p.ops, o)
	found, undecided := CheckKey(p.ops, checkPatience)
	if found != nil {
		c.r.violate(Violation{Kind: "history", Text: "key " + found.Key + ": " + found.Text, Finding: found})
		return
	}
	if oldest := c.keep(p, o, undecided); oldest != "" {
		c.retire(oldest)
	}
}

// keep keeps a page that was checked, with the last read of it. It returns a key that is to
// be retired, or nothing.
func (c *checks) keep(p *page, o Op, undecided bool) (oldest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked++
	c.keys = append(c.keys, p.key)
	if undecided {
		c.late = append(c.late, p)
	}
	if p.unknown > 0 {
		c.histories[p.key] = p.ops
	} else {
		c.texts[p.key] = held(o)
	}
	if len(c.keys) > maxKept {
		oldest = c.keys[0]
		c.keys = c.keys[1:]
	}
	return oldest
}

// retire reads a key for the last time and deletes it.
func (c *checks) retire(key string) {
	c.look(c.r.ctx, key)
	c.mu.Lock()
	delete(c.texts, key)
	delete(c.histories, key)
	c.mu.Unlock()
	// Whether it is deleted matters to nobody: it is not looked at again.
	o := Op{Key: key, Client: auditor, Verb: Delete, Call: c.r.now()}
	_ = c.r.do(c.r.ctx, &o)
	o.Return = c.r.now()
	c.r.history.add(o)
}

// held is what a read found.
func held(o Op) string {
	if o.Null {
		return "nothing"
	}
	return "value " + o.Text
}

// look reads a closed key once more.
func (c *checks) look(ctx context.Context, key string) {
	o, err := c.r.read(ctx, key)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.audited++
	if want, ok := c.texts[key]; ok {
		if held(o) != want {
			c.violateLost(o)
		}
		return
	}
	if c.histories[key] == nil {
		return // it was retired meanwhile
	}
	c.histories[key] = append(c.histories[key], o)
	ops := append([]Op(nil), c.histories[key]...)
	if found, _ := CheckKey(ops, checkPatience); found != nil {
		c.r.violate(Violation{Kind: "history", Text: "key " + found.Key + ": " + found.Text, Finding: found})
	}
}

// violateLost ends the run: a key holds something else than when it was closed. What
// was done to it is in the history.
func (c *checks) violateLost(o Op) {
	var ops []Op
	err := c.r.history.flush()
	if err == nil {
		err = ReadHistory(filepath.Join(c.r.o.Dir, historyName), func(h Op) error {
			if h.Key == o.Key {
				ops = append(ops, h)
			}
			return nil
		})
	}
	text := "key " + o.Key + " was closed with " + c.texts[o.Key] + " and has " + held(o) + " later"
	if err != nil {
		text = errors.Join(errors.New(text), err).Error()
	}
	c.r.violate(Violation{Kind: "lost data", Text: text, Finding: &Finding{Key: o.Key, Text: text, Ops: ops}})
}

// audit reads closed keys at random until ctx ends.
func (r *run) audit(ctx context.Context) {
	chance := rand.New(rand.NewPCG(r.o.Seed, auditor))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(auditEvery):
		}
		r.checks.mu.Lock()
		key := ""
		if n := len(r.checks.keys); n > 0 {
			key = r.checks.keys[chance.IntN(n)]
		}
		r.checks.mu.Unlock()
		if key != "" {
			r.checks.look(ctx, key)
		}
	}
}

// finish checks what is left when the clients have ended, and reads every key once more.
func (c *checks) finish(ctx context.Context) {
	close(c.sealed)
	c.workers.Wait()
	if ctx.Err() != nil {
		return
	}
	c.r.say("%d keys are closed; reading all of them again", len(c.keys))
	keys := make(chan string)
	var reading sync.WaitGroup
	for range sweepers {
		reading.Go(func() {
			for k := range keys {
				c.look(ctx, k)
			}
		})
	}
	for _, k := range append([]string(nil), c.keys...) {
		keys <- k
	}
	close(keys)
	reading.Wait()
	for _, p := range c.late {
		if ctx.Err() != nil {
			return
		}
		found, undecided := CheckKey(p.ops, latePatience)
		if found != nil {
			c.r.violate(Violation{Kind: "history", Text: "key " + found.Key + ": " + found.Text, Finding: found})
		}
		if undecided {
			c.undecided++
		}
	}
}
