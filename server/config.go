package server

import (
	"path"
	"strconv"
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
)

// configHandlers are CONFIG.
var configHandlers = []handler{
	{&kv.Spec{Name: "config", Arity: -2, Flags: kv.Admin | kv.Stale, Group: "server", Since: "2.0.0", Complexity: "O(N)",
		Summary: "Shows settings by their names in Redis."}, config},
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
