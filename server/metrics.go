package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"diskv/kv"
)

// metrics are a node's numbers for Prometheus.
type metrics struct {
	registry    *prometheus.Registry
	commands    map[*kv.Spec]prometheus.Counter // of every command that there is
	syncSeconds prometheus.Histogram
	syncRecords prometheus.Histogram
	syncBytes   prometheus.Counter
}

func newMetrics(n *Node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		commands: make(map[*kv.Spec]prometheus.Counter),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "diskv_log_sync_seconds", Help: "Time of one write and sync of the log.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18),
		}),
		syncRecords: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "diskv_log_sync_records", Help: "Records made durable by one sync of the log.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		syncBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "diskv_log_written_bytes_total", Help: "Bytes appended to the log.",
		}),
	}
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "diskv_commands_total", Help: "Commands received from clients, by name.",
	}, []string{"command"})
	for _, s := range n.service.handlers().all.All() {
		m.commands[s] = commands.WithLabelValues(s.Name)
	}
	m.registry.MustRegister(commands, m.syncSeconds, m.syncRecords, m.syncBytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&statusCollector{node: n})
	return m
}

// count counts a command of a client.
func (m *metrics) count(s *kv.Spec) { m.commands[s].Inc() }

func (m *metrics) observeSync(d time.Duration, records, bytes int) {
	m.syncSeconds.Observe(d.Seconds())
	m.syncRecords.Observe(float64(records))
	m.syncBytes.Add(float64(bytes))
}

// statusCollector reads the node's status when it is asked.
type statusCollector struct{ node *Node }

// gauge is a number of the status.
type gauge struct {
	desc  *prometheus.Desc
	value func(n *Node, s *Status) float64
}

var gauges = []gauge{
	newGauge("ready", "1 if the member leads or follows a leader.", func(_ *Node, s *Status) float64 { return float64(boolInt(s.Ready)) }),
	newGauge("leading", "1 if the member is the leader.", func(n *Node, s *Status) float64 {
		return float64(boolInt(s.HasLeader && int(s.Leader) == n.opts.Index))
	}),
	newGauge("slot_commit", "Highest slot known as chosen.", func(_ *Node, s *Status) float64 { return float64(s.Commit) }),
	newGauge("slot_applied", "Highest slot applied.", func(_ *Node, s *Status) float64 { return float64(s.Applied) }),
	newGauge("slot_last", "Highest slot accepted.", func(_ *Node, s *Status) float64 { return float64(s.Last) }),
	newGauge("ballot_round", "Round of the promised ballot.", func(_ *Node, s *Status) float64 { return float64(s.Ballot.Round) }),
	newGauge("epoch", "Recovery epoch.", func(_ *Node, s *Status) float64 { return float64(s.Identity.Life.Epoch) }),
	newGauge("keys", "Keys held.", func(_ *Node, s *Status) float64 { return float64(s.Keys) }),
	newGauge("sessions", "Client sessions remembered.", func(_ *Node, s *Status) float64 { return float64(s.Sessions) }),
	newGauge("data_bytes", "Bytes of keys, values and sessions, about.", func(_ *Node, s *Status) float64 { return float64(s.Data) }),
	newGauge("config", "Number of the newest config, where there are configs.", func(_ *Node, s *Status) float64 { return float64(s.Config) }),
	newGauge("config_settled", "Newest config of which the group has every shard.", func(_ *Node, s *Status) float64 { return float64(s.Settled) }),
	newGauge("shards_served", "Shards that the group answers for.", func(_ *Node, s *Status) float64 { return float64(s.Served) }),
	newGauge("shards_awaited", "Shards that come from other groups.", func(_ *Node, s *Status) float64 { return float64(s.Awaited) }),
	newGauge("handovers_outgoing", "Configs and groups for which shards leave, or are kept that have left.", func(_ *Node, s *Status) float64 { return float64(s.Outgoing) }),
	newGauge("snapshot_bytes", "Size of the newest snapshot.", func(_ *Node, s *Status) float64 { return float64(s.Snapshot.Size) }),
	newGauge("snapshot_slot", "Slot of the newest snapshot.", func(_ *Node, s *Status) float64 { return float64(s.Snapshot.Slot) }),
	newGauge("commands_queued", "Commands that wait for a slot.", func(_ *Node, s *Status) float64 { return float64(s.Queued) }),
	newGauge("slots_undecided", "Slots proposed by this member and not applied.", func(_ *Node, s *Status) float64 { return float64(s.Undecided) }),
	newGauge("log_bytes", "Size of the log's files.", func(n *Node, _ *Status) float64 { return float64(n.logBytes()) }),
	newGauge("client_connections", "Open connections of clients.", func(n *Node, _ *Status) float64 { return float64(n.clients.count.Load()) }),
	newGauge("disk_low", "1 if writes are refused for lack of disk space.", func(n *Node, _ *Status) float64 { return float64(boolInt(n.lowDisk.Load())) }),
}

func newGauge(name, help string, value func(*Node, *Status) float64) gauge {
	return gauge{desc: prometheus.NewDesc("diskv_"+name, help, nil, nil), value: value}
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	s, err := c.node.Status()
	if err != nil {
		return
	}
	for _, g := range gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(c.node, &s))
	}
}
