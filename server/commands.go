package server

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
)

// handler is a command that the server answers itself, without the log.
type handler struct {
	spec *kv.Spec
	run  func(c *client, args [][]byte)
}

// handlerTable finds the server's own commands, and all commands for COMMAND.
type handlerTable struct {
	own map[string]*handler
	all *kv.Table
}

// What every node answers itself. A new command is one entry here and one function.
var commonHandlers = []handler{
	{&kv.Spec{Name: "ping", Arity: -1, Flags: kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the server's liveliness response."}, ping},
	{&kv.Spec{Name: "echo", Arity: 2, Flags: kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the given string."}, echo},
	{&kv.Spec{Name: "quit", Arity: -1, Flags: kv.Fast | kv.NoAuth, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Closes the connection."}, quit},
	{&kv.Spec{Name: "select", Arity: 2, Flags: kv.Fast | kv.Stale, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Changes the selected database; there is one, number 0."}, selectDB},
	{&kv.Spec{Name: "hello", Arity: -1, Flags: kv.Fast | kv.NoAuth | kv.Stale, Group: "connection", Since: "6.0.0", Complexity: "O(1)",
		Summary: "Chooses the version of the protocol."}, hello},
	{&kv.Spec{Name: "client", Arity: -2, Flags: kv.Stale, Group: "connection", Since: "2.4.0", Complexity: "O(1)",
		Summary: "Names the connection."}, clientCommand},
	{&kv.Spec{Name: "command", Arity: -1, Flags: kv.Loading | kv.Stale, Group: "server", Since: "2.8.13", Complexity: "O(N)",
		Summary: "Describes the commands."}, command},
	{&kv.Spec{Name: "config", Arity: -2, Flags: kv.Admin | kv.Stale, Group: "server", Since: "2.0.0", Complexity: "O(N)",
		Summary: "Shows settings by their names in Redis."}, config},
	{&kv.Spec{Name: "info", Arity: -1, Flags: kv.Loading | kv.Stale, Group: "server", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Describes the server in numbers."}, info},
	{&kv.Spec{Name: "cluster", Arity: -2, Flags: kv.Stale, Group: "cluster", Since: "3.0.0", Complexity: "O(N)",
		Summary: "Describes the cluster."}, cluster},
	{&kv.Spec{Name: "readonly", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Allows reads of a replica that lags; there are none, and reads go to the leader all the same."}, readOnly},
	{&kv.Spec{Name: "readwrite", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Takes READONLY back."}, readOnly},
	{&kv.Spec{Name: "diskv.forwarded", Arity: 1, Flags: kv.Admin | kv.Stale, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
		Summary: "Tells that another member forwards its clients' commands on this connection."}, forwarded},
}

// keyValueHandlers and shardmasterHandlers are all commands of the two services.
var (
	keyValueHandlers = newHandlerTable(kv.Commands(), append(slices.Clone(commonHandlers),
		handler{&kv.Spec{Name: "diskv.session", Arity: 1, Flags: kv.Fast, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
			Summary: "Returns a fresh session id for DISKV.ONCE."}, session},
		handler{&kv.Spec{Name: "diskv.pull", Arity: 5, Flags: kv.Admin | kv.Stale, Group: "diskv", Since: "0.1.0", Complexity: "O(N)",
			Summary: "Returns a piece of the shards that a config moves to another group."}, pull},
		handler{&kv.Spec{Name: "diskv.settled", Arity: -1, Flags: kv.Admin | kv.Stale, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
			Summary: "Tells how far the group has come in taking configs."}, settled},
	))
	shardmasterHandlers = newHandlerTable(kv.NewTable(shardsSpec), commonHandlers)
)

func newHandlerTable(others *kv.Table, hs []handler) *handlerTable {
	t := &handlerTable{own: make(map[string]*handler)}
	var specs []*kv.Spec
	for i := range hs {
		t.own[hs[i].spec.Name] = &hs[i]
		specs = append(specs, hs[i].spec)
	}
	t.all = others.With(specs...)
	return t
}

// find returns the server's own command of a name in any case.
func (t *handlerTable) find(name []byte) (*handler, bool) {
	const longest = 16
	if len(name) > longest {
		return nil, false
	}
	var lower [longest]byte
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	h, ok := t.own[string(lower[:len(name)])]
	return h, ok
}

// answer checks the number of arguments, runs the command and counts it.
func (h *handler) answer(c *client, args [][]byte) {
	c.node.metrics.count(h.spec)
	if n := h.spec.Arity; n >= 0 && len(args) != n || len(args) < -n {
		c.wrongArguments(h.spec.Name)
		return
	}
	h.run(c, args)
}

func (c *client) wrongArguments(name string) {
	c.fail("ERR wrong number of arguments for '" + name + "' command")
}

// unknownSubcommand answers a subcommand that there is not.
func (c *client) unknownSubcommand(args [][]byte) {
	c.fail(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try COMMAND DOCS %s.", args[1], strings.ToUpper(string(args[0]))))
}

func ping(c *client, args [][]byte) {
	switch len(args) {
	case 1:
		c.out = resp.AppendSimple(c.out, "PONG")
	case 2:
		c.out = resp.AppendBulk(c.out, args[1])
	default:
		c.wrongArguments("ping")
	}
}

func echo(c *client, args [][]byte) { c.out = resp.AppendBulk(c.out, args[1]) }

func quit(c *client, _ [][]byte) {
	c.out = resp.AppendSimple(c.out, "OK")
	c.quit = true
}

func selectDB(c *client, args [][]byte) {
	n, ok := resp.ParseInt(args[1])
	switch {
	case !ok:
		c.fail("ERR invalid DB index")
	case n != 0:
		c.fail("ERR DB index is out of range")
	default:
		c.out = resp.AppendSimple(c.out, "OK")
	}
}

// hello is HELLO [protover [AUTH username password] [SETNAME name]].
func hello(c *client, args [][]byte) {
	resp3, name := c.resp3, c.name
	if len(args) > 1 {
		v, ok := resp.ParseInt(args[1])
		if !ok {
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if v != 2 && v != 3 {
			c.fail("NOPROTO unsupported protocol version")
			return
		}
		resp3 = v == 3
	}
	for i := 2; i < len(args); {
		switch opt := strings.ToUpper(string(args[i])); {
		case opt == "AUTH" && i+2 < len(args):
			c.fail("ERR Client sent AUTH, but no password is set. Did you mean AUTH <username> <password>?")
			return
		case opt == "SETNAME" && i+1 < len(args):
			name = string(args[i+1])
			if !validName(name) {
				c.fail(errClientName)
				return
			}
			i += 2
		default:
			c.fail(fmt.Sprintf("ERR Syntax error in HELLO option '%.128s'", args[i]))
			return
		}
	}
	c.resp3, c.name = resp3, name
	proto, role := int64(2), "replica"
	if c.resp3 {
		proto = 3
	}
	if rt := c.node.route.Load(); rt.leading {
		role = "master"
	}
	out := resp.AppendMap(nil, 7)
	out = resp.AppendBulkString(out, "server")
	out = resp.AppendBulkString(out, "redis")
	out = resp.AppendBulkString(out, "version")
	out = resp.AppendBulkString(out, redisVersion)
	out = resp.AppendBulkString(out, "proto")
	out = resp.AppendInt(out, proto)
	out = resp.AppendBulkString(out, "id")
	out = resp.AppendInt(out, int64(c.id))
	out = resp.AppendBulkString(out, "mode")
	out = resp.AppendBulkString(out, c.node.redisMode())
	out = resp.AppendBulkString(out, "role")
	out = resp.AppendBulkString(out, role)
	out = resp.AppendBulkString(out, "modules")
	out = resp.AppendArray(out, 0)
	c.reply(out)
}

// redisVersion is the version of Redis whose replies the server gives.
const redisVersion = "7.0.0"

// redisMode returns what a Redis client should take the server for.
func (n *Node) redisMode() string {
	if n.clustered() {
		return "cluster"
	}
	return "standalone"
}

const errClientName = "ERR Client names cannot contain spaces, newlines or special characters."

func validName(s string) bool {
	for _, b := range []byte(s) {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

// clientCommand is CLIENT ID, GETNAME, SETNAME and SETINFO.
func clientCommand(c *client, args [][]byte) {
	switch sub := strings.ToUpper(string(args[1])); {
	case sub == "ID" && len(args) == 2:
		c.out = resp.AppendInt(c.out, int64(c.id))
	case sub == "GETNAME" && len(args) == 2:
		if c.name == "" {
			c.reply(resp.AppendNull(nil))
			return
		}
		c.out = resp.AppendBulkString(c.out, c.name)
	case sub == "SETNAME" && len(args) == 3:
		if !validName(string(args[2])) {
			c.fail(errClientName)
			return
		}
		c.name = string(args[2])
		c.out = resp.AppendSimple(c.out, "OK")
	case sub == "SETINFO" && len(args) == 4:
		c.out = resp.AppendSimple(c.out, "OK")
	case sub == "ID", sub == "GETNAME", sub == "SETNAME", sub == "SETINFO":
		c.wrongArguments("client|" + strings.ToLower(sub))
	default:
		c.unknownSubcommand(args)
	}
}

// command is COMMAND, COMMAND COUNT, LIST, INFO and DOCS.
func command(c *client, args [][]byte) {
	commandTable := c.node.service.handlers().all
	var out []byte
	if len(args) == 1 {
		c.reply(appendInfos(nil, commandTable.All()))
		return
	}
	switch strings.ToUpper(string(args[1])) {
	case "COUNT":
		out = resp.AppendInt(nil, int64(len(commandTable.All())))
	case "LIST":
		out = resp.AppendArray(nil, len(commandTable.All()))
		for _, s := range commandTable.All() {
			out = resp.AppendBulkString(out, s.Name)
		}
	case "INFO":
		specs := commandTable.All()
		if len(args) > 2 {
			specs = specs[:0:0]
			for _, name := range args[2:] {
				s, _ := commandTable.Lookup(name)
				specs = append(specs, s) // nil for one that is not known
			}
		}
		out = appendInfos(nil, specs)
	case "DOCS":
		specs := commandTable.All()
		if len(args) > 2 {
			specs = specs[:0:0]
			for _, name := range args[2:] {
				if s, ok := commandTable.Lookup(name); ok {
					specs = append(specs, s)
				}
			}
		}
		out = resp.AppendMap(nil, len(specs))
		for _, s := range specs {
			out = s.AppendDocs(out)
		}
	default:
		c.unknownSubcommand(args)
		return
	}
	c.reply(out)
}

func appendInfos(dst []byte, specs []*kv.Spec) []byte {
	dst = resp.AppendArray(dst, len(specs))
	for _, s := range specs {
		if s == nil {
			dst = resp.AppendNullArray(dst)
		} else {
			dst = s.AppendInfo(dst)
		}
	}
	return dst
}

// config is CONFIG GET, for the settings by which clients learn what they talk
// to.
func config(c *client, args [][]byte) {
	if !strings.EqualFold(string(args[1]), "GET") {
		c.unknownSubcommand(args)
		return
	}
	settings := []struct{ name, value string }{
		{"appendonly", "yes"},
		{"appendfsync", "always"},
		{"maxclients", strconv.FormatInt(c.node.clients.most, 10)},
		{"maxmemory", "0"},
		{"proto-max-bulk-len", strconv.Itoa(c.node.opts.MaxValueBytes)},
		{"save", ""},
		{"databases", "1"},
		{"dir", c.node.opts.Dir},
	}
	var out []byte
	n := 0
	for _, s := range settings {
		for _, pattern := range args[2:] {
			if ok, err := path.Match(strings.ToLower(string(pattern)), s.name); ok && err == nil {
				out = resp.AppendBulkString(out, s.name)
				out = resp.AppendBulkString(out, s.value)
				n++
				break
			}
		}
	}
	c.reply(append(resp.AppendMap(nil, n), out...))
}

// session is DISKV.SESSION.
func session(c *client, args [][]byte) {
	var birth int64
	var leading bool
	if c.node.do(func(r *replica.Replica) { birth, leading = r.LeaderTime() }) != nil || !leading {
		if d := c.node.locate(0, false); d != (destination{}) {
			c.away(d, 0, args, false)
		} else {
			c.fail("CLUSTERDOWN " + whyDown(c.node.route.Load()))
		}
		return
	}
	c.out = resp.AppendBulkString(c.out, kv.NewSessionID(birth, randomUint64()).String())
}
