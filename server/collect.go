package server

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

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
	newGauge("shards_leaving", "Shards that the group serves until another group fetches them.", func(_ *Node, s *Status) float64 { return float64(s.Leaving) }),
	newGauge("handovers_outgoing", "Configs and groups for which shards leave, or are kept that have left.", func(_ *Node, s *Status) float64 { return float64(s.Outgoing) }),
	newGauge("boot", "How often the member was started on this disk.", func(_ *Node, s *Status) float64 { return float64(s.Identity.Boot) }),
	newGauge("members", "Members of the group.", func(_ *Node, s *Status) float64 { return float64(s.Identity.Size) }),
	newGauge("snapshot_bytes", "Size of the newest snapshot.", func(_ *Node, s *Status) float64 { return float64(s.Snapshot.Size) }),
	newGauge("snapshot_slot", "Slot of the newest snapshot.", func(_ *Node, s *Status) float64 { return float64(s.Snapshot.Slot) }),
	newGauge("commands_queued", "Commands that wait for a slot.", func(_ *Node, s *Status) float64 { return float64(s.Queued) }),
	newGauge("slots_undecided", "Slots proposed by this member and not applied.", func(_ *Node, s *Status) float64 { return float64(s.Undecided) }),
	newGauge("log_bytes", "Size of the log's files.", func(_ *Node, s *Status) float64 { return float64(s.LogSize) }),
	newGauge("client_connections", "Open connections of clients.", func(n *Node, _ *Status) float64 { return float64(n.clients.count.Load()) }),
	newGauge("disk_free_bytes", "Free space of the data directory's disk.", func(n *Node, _ *Status) float64 { return float64(n.freeDisk.Load()) }),
	newGauge("disk_low", "1 if writes are refused for lack of disk space.", func(n *Node, _ *Status) float64 { return float64(boolInt(n.lowDisk.Load())) }),
}

func newGauge(name, help string, value func(*Node, *Status) float64) gauge {
	return gauge{desc: prometheus.NewDesc("diskv_"+name, help, nil, nil), value: value}
}

var (
	buildDesc         = newDesc("build_info", "1, with the release as a label.", "version")
	electionsDesc     = newDesc("elections_total", "Elections that this member has begun.")
	leaderChangesDesc = newDesc("leader_changes_total", "How often this member saw a leader that it did not know.")
	canLoseDesc       = newDesc("can_lose_members", "On the leader: members that may still fail, machine or disk, before the group stops.")
	lagDesc           = newDesc("peer_lag_slots", "On the leader: slots that a member has yet to accept.", "peer")
	silenceDesc       = newDesc("peer_silence_seconds", "On the leader: time since a member was last heard.", "peer")
	votesDesc         = newDesc("peer_votes", "On the leader: 1 if a member votes and was heard lately.", "peer")
	connectedDesc     = newDesc("peer_connected", "1 if there is a connection to a member.", "peer")
	peerQueueDesc     = newDesc("peer_queue_bytes", "Bytes that wait to be sent to a member.", "peer")
	sentDesc          = newDesc("peer_sent_bytes_total", "Bytes sent to a member.", "peer")
	receivedDesc      = newDesc("peer_received_bytes_total", "Bytes received from a member.", "peer")
)

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
	for _, d := range []*prometheus.Desc{
		buildDesc, electionsDesc, leaderChangesDesc, canLoseDesc,
		lagDesc, silenceDesc, votesDesc, connectedDesc, peerQueueDesc, sentDesc, receivedDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(buildDesc, 1, Version)
	s, err := c.node.Status()
	if err != nil {
		return
	}
	for _, g := range gauges {
		gauge(g.desc, g.value(c.node, &s))
	}
	counter(electionsDesc, s.Elections)
	counter(leaderChangesDesc, s.LeaderChanges)
	if o := outlookOf(&s, ""); o.CanLose != nil {
		gauge(canLoseDesc, float64(*o.CanLose))
	}
	for i, m := range s.Members {
		if i != int(s.Identity.Index) {
			peer := strconv.Itoa(i)
			if lag, known := s.lagOf(i); known {
				gauge(lagDesc, float64(lag), peer)
			}
			gauge(silenceDesc, m.Silence.Seconds(), peer)
			gauge(votesDesc, float64(boolInt(s.Disks[i].Votes)), peer)
		}
	}
	for _, p := range s.Peers {
		peer := strconv.Itoa(int(p.Peer))
		gauge(connectedDesc, float64(boolInt(p.Connected)), peer)
		gauge(peerQueueDesc, float64(p.QueuedBytes), peer)
		counter(sentDesc, p.SentBytes, peer)
		counter(receivedDesc, p.ReceivedBytes, peer)
	}
}

// countCollector shows what is counted.
type countCollector struct{ m *metrics }

var (
	syncTimeDesc    = newDesc("log_sync_seconds", "Time of one write and sync of the log.")
	syncRecordsDesc = newDesc("log_sync_records", "Records made durable by one sync of the log.")
	slowSyncsDesc   = newDesc("log_slow_syncs_total", "Writes and syncs of the log that took longer than --slow-sync.")
	logWrittenDesc  = newDesc("log_written_bytes_total", "Bytes appended to the log.")

	commitTimeDesc    = newDesc("commit_seconds", "Time of a batch of the leader's from its proposal until it is chosen, durable here and applied.")
	batchCommandsDesc = newDesc("batch_commands", "Commands in a batch that the leader has had chosen.")
	batchBytesDesc    = newDesc("batch_bytes", "Size of the commands in a batch that the leader has had chosen.")

	commandsDesc     = newDesc("commands_total", "Commands answered, by name.", "command")
	failedDesc       = newDesc("command_failures_total", "Commands that were executed, or may have been, and answered with an error.", "command")
	rejectedDesc     = newDesc("command_rejections_total", "Commands that were answered with an error and not executed: not used rightly, sent elsewhere, no leader.", "command")
	commandTimesDesc = newDesc("command_seconds", "Time from a command that was read to its reply, of those that were executed.", "command")
)

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("diskv_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c countCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		syncTimeDesc, syncRecordsDesc, slowSyncsDesc, logWrittenDesc, commitTimeDesc, batchCommandsDesc, batchBytesDesc,
		commandsDesc, failedDesc, rejectedDesc, commandTimesDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c countCollector) Collect(ch chan<- prometheus.Metric) {
	m := c.m
	histogram := func(desc *prometheus.Desc, h *histogram, r bucketRange) {
		d := h.read()
		ch <- d.metric(desc, r)
	}
	counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	histogram(syncTimeDesc, &m.syncTime, fineTimes)
	histogram(syncRecordsDesc, &m.syncRecords, numbers)
	counter(slowSyncsDesc, m.slowSyncs.Load())
	counter(logWrittenDesc, m.logWritten.Load())
	histogram(commitTimeDesc, &m.commitTime, fineTimes)
	histogram(batchCommandsDesc, &m.batchCommands, numbers)
	histogram(batchBytesDesc, &m.batchBytes, sizes)
	for _, s := range m.commands {
		r := s.read()
		counter(commandsDesc, r.calls()+r.rejected, s.spec.Name)
		counter(failedDesc, r.failed, s.spec.Name)
		counter(rejectedDesc, r.rejected, s.spec.Name)
		if r.calls() > 0 { // else many buckets of nothing
			ch <- r.latency.metric(commandTimesDesc, coarseTimes, s.spec.Name)
		}
	}
}
