package server

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diskv/internal/resp"
	"diskv/kv"
)

// configHandlers are CONFIG.
var configHandlers = []handler{
	container(&kv.Spec{Name: "config", Arity: -2, Flags: kv.Admin | kv.NoScript | kv.Loading | kv.Stale, Group: "server", Since: "2.0.0",
		Complexity: "O(N) where N is the number of settings", Summary: "Shows and changes settings."}, nil,
		subcommand{name: "get", arity: -3, since: "2.0.0", summary: "Shows settings.", run: configGet, usage: []string{
			"GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values."}},
		subcommand{name: "set", arity: -4, since: "2.0.0", summary: "Changes settings, all of them or none.", run: configSet, usage: []string{
			"SET <directive> <value>", "    Set the configuration <directive> to <value>."}},
		subcommand{name: "resetstat", arity: 2, since: "2.0.0", summary: "Starts the statistics anew.", run: configResetStat, usage: []string{
			"RESETSTAT", "    Reset statistics reported by the INFO command."}},
		subcommand{name: "rewrite", arity: 2, since: "2.8.0", summary: "Is refused: there is no file of settings.", run: configRewrite, usage: []string{
			"REWRITE", "    Rewrite the configuration file."}},
	),
}

// setting is what CONFIG GET shows under a name. Names are those of Redis where it has
// the same thing, and those of diskvd's flags.
type setting struct {
	name string
	get  func(n *Node) string
	// set checks a value and returns what puts it in force, or what is wrong with it.
	// It is nil for what cannot be changed while the process runs.
	set func(n *Node, value []byte) (apply func(), wrong string)
}

// settings are in the order in which they are shown.
var settings = []setting{
	{name: "appendfsync", get: fixed("always")},
	{name: "appendonly", get: fixed("yes")},
	{name: "bind", get: func(n *Node) string { host, _ := hostPort(n.Addr()); return host }},
	{name: "bootstrap", get: func(n *Node) string { return yesNo(n.opts.Bootstrap) }},
	{name: "cluster-enabled", get: func(n *Node) string { return yesNo(n.clustered()) }},
	{name: "command-timeout", get: func(n *Node) string { return n.opts.CommandTimeout.String() }},
	{name: "databases", get: fixed("1")},
	{name: "dir", get: func(n *Node) string { return n.opts.Dir }},
	{name: "forward", get: func(n *Node) string { return yesNo(n.opts.Forward) }},
	{name: "group", get: func(n *Node) string { return strconv.FormatUint(n.opts.Group, 10) }},
	{name: "http", get: func(n *Node) string { return n.opts.HTTP }},
	{name: "index", get: func(n *Node) string { return strconv.Itoa(n.opts.Index) }},
	{name: "listen", get: func(n *Node) string { return n.opts.Listen }},
	{name: "max-clients", get: getMaxClients, set: setMaxClients},
	{name: "max-value-bytes", get: func(n *Node) string { return strconv.Itoa(n.opts.MaxValueBytes) }},
	{name: "maxclients", get: getMaxClients, set: setMaxClients},
	{name: "maxmemory", get: fixed("0")},
	{name: "maxmemory-policy", get: fixed("noeviction")},
	{name: "min-free-bytes", get: func(n *Node) string { return strconv.FormatInt(n.opts.MinFreeBytes, 10) }},
	{name: "peers", get: func(n *Node) string {
		if n.opts.single() {
			return ""
		}
		return strings.Join(n.opts.Peers, ",")
	}},
	{name: "port", get: func(n *Node) string { _, port := hostPort(n.Addr()); return strconv.Itoa(port) }},
	{name: "pprof", get: func(n *Node) string { return yesNo(n.opts.Pprof) }},
	{name: "proto-max-bulk-len", get: func(n *Node) string { return strconv.Itoa(n.opts.MaxValueBytes) }},
	{name: "read", get: func(n *Node) string { return readModes[n.opts.Lease] }},
	{name: "reply-timeout", get: func(n *Node) string { return n.opts.ReplyTimeout.String() }},
	{name: "save", get: fixed("")},
	{name: "shardmasters", get: func(n *Node) string { return strings.Join(n.opts.Shardmasters, ",") }},
	{name: "shutdown-timeout", get: func(n *Node) string { return n.opts.ShutdownTimeout.String() }},
	{name: "slow-sync", get: func(n *Node) string { return n.opts.SlowSync.String() }},
	{name: "slowlog-log-slower-than",
		get: func(n *Node) string { return strconv.FormatInt(n.slowlog.threshold.Load(), 10) },
		set: number(-1, math.MaxInt64, func(n *Node, v int64) { n.slowlog.threshold.Store(v) })},
	{name: "slowlog-max-len",
		get: func(n *Node) string { return strconv.FormatInt(n.slowlog.most.Load(), 10) },
		set: number(0, maxSlowlog, func(n *Node, v int64) { n.slowlog.resize(v) })},
	{name: "snapshot-min-bytes", get: func(n *Node) string { return strconv.FormatInt(n.opts.Replica.SnapshotMinBytes, 10) }},
	{name: "timeout", get: fixed("0")},
	{name: "tracking-table-max-keys",
		get: func(n *Node) string { return strconv.FormatInt(n.tracking.limit.Load(), 10) },
		set: number(0, math.MaxInt64, func(n *Node, v int64) { n.tracking.limit.Store(v) })},
}

