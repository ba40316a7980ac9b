package server

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
)

// slowlogHandlers are SLOWLOG.
var slowlogHandlers = []handler{
	container(&kv.Spec{Name: "slowlog", Arity: -2, Flags: kv.Admin | kv.Loading | kv.Stale, Group: "server", Since: "2.2.12",
		Complexity: "O(N) where N is the number of entries", Summary: "Shows commands that took long."}, nil,
		subcommand{name: "get", arity: -2, since: "2.2.12", summary: "Shows the newest entries.", run: slowlogGet, usage: []string{
			"GET [<count>]", "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
			"    Entries are made of:", "    id, timestamp, time in microseconds, arguments array, client IP and port,", "    client name"}},
		subcommand{name: "len", arity: 2, since: "2.2.12", summary: "Counts the entries.", run: slowlogLen, usage: []string{
			"LEN", "    Return the length of the slowlog."}},
		subcommand{name: "reset", arity: 2, since: "2.2.12", summary: "Drops the entries.", run: slowlogReset, usage: []string{
			"RESET", "    Reset the slowlog."}},
	),
}

// slowlog remembers commands of clients that took long: from when they were read until
// their reply was there, the sync of the log and the other members included. Those of one
// pipeline that are executed together take equally long.
type slowlog struct {
	threshold atomic.Int64 // us; -1: none is remembered
	most      atomic.Int64 // entries

	mu      sync.Mutex
	next    int64       // id
	entries []slowEntry // the newest is the last
}

type slowEntry struct {
	id, at, took int64 // at in s since the Unix epoch, took in us
	args         [][]byte
	addr, name   string
}

// Bounds of what is kept. The first two are those of Redis.
const (
	slowArgs     = 32
	slowArgBytes = 128
	maxSlowlog   = 10_000 // entries
)

func newSlowlog() *slowlog {
	l := &slowlog{}
	l.threshold.Store(10_000)
	l.most.Store(128)
	return l
}

// noteSlow remembers a command of the client if it took long.
func (c *client) noteSlow(took time.Duration, words func() [][]byte) {
	l := c.node.slowlog
	if limit := l.threshold.Load(); limit < 0 || took.Microseconds() < limit {
		return
	}
	e := slowEntry{at: time.Now().Unix(), took: took.Microseconds(), args: shorten(words()), addr: c.addr, name: c.state.name}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.next
	l.next++
	l.entries = append(l.entries, e)
	l.trim()
}

// trim drops the oldest entries that are too many.
func (l *slowlog) trim() {
	if n := len(l.entries) - int(l.most.Load()); n > 0 {
		clear(l.entries[:n])
		l.entries = l.entries[n:]
	}
}

// resize changes how many entries are kept.
func (l *slowlog) resize(most int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most.Store(most)
	l.trim()
}

// shorten copies a command as far as it is kept.
func shorten(words [][]byte) [][]byte {
	n := min(len(words), slowArgs)
	out := make([][]byte, n)
	for i, w := range words[:n] {
		switch {
		case i == slowArgs-1 && len(words) > slowArgs:
			out[i] = fmt.Appendf(nil, "... (%d more arguments)", len(words)-slowArgs+1)
		case len(w) > slowArgBytes:
			out[i] = fmt.Appendf(nil, "%s... (%d more bytes)", w[:slowArgBytes], len(w)-slowArgBytes)
		default:
			out[i] = []byte(strings.Clone(string(w)))
		}
	}
	return out
}

func slowlogGet(c *client, args [][]byte) {
	if len(args) > 3 {
		c.fail(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%.128s'. Try SLOWLOG HELP.", args[1]))
		return
	}
	count := int64(10)
	if len(args) == 3 {
		var ok bool
		if count, ok = resp.ParseInt(args[2]); !ok || count < -1 {
			c.fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	l := c.node.slowlog
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.entries)
	if count >= 0 {
		n = int(min(count, int64(n)))
	}
	c.out = resp.AppendArray(c.out, n)
	for i := range n {
		e := &l.entries[len(l.entries)-1-i]
		c.out = resp.AppendArray(c.out, 6)
		c.out = resp.AppendInt(c.out, e.id)
		c.out = resp.AppendInt(c.out, e.at)
		c.out = resp.AppendInt(c.out, e.took)
		c.out = resp.AppendCommand(c.out, e.args...)
		c.out = resp.AppendBulkString(c.out, e.addr)
		c.out = resp.AppendBulkString(c.out, e.name)
	}
}

func slowlogLen(c *client, _ [][]byte) {
	l := c.node.slowlog
	l.mu.Lock()
	defer l.mu.Unlock()
	c.out = resp.AppendInt(c.out, int64(len(l.entries)))
}

func slowlogReset(c *client, _ [][]byte) {
	l := c.node.slowlog
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
	c.ok()
}
