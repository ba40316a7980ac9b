package server

import (
	"fmt"
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
)

// latencyHandlers are LATENCY. There are histograms of commands; events, such as Redis
// samples, there are none: what stalls diskv is its disk, whose syncs are in the metrics.
var latencyHandlers = []handler{
	container(&kv.Spec{Name: "latency", Arity: -2, Flags: kv.Admin | kv.NoScript | kv.Loading | kv.Stale, Group: "server", Since: "2.8.13",
		Complexity: "O(N) where N is the number of commands", Summary: "Describes how long commands take."}, nil,
		subcommand{name: "doctor", arity: 2, since: "2.8.13", summary: "Says where to look.", usage: []string{
			"DOCTOR", "    Return a human readable latency analysis report."},
			run: func(c *client, _ [][]byte) {
				c.reply(resp.AppendVerbatim(nil, "txt", "No events are sampled. See LATENCY HISTOGRAM for the commands and diskv_log_sync_seconds in /metrics for the disk.\n"))
			}},
		subcommand{name: "graph", arity: 3, since: "2.8.13", summary: "There are no events.", usage: []string{
			"GRAPH <event>", "    Return an ASCII latency graph for the <event> class."},
			run: func(c *client, args [][]byte) {
				c.fail(fmt.Sprintf("ERR No samples available for event '%.128s'", args[2]))
			}},
		subcommand{name: "history", arity: 3, since: "2.8.13", summary: "There are no events.", run: noEvents, usage: []string{
			"HISTORY <event>", "    Return time-latency samples for the <event> class."}},
		subcommand{name: "latest", arity: 2, since: "2.8.13", summary: "There are no events.", run: noEvents, usage: []string{
			"LATEST", "    Return the latest latency samples for all events."}},
		subcommand{name: "reset", arity: -2, since: "2.8.13", summary: "There are no events.", usage: []string{
			"RESET [<event> ...]", "    Reset latency data of one or more <event> classes.", "    (default: reset all data for all event classes)"},
			run: func(c *client, _ [][]byte) { c.out = resp.AppendInt(c.out, 0) }},
		subcommand{name: "histogram", arity: -2, since: "7.0.0", summary: "Returns how long commands took.", run: latencyHistogram, usage: []string{
			"HISTOGRAM [COMMAND ...]", "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
			"    If no commands are specified then all histograms are replied."}},
	),
}

func noEvents(c *client, _ [][]byte) { c.out = resp.AppendArray(c.out, 0) }

// latencyHistogram is LATENCY HISTOGRAM [command ...]. Times are from when a command was
// read to when its reply was there. A bucket is named by its upper end, in us.
func latencyHistogram(c *client, args [][]byte) {
	wanted := make(map[string]bool)
	for _, name := range args[2:] {
		wanted[strings.ToLower(string(name[:min(len(name), 64)]))] = true
	}
	var out []byte
	n := 0
	for r := range c.node.metrics.used {
		if r.calls() == 0 || len(wanted) > 0 && !wanted[r.spec.Name] {
			continue
		}
		n++
		var pairs []byte
		count, below := 0, uint64(0)
		for i, in := range r.latency.counts {
			if in > 0 {
				below += in
				count++
				pairs = resp.AppendInt(pairs, int64(bound(i)))
				pairs = resp.AppendInt(pairs, int64(below))
			}
		}
		out = resp.AppendBulkString(out, r.spec.Name)
		out = resp.AppendMap(out, 2)
		out = resp.AppendBulkString(out, "calls")
		out = resp.AppendInt(out, int64(r.calls()))
		out = resp.AppendBulkString(out, "histogram_usec")
		out = append(resp.AppendMap(out, count), pairs...)
	}
	c.reply(append(resp.AppendMap(nil, n), out...))
}
