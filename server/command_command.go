package server

import (
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
)

// commandHandlers are COMMAND.
var commandHandlers = []handler{
	container(&kv.Spec{Name: "command", Arity: -1, Flags: kv.Loading | kv.Stale, Group: "server", Since: "2.8.13",
		Complexity: "O(N) where N is the number of commands", Summary: "Describes the commands."},
		func(c *client) { c.reply(appendInfos(nil, c.commands().All())) },
		subcommand{name: "count", arity: 2, since: "2.8.13", summary: "Counts the commands.", run: commandCount, usage: []string{
			"(no subcommand)", "    Return details about all Redis commands.",
			"COUNT", "    Return the total number of commands in this Redis server."}},
		subcommand{name: "list", arity: -2, since: "7.0.0", summary: "Names the commands.", run: commandList, usage: []string{
			"LIST", "    Return a list of all commands in this Redis server."}},
		subcommand{name: "info", arity: -2, since: "2.8.13", summary: "Describes commands for programs.", run: commandInfo, usage: []string{
			"INFO [<command-name> ...]", "    Return details about multiple Redis commands.",
			"    If no command names are given, documentation details for all", "    commands are returned."}},
		subcommand{name: "docs", arity: -2, since: "7.0.0", summary: "Describes commands for people.", run: commandDocs, usage: []string{
			"DOCS [<command-name> ...]", "    Return documentation details about multiple Redis commands.",
			"    If no command names are given, documentation details for all", "    commands are returned."}},
		subcommand{name: "getkeys", arity: -4, since: "2.8.13", summary: "Finds the keys of a command.", run: commandGetKeys, usage: []string{
			"GETKEYS <full-command>", "    Return the keys from a full Redis command."}},
		subcommand{name: "getkeysandflags", arity: -4, since: "7.0.0", summary: "Finds the keys of a command and what it does to them.", run: commandGetKeysAndFlags, usage: []string{
			"GETKEYSANDFLAGS <full-command>", "    Return the keys and the access flags from a full Redis command."}},
	),
}

func (c *client) commands() *kv.Table { return c.node.service.handlers().all }

func commandCount(c *client, _ [][]byte) {
	c.out = resp.AppendInt(c.out, int64(len(c.commands().All())))
}

// commandList is COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern].
func commandList(c *client, args [][]byte) {
	wanted := func(*kv.Spec, string) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) != 5 || !strings.EqualFold(string(args[2]), "FILTERBY"):
		c.fail(errSyntax)
		return
	case strings.EqualFold(string(args[3]), "MODULE"):
		wanted = func(*kv.Spec, string) bool { return false } // there are none
	case strings.EqualFold(string(args[3]), "ACLCAT"):
		category := "@" + strings.ToLower(string(args[4]))
		wanted = func(s *kv.Spec, _ string) bool {
			for _, have := range s.Categories() {
				if have == category {
					return true
				}
			}
			return false
		}
	case strings.EqualFold(string(args[3]), "PATTERN"):
		pattern := []byte(strings.ToLower(string(args[4])))
		wanted = func(_ *kv.Spec, name string) bool { return kv.Match(pattern, []byte(name)) }
	default:
		c.fail(errSyntax)
		return
	}
	var names []string
	for _, s := range c.commands().All() {
		if wanted(s, s.Name) {
			names = append(names, s.Name)
		}
		for _, sub := range s.Subcommands {
			if full := s.Name + "|" + sub.Name; wanted(sub, full) {
				names = append(names, full)
			}
		}
	}
	c.out = resp.AppendArray(c.out, len(names))
	for _, name := range names {
		c.out = resp.AppendBulkString(c.out, name)
	}
}

