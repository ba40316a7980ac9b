package sim

import (
	"strings"
	"time"

	"diskv/internal/resp"
	"diskv/shard"
	"diskv/shardmaster"
)

// operator tells the shardmasters what groups there are and where shards belong,
// whatever else goes on. Every command can be repeated, so one without an answer is,
// sometimes.
type operator struct {
	w    *world
	dice dice
	busy bool
}

// start has the operator work until the calm begins. Group 1 joins first.
func (o *operator) start() {
	var next func()
	next = func() {
		if o.w.calm {
			return
		}
		if !o.busy {
			o.tell(o.draw())
		}
		o.w.after(o.dice.around(o.w.load.change), next)
	}
	o.tell(o.join(o.w.stores[0]))
	o.w.after(o.dice.around(o.w.load.change), next)
}

// tell sends a command to the shardmasters.
func (o *operator) tell(args []string) {
	w := o.w
	o.busy = true
	w.printf("operator: %s", strings.Join(args, " "))
	all := words(append([]string{shardmaster.Name}, args...)...)
	w.trace.note(w.now, noteAsk, 0, fingerprint(resp.AppendCommand(nil, all...)))
	w.ask(call{dice: o.dice, args: all, queue: append([]*node(nil), w.masters.nodes...), done: func(v resp.Value, err error) {
		o.busy = false
		w.printf("operator: %c%s%d %v", max(v.Kind, ' '), v.Str, v.Int, err)
		switch {
		case err == nil && v.Kind == resp.KindInt:
			w.mark(MarkConfigured)
		case strings.HasPrefix(string(v.Str), shardmaster.CodeConfigChanged):
			w.mark(MarkConfigChanged)
		case err != nil || strings.HasPrefix(string(v.Str), "UNKNOWNRESULT"):
			if o.dice.chance(0.5) || len(w.moves.configs) == 1 {
				w.mark(MarkConfigureAgain)
				o.tell(args)
			}
		case !v.IsNull() && strings.HasPrefix(string(v.Str), "ERR group") && strings.Contains(string(v.Str), "the last one"):
		case strings.HasPrefix(string(v.Str), "CLUSTERDOWN"), strings.HasPrefix(string(v.Str), "TRYAGAIN"), strings.HasPrefix(string(v.Str), "MOVED"):
			if len(w.moves.configs) == 1 {
				w.after(10*time.Millisecond, func() { o.tell(args) })
			}
		case strings.HasPrefix(string(v.Str), "ERR group") && args[0] == "move":
			// It has left meanwhile.
		default:
			w.fail("operator: %q: %s", args, v.Str)
		}
	}})
}

// draw draws the next command.
func (o *operator) draw() []string {
	w, d := o.w, o.dice
	c := w.moves.newest()
	args := []string{"balance"}
	some := w.stores[d.IntN(len(w.stores))]
	_, member := c.Group(some.id)
	switch p := d.Float64(); {
	case len(c.Groups) == 0:
		args = o.join(w.stores[0])
	case !member && (p < w.load.back || len(c.Groups) == 1):
		args = o.join(some)
	case p < 0.06:
		args = o.join(some) // as it is, or at other addresses
	case p < 0.2:
		args = []string{"leave", number(some.id)}
	case p < 0.9:
		args = o.move(c)
	}
	if d.chance(0.1) {
		num := c.Num
		if num > 0 && d.chance(0.5) {
			num--
		}
		args = append(args, "if", number(num))
	}
	return args
}

func (o *operator) join(g *group) []string {
	args := []string{"join", number(g.id)}
	second := o.dice.chance(0.3)
	for _, n := range g.nodes {
		args = append(args, n.address(second))
	}
	return args
}

// move draws a move, mostly of shards that have keys.
func (o *operator) move(c *shard.Config) []string {
	d := o.dice
	to := c.Groups[d.IntN(len(c.Groups))].ID
	first := shard.ID(d.IntN(shard.Count))
	if d.chance(0.9) {
		first = shard.Of([]byte(o.w.keys[d.IntN(len(o.w.keys))].name))
	}
	last := first
	if d.chance(0.4) {
		last = shard.ID(min(int(first)+d.IntN(6000), shard.Count-1))
	}
	return []string{"move", number(first) + "-" + number(last), number(to)}
}
