package server

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The sections of INFO that are about what was counted, since the start or CONFIG
// RESETSTAT, and about what the process uses.

func okOr(ok bool) string {
	if ok {
		return "ok"
	}
	return "err"
}

// connectedPeers counts the connections to and from the other members.
func connectedPeers(n *Node) int {
	count := 0
	for _, p := range n.transport.Status() {
		count += boolInt(p.Connected) + boolInt(p.Receiving)
	}
	return count
}

// infoFollowers lists the other members as Redis lists replicas: their offset is the slot
// up to which they hold the log durably, their lag the seconds since they last answered.
func (n *Node) infoFollowers(w *strings.Builder, s Status) {
	followers := n.connectedFollowers(&s)
	field(w, "connected_slaves", len(followers))
	for at, i := range followers {
		m := s.Members[i]
		host, port := hostPort(n.peerAddr(paxosID(i)))
		state := "online"
		if m.Match < s.LogStart {
			state = "wait_bgsave"
		}
		fmt.Fprintf(w, "slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d\r\n", at, host, port, state, m.Match, int64(m.Silence.Seconds()))
	}
}

// connectedFollowers returns the members that this leader is connected to.
func (n *Node) connectedFollowers(s *Status) []int {
	var all []int
	for _, p := range s.Peers {
		if p.Connected && int(p.Peer) < len(s.Members) {
			all = append(all, int(p.Peer))
		}
	}
	return all
}

func infoStats(w *strings.Builder, n *Node, _ Status) {
	t := &n.clients.traffic
	commands := uint64(0)
	for r := range n.metrics.used {
		commands += r.calls()
	}
	field(w, "total_connections_received", t.connections.Load())
	field(w, "total_commands_processed", commands)
	field(w, "tracking_total_keys", n.tracking.numKeys.Load())
	field(w, "total_net_input_bytes", t.bytesIn.Load())
	field(w, "total_net_output_bytes", t.bytesOut.Load())
	field(w, "rejected_connections", t.rejected.Load())
	field(w, "evicted_keys", 0)
	field(w, "pubsub_channels", 0)
	field(w, "pubsub_patterns", 0)
	field(w, "total_error_replies", t.errors.Load())
	field(w, "total_reads_processed", t.reads.Load())
	field(w, "total_writes_processed", t.writes.Load())
}

func infoCPU(w *strings.Builder, _ *Node, _ Status) {
	for _, who := range []struct {
		suffix string
		who    int
	}{{"", unix.RUSAGE_SELF}, {"_children", unix.RUSAGE_CHILDREN}} {
		var u unix.Rusage
		if unix.Getrusage(who.who, &u) == nil {
			field(w, "used_cpu_sys"+who.suffix, seconds(u.Stime))
			field(w, "used_cpu_user"+who.suffix, seconds(u.Utime))
		}
	}
}

func seconds(t unix.Timeval) string { return fmt.Sprintf("%.6f", float64(t.Nano())/1e9) }

// infoCommandStats counts commands by name. Times are from when a command was read until its reply
// was there, the sync of the log included.
func infoCommandStats(w *strings.Builder, n *Node, _ Status) {
	for r := range n.metrics.used {
		us := r.time().Microseconds()
		each := 0.0
		if r.calls() > 0 {
			each = float64(r.time().Nanoseconds()) / 1e3 / float64(r.calls())
		}
		field(w, "cmdstat_"+r.spec.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			r.calls(), us, each, r.rejected, r.failed))
	}
}

func infoErrorStats(w *strings.Builder, n *Node, _ Status) {
	for code, count := range n.clients.traffic.codes {
		field(w, "errorstat_"+code, fmt.Sprintf("count=%d", count))
	}
}

func infoLatencyStats(w *strings.Builder, n *Node, _ Status) {
	for r := range n.metrics.used {
		if r.calls() > 0 {
			field(w, "latency_percentiles_usec_"+r.spec.Name, fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f",
				r.latency.quantile(0.5), r.latency.quantile(0.99), r.latency.quantile(0.999)))
		}
	}
}