// lookup returns the command, or the subcommand, of a name such as "get" or "client|id",
// as one of its own, or nil.
func lookup(t *kv.Table, name []byte) *kv.Spec {
	word, sub, isSub := strings.Cut(strings.ToLower(string(name[:min(len(name), 64)])), "|")
	s, ok := t.Lookup([]byte(word))
	switch {
	case !ok:
		return nil
	case !isSub:
		return s
	}
	for _, candidate := range s.Subcommands {
		if candidate.Name == sub {
			named := *candidate
			named.Name = word + "|" + sub
			return &named
		}
	}
	return nil
}

func commandInfo(c *client, args [][]byte) {
	specs := c.commands().All()
	if len(args) > 2 {
		specs = specs[:0:0]
		for _, name := range args[2:] {
			specs = append(specs, lookup(c.commands(), name)) // nil for one that is not known
		}
	}
	c.reply(appendInfos(nil, specs))
}

func commandDocs(c *client, args [][]byte) {
	specs := c.commands().All()
	if len(args) > 2 {
		specs = specs[:0:0]
		for _, name := range args[2:] {
			if s := lookup(c.commands(), name); s != nil {
				specs = append(specs, s)
			}
		}
	}
	out := resp.AppendMap(nil, len(specs))
	for _, s := range specs {
		out = s.AppendDocs(out)
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

// keysOf finds the keys of a command that is the arguments from the third on, or answers
// why there are none.
func (c *client) keysOf(args [][]byte) (*kv.Spec, [][]byte) {
	cmd := args[2:]
	s, ok := c.commands().Find(cmd)
	switch {
	case !ok:
		c.fail("ERR Invalid command specified")
		return nil, nil
	case !fits(s.Arity, len(cmd)):
		c.fail("ERR Invalid number of arguments specified for command")
		return nil, nil
	}
	keys := s.Keys(cmd)
	if len(keys) == 0 {
		c.fail("ERR The command has no key arguments")
		return nil, nil
	}
	return s, keys
}

func commandGetKeys(c *client, args [][]byte) {
	if s, keys := c.keysOf(args); s != nil {
		c.out = resp.AppendCommand(c.out, keys...)
	}
}

// keyUse is what Redis says that commands do to their keys, the last word for all keys
// that follow; commands that are not here read them, or read and change them.
var keyUse = map[string][]string{
	"append": {"RW insert"}, "copy": {"RO access", "OW update"}, "del": {"RM delete"}, "exists": {"RO"},
	"expire": {"RW update"}, "expireat": {"RW update"}, "getdel": {"RW access delete"}, "mset": {"OW update"}, "msetnx": {"OW insert"},
	"persist": {"RW update"}, "pexpire": {"RW update"}, "pexpireat": {"RW update"}, "psetex": {"OW update"},
	"rename": {"RW access delete", "OW update"}, "renamenx": {"RW access delete", "OW insert"}, "setex": {"OW update"},
	"setnx": {"OW insert"}, "setrange": {"RW update"}, "strlen": {"RO"}, "touch": {"RO"}, "type": {"RO"}, "unlink": {"RM delete"},
}

// useOf returns what a command does to its n-th key.
func useOf(s *kv.Spec, cmd [][]byte, n int) string {
	uses := keyUse[s.Name]
	if s.Name == "set" {
		uses = []string{"OW update"}
		for _, a := range cmd[3:] {
			if strings.EqualFold(string(a), "GET") {
				uses = []string{"RW access update"}
			}
		}
	}
	switch {
	case uses != nil:
		return uses[min(n, len(uses)-1)]
	case s.IsWrite():
		return "RW access update"
	default:
		return "RO access"
	}
}

func commandGetKeysAndFlags(c *client, args [][]byte) {
	s, keys := c.keysOf(args)
	if s == nil {
		return
	}
	out := resp.AppendArray(nil, len(keys))
	for i, key := range keys {
		words := strings.Fields(useOf(s, args[2:], i))
		out = resp.AppendArray(out, 2)
		out = resp.AppendBulk(out, key)
		out = resp.AppendSet(out, len(words))
		for _, word := range words {
			out = resp.AppendSimple(out, word)
		}
	}
	c.reply(out)
}
