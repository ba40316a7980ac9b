package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"diskv/internal/resp"
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
	// others are the commands of the state machine. Of a container that is in both,
	// each has some subcommands.
	others *kv.Table
}

// What every node answers itself. A new command is one entry in the table of the
// file that is about it, and one function there.
var commonHandlers = slices.Concat(connectionHandlers, clientHandlers, commandHandlers, configHandlers, slowlogHandlers, latencyHandlers, memoryHandlers, saveHandlers,
	infoHandlers, roleHandlers, clusterHandlers)

// keyValueHandlers and shardmasterHandlers are all commands of the two services.
var (
	keyValueHandlers    = newHandlerTable(kv.Commands(), slices.Concat(commonHandlers, transactionHandlers, groupHandlers, waitHandlers))
	shardmasterHandlers = newHandlerTable(kv.NewTable(shardsSpec), commonHandlers)
)

func newHandlerTable(others *kv.Table, hs []handler) *handlerTable {
	t := &handlerTable{own: make(map[string]*handler), others: others}
	var specs []*kv.Spec
	for i := range hs {
		t.own[hs[i].spec.Name] = &hs[i]
		specs = append(specs, hs[i].spec)
	}
	t.all = others.With(specs...)
	return t
}

// of returns the server's own command that arguments are.
func (t *handlerTable) of(args [][]byte) (*handler, bool) {
	h, ok := t.find(args[0])
	if ok && len(args) > 1 {
		if s, shared := t.others.Find(args); shared && len(s.Subcommands) == 0 {
			return nil, false // a subcommand that the state machine executes
		}
	}
	return h, ok
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
	if refusal := h.wrong(args); refusal != "" {
		count.rejected()
		c.refuseNow(h.spec, refusal)
		return
	}
	c.last.Store(&h.spec.Name)
	start := len(c.out)
	h.run(c, args)
	count.done(len(c.out) > start && isError(c.out[start:]))
	if h.spec.Flags&kv.NoAuth == 0 { // which may hold passwords
		c.noteSlow(time.Since(c.node.started)-count.begun, func() [][]byte { return args })
	}
}

// wrong returns what is wrong with the number of arguments, if anything is.
func (h *handler) wrong(args [][]byte) string {
	if fits(h.spec.Arity, len(args)) {
		return ""
	}
	return wrongArguments(h.spec.Name)
}

// fits tells whether a command may have n arguments, its name included; see kv.Spec.
func fits(arity, n int) bool { return n == arity || arity < 0 && n >= -arity }

// subcommand is one of the commands that have their first word in common.
type subcommand struct {
	name    string // lower case
	arity   int    // as in kv.Spec: both words count
	since   string
	summary string
	flags   kv.Flags // beside those of all
	usage   []string // its lines of HELP; none: it is not there
	run     func(c *client, args [][]byte)

	full string // "client|id"; container sets it
}

// container returns the command that has these subcommands, and HELP. What is not
// said of a subcommand is as with the whole, whose flags are those of all but HELP.
// alone, if not nil, is what the first word by itself does.
func container(spec *kv.Spec, alone func(c *client), subs ...subcommand) handler {
	word := strings.ToUpper(spec.Name)
	lines := []string{word + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
	for _, s := range subs {
		lines = append(lines, s.usage...)
	}
	lines = append(lines, "HELP", "    Prints this help.")
	subs = append(subs, subcommand{
		name: "help", arity: 2, flags: kv.Loading | kv.Stale, since: "5.0.0", summary: "Shows the subcommands.",
		run: func(c *client, _ [][]byte) {
			c.out = resp.AppendArray(c.out, len(lines))
			for _, l := range lines {
				c.out = resp.AppendSimple(c.out, l)
			}
		},
	})
	all := spec.Flags
	if alone == nil {
		spec.Flags = 0 // the word alone does nothing
	}
	byName := make(map[string]*subcommand, len(subs))
	for i := range subs {
		s := &subs[i]
		s.full = spec.Name + "|" + s.name
		byName[s.name] = s
		flags := all | s.flags
		if s.name == "help" {
			flags = s.flags
		}
		spec.Subcommands = append(spec.Subcommands, &kv.Spec{
			Name: s.name, Arity: s.arity, Flags: flags, Group: spec.Group, Since: s.since,
			Complexity: spec.Complexity, Summary: s.summary,
		})
	}
	return handler{spec: spec, run: func(c *client, args [][]byte) {
		if len(args) == 1 {
			alone(c) // the arity of one without it is -2
			return
		}
		s, ok := byName[strings.ToLower(string(args[1][:min(len(args[1]), 64)]))]
		switch {
		case !ok:
			c.fail(unknownSubcommand(spec.Name, args[1]))
		case !fits(s.arity, len(args)):
			c.wrongArguments(s.full)
		default:
			c.last.Store(&s.full)
			s.run(c, args)
		}
	}}
}

func unknownSubcommand(command string, name []byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.", name, strings.ToUpper(command))
}

func wrongArguments(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

func (c *client) wrongArguments(name string) { c.fail(wrongArguments(name)) }

func (c *client) ok() { c.out = resp.AppendSimple(c.out, "OK") }
