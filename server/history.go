package server

import (
	"math"
	"sync"
	"time"

	"diskv/kv"
)

const (
	// sampleInterval is how often a sample is taken.
	sampleInterval = time.Second
	// samplesKept are five minutes.
	samplesKept = 300
)

// history takes a sample of a node's numbers every second, for the charts of the status
// page, and has the syncs of the log judged.
type history struct {
	node *Node
	slow slowSyncs
	last reading

	mu      sync.Mutex
	samples []sample // oldest first
}

// sample is what happened in one second. Rates are for each second.
type sample struct {
	Time     int64    `json:"time"`     // when it ended, in ms since the Unix epoch
	Reads    float64  `json:"reads"`    // commands of clients that read keys
	Writes   float64  `json:"writes"`   // commands of clients that write keys
	Errors   float64  `json:"errors"`   // commands of clients answered with an error
	Commands *summary `json:"commands"` // seconds of commands of clients; null: there were none
	Syncs    float64  `json:"syncs"`
	Sync     *summary `json:"sync"`    // seconds of syncs of the log
	Commit   *summary `json:"commit"`  // seconds of batches that this leader had chosen
	Batch    *summary `json:"batch"`   // commands in them
	Lag      *uint64  `json:"lag"`     // slots that the follower that is last has yet to accept; null: not known here
	Clients  int64    `json:"clients"` // connections, at the end
}

// summary is two quantiles of what happened in one second.
type summary struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// up rounds a summary of whole numbers: a bucket holds what is not above its bound.
func (s *summary) up() *summary {
	if s != nil {
		s.P50, s.P99 = math.Ceil(s.P50), math.Ceil(s.P99)
	}
	return s
}

// reading is everything that was counted up to a time.
type reading struct {
	at                           time.Time
	reads, writes, errors        uint64
	commands, sync, commit, size distribution
}

func newHistory(n *Node) *history { return &history{node: n} }

// read reads the counters.
func (m *metrics) read(now time.Time) reading {
	r := reading{at: now, sync: m.syncTime.read(), commit: m.commitTime.read(), size: m.batchCommands.read()}
	for spec, s := range m.commands {
		c := s.read()
		if c.calls()+c.rejected == 0 {
			continue
		}
		r.commands.add(&c.latency)
		r.errors += c.failed + c.rejected
		switch {
		case spec.IsWrite():
			r.writes += c.calls()
		case spec.Flags&kv.ReadOnly != 0:
			r.reads += c.calls()
		}
	}
	return r
}

// since returns what happened since an earlier reading.
func (r *reading) since(before *reading) sample {
	span := r.at.Sub(before.at).Seconds()
	rate := func(now, then uint64) float64 { return float64(now-then) / span }
	summarize := func(now, then *distribution, unit float64) *summary {
		d := now.since(then)
		if d.count == 0 {
			return nil
		}
		return &summary{P50: d.quantile(0.5) / unit, P99: d.quantile(0.99) / unit}
	}
	return sample{
		Time:  r.at.UnixMilli(),
		Reads: rate(r.reads, before.reads), Writes: rate(r.writes, before.writes), Errors: rate(r.errors, before.errors),
		Commands: summarize(&r.commands, &before.commands, 1e6),
		Syncs:    rate(r.sync.count, before.sync.count), Sync: summarize(&r.sync, &before.sync, 1e6),
		Commit: summarize(&r.commit, &before.commit, 1e6), Batch: summarize(&r.size, &before.size, 1).up(),
	}
}

// record goes on until the node ends.
func (h *history) record() {
	n := h.node
	h.slow.limit, h.slow.dir, h.slow.logger = n.opts.SlowSync, n.dir.walPath(), n.logger
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	h.last = n.metrics.read(time.Now())
	for {
		h.slow.look(time.Now(), n.metrics.syncTime.read(), n.metrics.slowSyncs.Load())
		select {
		case <-ticker.C:
		case <-n.ended:
			return
		}
		if n.http == nil {
			continue // nobody can ask
		}
		if s, err := n.Status(); err == nil {
			h.take(time.Now(), &s)
		}
	}
}

// take takes a sample.
func (h *history) take(now time.Time, s *Status) {
	r := h.node.metrics.read(now)
	next := r.since(&h.last)
	h.last = r
	next.Clients = h.node.clients.count.Load()
	for i := range s.Members {
		if lag, known := s.lagOf(i); known && (next.Lag == nil || *next.Lag < lag) {
			next.Lag = &lag
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == samplesKept {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:samplesKept-1]
	}
	h.samples = append(h.samples, next)
}

// after returns the samples that were taken after a time, in ms since the Unix epoch.
func (h *history) after(ms int64) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []sample{} // an empty list in JSON
	for _, s := range h.samples {
		if s.Time > ms {
			out = append(out, s)
		}
	}
	return out
}
