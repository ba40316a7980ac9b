package server

import (
	"fmt"
	"slices"
	"strings"

	"diskv/kv"
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

// What every node answers itself. A new command is one entry in the table of the
// file that is about it, and one function there.
var commonHandlers = slices.Concat(connectionHandlers, clientHandlers, commandHandlers, configHandlers, infoHandlers, clusterHandlers)

// keyValueHandlers and shardmasterHandlers are all commands of the two services.
var (
	keyValueHandlers    = newHandlerTable(kv.Commands(), slices.Concat(commonHandlers, groupHandlers))
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
	count := c.node.metrics.begin(h.spec)
	if n := h.spec.Arity; n >= 0 && len(args) != n || len(args) < -n {
		count.rejected()
		c.wrongArguments(h.spec.Name)
		return
	}
	start := len(c.out)
	h.run(c, args)
	count.done(len(c.out) > start && isError(c.out[start:]))
}

func (c *client) wrongArguments(name string) {
	c.fail("ERR wrong number of arguments for '" + name + "' command")
}

// unknownSubcommand answers a subcommand that there is not.
func (c *client) unknownSubcommand(args [][]byte) {
	c.fail(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try COMMAND DOCS %s.", args[1], strings.ToUpper(string(args[0]))))
}
