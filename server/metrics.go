package server

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"diskv/kv"
	"diskv/replica"
)

// metrics are a node's numbers: for Prometheus, the status page and INFO. Whoever does
// something notes it here; to note something is a few atomic additions.
type metrics struct {
	registry *prometheus.Registry
	started  time.Time // of the node
	table    *kv.Table
	commands map[*kv.Spec]*commandStats // of every command that there is

	syncTime    histogram // of one write and sync of the log
	syncRecords histogram // that became durable by one
	logWritten  atomic.Uint64
	slowSync    time.Duration // 0: none is slow
	slowSyncs   atomic.Uint64

	commitTime    histogram // of own batches, from proposed to applied
	batchCommands histogram
	batchBytes    histogram
}

// commandStats are the counts of one command.
type commandStats struct {
	spec     *kv.Spec
	latency  histogram     // of those that were executed, until the reply is there
	failed   atomic.Uint64 // of those: answered with an error
	rejected atomic.Uint64 // answered with an error and certainly not executed

	zero atomic.Pointer[commandReading] // what INFO subtracts
}

func newMetrics(n *Node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), started: n.started, slowSync: n.opts.SlowSync,
		table: n.service.handlers().all, commands: make(map[*kv.Spec]*commandStats),
	}
	for _, s := range m.table.All() {
		m.commands[s] = &commandStats{spec: s}
	}
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&statusCollector{node: n}, countCollector{m})
	return m
}

// counting is a command of a client that is being executed. The zero value counts
// nothing.
type counting struct {
	stats *commandStats
	m     *metrics
	begun time.Duration // since the node was started
}

// begin notes that a command is begun. Exactly one of done and rejected is to follow.
func (m *metrics) begin(s *kv.Spec) counting {
	stats, ok := m.commands[s]
	if !ok {
		// Its subcommands are the server's and the state machine's: the table has one of both.
		all, _ := m.table.Lookup([]byte(s.Name))
		stats = m.commands[all]
	}
	return counting{stats: stats, m: m, begun: time.Since(m.started)}
}

// done notes that the reply is there.
func (c counting) done(failed bool) {
	if c.stats != nil {
		c.doneAt(time.Since(c.m.started), failed)
	}
}

// doneAt is done of one of several commands whose replies came at the same time, since
// the node was started.
func (c counting) doneAt(now time.Duration, failed bool) {
	if c.stats == nil {
		return
	}
	c.stats.latency.observeTime(now - c.begun)
	if failed {
		c.stats.failed.Add(1)
	}
}

// rejected notes that the command is refused and was not executed.
func (c counting) rejected() {
	if c.stats != nil {
		c.stats.rejected.Add(1)
	}
}

// refused notes that a command was not used rightly, if there is one of that name.
func (m *metrics) refused(name []byte) {
	if s, ok := m.table.Lookup(name); ok {
		m.commands[s].rejected.Add(1)
	}
}

// commandReading is what is known of one command at one time.
type commandReading struct {
	spec             *kv.Spec
	latency          distribution // of calls
	failed, rejected uint64
}

// calls is how often the command was executed.
func (r *commandReading) calls() uint64 { return r.latency.count }

// time is how long all of the calls took together.
func (r *commandReading) time() time.Duration { return time.Duration(r.latency.sum) }

// read reads the counts of one command.
func (s *commandStats) read() commandReading {
	return commandReading{spec: s.spec, latency: s.latency.read(), failed: s.failed.Load(), rejected: s.rejected.Load()}
}

// reset has used count from zero. Prometheus' counters go on.
func (m *metrics) reset() {
	for _, s := range m.commands {
		r := s.read()
		s.zero.Store(&r)
	}
}

// used calls yield with the counts of every command that was tried since the last
// reset, by name.
func (m *metrics) used(yield func(r commandReading) bool) {
	for _, spec := range m.table.All() {
		s := m.commands[spec]
		r := s.read()
		if zero := s.zero.Load(); zero != nil {
			r.latency = r.latency.since(&zero.latency)
			r.failed -= zero.failed
			r.rejected -= zero.rejected
		}
		if r.calls()+r.rejected > 0 && !yield(r) {
			return
		}
	}
}

// observeDecided notes batches of this member that were applied.
func (m *metrics) observeDecided(batches []replica.Decided) {
	if len(batches) == 0 {
		return
	}
	now := time.Since(m.started)
	for _, b := range batches {
		m.commitTime.observeTime(now - b.Proposed)
		m.batchCommands.observe(uint64(b.Commands))
		m.batchBytes.observe(uint64(b.Bytes))
	}
}

// observeSync notes a write and sync of the log.
func (m *metrics) observeSync(d time.Duration, records, bytes int) {
	m.syncTime.observeTime(d)
	m.syncRecords.observe(uint64(records))
	m.logWritten.Add(uint64(bytes))
	if m.slowSync > 0 && d > m.slowSync {
		m.slowSyncs.Add(1)
	}
}
