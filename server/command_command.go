package server

import (
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
)

// commandHandlers are COMMAND.
var commandHandlers = []handler{
	{&kv.Spec{Name: "command", Arity: -1, Flags: kv.Loading | kv.Stale, Group: "server", Since: "2.8.13", Complexity: "O(N)",
		Summary: "Describes the commands."}, command},
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