func fixed(value string) func(*Node) string { return func(*Node) string { return value } }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

const errNoInteger = "argument couldn't be parsed into an integer"

// number makes the set of a setting that is an integer within bounds.
func number(low, high int64, apply func(n *Node, v int64)) func(*Node, []byte) (func(), string) {
	return func(n *Node, value []byte) (func(), string) {
		v, ok := resp.ParseInt(value)
		switch {
		case !ok:
			return nil, errNoInteger
		case v < low || v > high:
			return nil, fmt.Sprintf("argument must be between %d and %d inclusive", low, high)
		}
		return func() { apply(n, v) }, ""
	}
}

func getMaxClients(n *Node) string { return strconv.FormatInt(n.clients.most.Load(), 10) }

func setMaxClients(n *Node, value []byte) (func(), string) {
	apply, wrong := number(1, math.MaxUint32, func(n *Node, v int64) { n.clients.most.Store(v) })(n, value)
	if wrong != "" {
		return nil, wrong
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		want, _ := resp.ParseInt(value)
		if can := clientsWithin(files.Cur, want); can < want {
			return nil, fmt.Sprintf("The operating system is not able to handle the specified number of clients, try with %d", can)
		}
	}
	return apply, ""
}

func configGet(c *client, args [][]byte) {
	var out []byte
	n := 0
	for _, s := range settings {
		for _, pattern := range args[2:] {
			if kv.Match([]byte(strings.ToLower(string(pattern))), []byte(s.name)) {
				name := s.name
				if strings.EqualFold(string(pattern), name) {
					name = string(pattern) // as Redis does
				}
				out = resp.AppendBulkString(out, name)
				out = resp.AppendBulkString(out, s.get(c.node))
				n++
				break
			}
		}
	}
	c.reply(append(resp.AppendMap(nil, n), out...))
}

func configSet(c *client, args [][]byte) {
	if len(args)%2 != 0 {
		c.fail(errSyntax)
		return
	}
	refuse := func(name, why string) {
		c.fail(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%s') - %s", name, why))
	}
	var changes []func()
	seen := make(map[string]bool)
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(args[i][:min(len(args[i]), 128)]))
		var s *setting
		for j := range settings {
			if settings[j].name == name {
				s = &settings[j]
			}
		}
		switch {
		case s == nil:
			c.fail("ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'")
			return
		case s.set == nil:
			refuse(name, "can't set immutable config")
			return
		case seen[name]:
			refuse(name, "duplicate parameter")
			return
		}
		seen[name] = true
		apply, wrong := s.set(c.node, args[i+1])
		if wrong != "" {
			refuse(name, wrong)
			return
		}
		changes = append(changes, apply)
	}
	for _, apply := range changes {
		apply()
	}
	c.ok()
}

func configResetStat(c *client, _ [][]byte) {
	c.node.metrics.reset()
	c.node.clients.traffic.reset()
	c.ok()
}

func configRewrite(c *client, _ [][]byte) { c.fail("ERR The server is running without a config file") }
