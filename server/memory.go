package server

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diskv/internal/resp"
	"diskv/kv"
)

// memoryHandlers are MEMORY.
var memoryHandlers = []handler{
	container(&kv.Spec{Name: "memory", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "O(1)",
		Summary: "Describes what memory is used for."}, nil,
		subcommand{name: "doctor", arity: 2, since: "4.0.0", summary: "Says in words what is wrong with the memory.", run: memoryDoctor, usage: []string{
			"DOCTOR", "    Return memory problems reports."}},
		subcommand{name: "malloc-stats", arity: 2, since: "4.0.0", summary: "Describes the allocator, which is that of Go.", run: memoryMallocStats, usage: []string{
			"MALLOC-STATS", "    Return internal statistics report from the memory allocator."}},
		subcommand{name: "purge", arity: 2, since: "4.0.0", summary: "Gives memory that is not used back to the system.", run: memoryPurge, usage: []string{
			"PURGE", "    Attempt to purge dirty pages for reclamation by the allocator."}},
		subcommand{name: "stats", arity: 2, since: "4.0.0", summary: "Describes what memory is used for in numbers.", run: memoryStats, usage: []string{
			"STATS", "    Return information about the memory usage of the server."}},
		subcommand{name: "usage", arity: -3, since: "4.0.0", summary: "Returns what memory a key takes.", usage: []string{
			"USAGE <key> [SAMPLES <count>]", "    Return memory in bytes used by <key> and its value. Nested values are",
			"    sampled up to <count> times (default: 5, 0 means sample all)."},
			run: noKeys},
	),
}

// memory is what the process has of the system.
type memory struct {
	heap     uint64 // bytes of objects that are used, or were and are not collected
	runtime  uint64 // held by Go, the heap included
	resident uint64 // in RAM, as the system counts it
	peak     uint64 // most of that so far
}

func readMemory() memory {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	out := memory{heap: m.HeapAlloc, runtime: m.Sys - m.HeapReleased, resident: m.Sys - m.HeapReleased}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			if pages, err := strconv.ParseUint(f[1], 10, 64); err == nil {
				out.resident = pages * uint64(os.Getpagesize())
			}
		}
	}
	out.peak = out.resident
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		out.peak = max(out.peak, uint64(usage.Maxrss)<<10)
	}
	return out
}

// human writes a number of bytes as INFO does.
func human(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%dB", n)
	}
	for i, unit := range "KMGTP" {
		if n < 1<<(10*(i+2)) || unit == 'P' {
			return fmt.Sprintf("%.2f%c", float64(n)/float64(uint64(1)<<(10*(i+1))), unit)
		}
	}
	return ""
}

func memoryDoctor(c *client, _ [][]byte) {
	st, err := c.node.Status()
	if err != nil {
		c.fail("ERR " + err.Error())
		return
	}
	m := readMemory()
	text := "Nothing stands out: "
	if data := uint64(st.Data); data > 64<<20 && m.resident > 4*data {
		text = "The process holds far more than its data. MEMORY PURGE gives back what is free; clients that ask for many large values at once are a usual cause: "
	}
	c.reply(resp.AppendVerbatim(nil, "txt", text+fmt.Sprintf("%s of data, %s used, %s resident.\n", human(uint64(st.Data)), human(m.heap), human(m.resident))))
}

func memoryMallocStats(c *client, _ [][]byte) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.reply(resp.AppendVerbatim(nil, "txt", fmt.Sprintf(
		"Go %s\nheap: %d in use, %d idle, %d released, %d objects\nstacks: %d\ncollections: %d, paused for %d ns in all\n",
		runtime.Version(), m.HeapInuse, m.HeapIdle, m.HeapReleased, m.HeapObjects, m.StackInuse, m.NumGC, m.PauseTotalNs)))
}

func memoryPurge(c *client, _ [][]byte) {
	debug.FreeOSMemory()
	c.ok()
}

// memoryStats is MEMORY STATS: of the fields of Redis those that have a meaning here.
func memoryStats(c *client, _ [][]byte) {
	st, err := c.node.Status()
	if err != nil {
		c.fail("ERR " + err.Error())
		return
	}
	m := readMemory()
	perKey := int64(0)
	if st.Keys > 0 {
		perKey = st.Data / int64(st.Keys)
	}
	fields := []struct {
		name  string
		value int64
	}{
		{"peak.allocated", int64(m.peak)},
		{"total.allocated", int64(m.heap)},
		{"keys.count", int64(st.Keys)},
		{"keys.bytes-per-key", perKey},
		{"dataset.bytes", st.Data},
		{"allocator.allocated", int64(m.heap)},
		{"allocator.active", int64(m.runtime)},
		{"allocator.resident", int64(m.resident)},
	}
	out := resp.AppendMap(nil, len(fields))
	for _, f := range fields {
		out = resp.AppendBulkString(out, f.name)
		out = resp.AppendInt(out, f.value)
	}
	c.reply(out)
}
