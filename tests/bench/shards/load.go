package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diskv/internal/resp"
	"diskv/shard"
	"diskv/tests/proc"
)

// tags returns one hash tag for each shard from first up to, not including, end.
func tags(first, end int) []string {
	out := make([]string, end-first)
	for n, left := 0, end-first; left > 0; n++ {
		tag := "{" + strconv.Itoa(n) + "}"
		if id := int(shard.Of([]byte(tag))); id >= first && id < end && out[id-first] == "" {
			out[id-first] = tag
			left--
		}
	}
	return out
}

// tagOf returns a hash tag of some shard from first up to, not including, end.
func tagOf(first, end int) string { return tags(first, end)[0] }

// pipelined is how many commands fill sends at a time.
const pipelined = 500

// fill writes keys, spread over shards, with a few connections.
func fill(g *proc.Group, keys, value, first, end int) error {
	all := tags(first, end)
	return fillKeys(g, keys, strings.Repeat("x", value), func(n int) string { return all[n%len(all)] + strconv.Itoa(n) })
}

// fillTag writes so many bytes of values under one tag.
func fillTag(g *proc.Group, tag string, bytes, value int) error {
	return fillKeys(g, bytes/value, strings.Repeat("x", value), func(n int) string { return tag + strconv.Itoa(n) })
}

func fillKeys(g *proc.Group, keys int, value string, key func(n int) string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	leader, err := g.Leader(ctx)
	if err != nil {
		return err
	}
	const writers = 4
	errs := make([]error, writers)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			errs[w] = func() error {
				c, err := leader.Dial()
				if err != nil {
					return err
				}
				defer c.Close()
				c.Timeout = time.Minute
				for n := w; n < keys; {
					var raw []byte
					sent := 0
					for ; n < keys && sent < pipelined; n += writers {
						raw = resp.AppendCommand(raw, []byte("SET"), []byte(key(n)), []byte(value))
						sent++
					}
					if err := c.SendRaw(string(raw), sent); err != nil {
						return err
					}
					for range sent {
						v, err := c.Receive()
						if err == nil {
							err = v.Err()
						}
						if err != nil {
							return fmt.Errorf("fill: %w", err)
						}
					}
				}
				return nil
			}()
		})
	}
	writing.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// load writes to a group, with closed-loop clients, until it is stopped.
type load struct {
	done    atomic.Int64
	end     chan struct{}
	clients sync.WaitGroup
	mu      sync.Mutex
	err     error
}

func startLoad(g *proc.Group, clients, value, first, end int) *load {
	l := &load{end: make(chan struct{})}
	all, text := tags(first, end), strings.Repeat("y", value)
	for c := range clients {
		l.clients.Go(func() {
			r := g.Router()
			defer r.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for n := c; ; n += clients {
				select {
				case <-l.end:
					return
				default:
				}
				if _, err := r.Read(ctx, "SET", all[n%len(all)]+strconv.Itoa(n%100_000), text); err != nil {
					l.mu.Lock()
					l.err = err
					l.mu.Unlock()
					return
				}
				l.done.Add(1)
			}
		})
	}
	return l
}

// rate measures for a while how many writes there are in a second.
func (l *load) rate(ctx context.Context, d time.Duration) (float64, error) {
	from, begun := l.done.Load(), time.Now()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(d):
	}
	return float64(l.done.Load()-from) / time.Since(begun).Seconds(), l.failure()
}

func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *load) stop() {
	close(l.end)
	l.clients.Wait()
}

// writer writes one key again and again, and knows the longest time between two
// answers.
type writer struct {
	end     chan struct{}
	ended   chan struct{}
	longest time.Duration
	err     error
}

func startWriter(g *proc.Group, tag string) *writer {
	w := &writer{end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		r := g.Router()
		defer r.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		last := time.Now()
		for {
			select {
			case <-w.end:
				return
			default:
			}
			if _, err := r.Read(ctx, "SET", tag+"probe", "x"); err != nil {
				w.err = err
				return
			}
			now := time.Now()
			w.longest = max(w.longest, now.Sub(last))
			last = now
		}
	}()
	return w
}

func (w *writer) stop() (time.Duration, error) {
	close(w.end)
	<-w.ended
	return w.longest, w.err
}
