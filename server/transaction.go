package server

import (
	"bytes"
	"fmt"
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// transactionHandlers are MULTI and what belongs to it. All of it is made of two
// commands of the store: WATCH keeps what DISKV.WATCH returns, and EXEC sends the
// commands that were queued in one DISKV.EXEC. So it does not matter which member
// executes them, or who leads meanwhile.
var transactionHandlers = []handler{
	{&kv.Spec{Name: "multi", Arity: 1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast, Group: "transactions", Since: "1.2.0", Complexity: "O(1)",
		Summary: "Begins a transaction: commands are queued from now on."}, multi},
	{&kv.Spec{Name: "exec", Arity: 1, Flags: kv.NoScript | kv.Loading | kv.Stale, Group: "transactions", Since: "1.2.0",
		Complexity: "That of the commands.", Summary: "Executes the commands that were queued, in one go."}, exec},
	{&kv.Spec{Name: "discard", Arity: 1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast, Group: "transactions", Since: "2.0.0",
		Complexity: "O(N), when N is the number of queued commands.", Summary: "Forgets the commands that were queued."}, discard},
	{&kv.Spec{Name: "watch", Arity: -2, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast, FirstKey: 1, LastKey: -1, Step: 1, Group: "transactions",
		Since: "2.2.0", Complexity: "O(N) where N is the number of watched keys.", Summary: "Has the next EXEC depend on keys."}, watch},
	{&kv.Spec{Name: "unwatch", Arity: 1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast, Group: "transactions", Since: "2.2.0", Complexity: "O(1)",
		Summary: "Forgets what is watched."}, unwatch},
}

const (
	errCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot"
	errAborted   = "EXECABORT Transaction discarded because of previous errors."
)

var errReplyDropped = fmt.Sprintf("ERR executed; its reply was dropped, since those of the transaction have more than %d bytes", maxHeld)

// transaction is what a connection has gathered for its next EXEC. Its memory is
// bounded by what one command may have.
type transaction struct {
	open   bool            // MULTI has come, and neither EXEC nor DISCARD
	failed bool            // a command was refused when it was to be queued
	queue  []queuedCommand // in order
	count  int             // of them, those for the store

	watched []kv.Watched

	keyed bool // there are keys, all of them in shard
	shard shard.ID
	bytes int // of all that DISKV.EXEC will have, about
}

// queuedCommand is a command of a transaction.
type queuedCommand struct {
	args [][]byte
	own  *handler // nil: it is one for the store
}

// bytesPerArgument is what an argument takes beside its bytes.
const bytesPerArgument = 32

// room returns how many bytes a transaction may have: DISKV.EXEC has to pass for one
// command of any member.
func (c *client) room() int { return c.node.opts.MaxValueBytes + commandOverhead/2 }

func (c *client) noRoom() string {
	return fmt.Sprintf("ERR a transaction can have %d bytes at most: send fewer or smaller commands, or raise --max-value-bytes", c.room())
}

// takes tells whether more arguments have room, and counts them if so.
func (c *client) takes(args [][]byte) bool {
	n := bytesPerArgument
	for _, a := range args {
		n += len(a) + bytesPerArgument
	}
	if c.tx.bytes+n > c.room() {
		return false
	}
	c.tx.bytes += n
	return true
}

// inShard tells whether keys of a shard may be part of the transaction, and takes note
// of them if so.
func (c *client) inShard(id shard.ID) bool {
	if c.tx.keyed && c.tx.shard != id {
		return false
	}
	c.tx.keyed, c.tx.shard = true, id
	return true
}

// immediate are the commands that are not queued.
var immediate = map[string]bool{"multi": true, "exec": true, "discard": true, "watch": true, "quit": true, "reset": true}

// queue queues a command behind MULTI, or answers why not; then EXEC will execute
// nothing. It returns false if the command is not one to be queued.
func (c *client) queue(args [][]byte) bool {
	h, own := c.node.service.handlers().of(args)
	if own && immediate[h.spec.Name] {
		return false
	}
	q := queuedCommand{args: args, own: h}
	refusal := ""
	switch {
	case !own:
		refusal = c.admit(args)
	case h.spec.Flags&kv.NoMulti != 0:
		refusal = fmt.Sprintf("ERR %s is not allowed in transactions", strings.ToUpper(h.spec.Name))
	default:
		if refusal = h.wrong(args); refusal == "" {
			refusal = h.wrongSubcommand(args)
		}
	}
	switch {
	case refusal != "":
	case len(c.tx.queue) == kv.MaxTransaction:
		refusal = fmt.Sprintf("ERR a transaction can have %d commands at most", kv.MaxTransaction)
	case !c.takes(args):
		refusal = c.noRoom()
	}
	if refusal != "" {
		c.tx.failed = true
		c.fail(refusal)
		return true
	}
	if !own {
		c.tx.count++
	}
	c.tx.queue = append(c.tx.queue, q)
	c.state.queued++
	c.show()
	c.out = resp.AppendSimple(c.out, "QUEUED")
	return true
}

// wrongSubcommand returns what is wrong with the second word of a command, if anything
// is, as Redis does before it queues it.
func (h *handler) wrongSubcommand(args [][]byte) string {
	if len(h.spec.Subcommands) == 0 || len(args) < 2 {
		return ""
	}
	for _, s := range h.spec.Subcommands {
		if strings.EqualFold(s.Name, string(args[1])) {
			if !fits(s.Arity, len(args)) {
				return wrongArguments(h.spec.Name + "|" + s.Name)
			}
			return ""
		}
	}
	return unknownSubcommand(h.spec.Name, args[1])
}

// refuseNow refuses a command of this member that is not to be queued. In a transaction
// nothing will be executed then.
func (c *client) refuseNow(spec *kv.Spec, refusal string) {
	if spec.Name == "exec" {
		c.forget()
		refusal = "EXECABORT Transaction discarded because of: " + strings.TrimPrefix(refusal, "ERR ")
	}
	c.tx.failed = c.tx.open
	c.fail(refusal)
}

// admit checks a command for the store that is to be queued, as far as that can be
// done before it is executed, and returns the error, if there is one.
func (c *client) admit(args [][]byte) (refusal string) {
	p, reply := c.node.service.prepare(c.node, args)
	if reply != nil {
		return strings.TrimSuffix(strings.TrimPrefix(string(reply), "-"), "\r\n")
	}
	if !p.spec.InTransactions() {
		return fmt.Sprintf("ERR %s is not allowed in transactions", strings.ToUpper(p.spec.Name))
	}
	if d := c.node.locate(p.shard, p.keyed); d.refusal != "" {
		return d.refusal
	} else if d.addr != "" && !c.forwards() {
		return moved(p.shard, d.addr)
	}
	if p.growing && p.write && c.node.lowDisk.Load() {
		return c.node.tooFull()
	}
	if p.keyed && !c.inShard(p.shard) {
		return errCrossSlot
	}
	return ""
}

// forget ends the transaction, and forgets what is watched.
func (c *client) forget() { c.tx, c.state.queued = transaction{}, 0 }

func multi(c *client, _ [][]byte) {
	if c.tx.open {
		c.fail("ERR MULTI calls can not be nested")
		return
	}
	c.tx.open = true
	c.state.queued = 1
	c.ok()
}

func discard(c *client, _ [][]byte) {
	if !c.tx.open {
		c.fail("ERR DISCARD without MULTI")
		return
	}
	c.forget()
	c.ok()
}

// watch is WATCH key ... . The token is asked for at once: every change from now on
// counts. A key that is watched already is so since then.
func watch(c *client, args [][]byte) {
	if c.tx.open {
		c.fail("ERR WATCH inside MULTI is not allowed")
		return
	}
	var keys [][]byte
	for _, key := range args[1:] {
		if id := shard.Of(key); c.tx.keyed && id != c.tx.shard {
			c.fail(errCrossSlot)
			return
		}
		if !c.watches(key) {
			keys = append(keys, key)
		}
	}
	if len(c.tx.watched)+len(keys) > kv.MaxWatched {
		c.fail(fmt.Sprintf("ERR a transaction can watch %d keys at most", kv.MaxWatched))
		return
	}
	if len(keys) == 0 {
		c.ok()
		return
	}
	v := c.ask(append([][]byte{[]byte("DISKV.WATCH")}, keys...))
	if v.Kind != resp.KindBulk {
		c.reply(resp.AppendValue(nil, v))
		return
	}
	if !c.takes(keys) || !c.takes(make([][]byte, 2*len(keys))) {
		c.fail(c.noRoom())
		return
	}
	c.inShard(shard.Of(keys[0]))
	for _, key := range keys {
		c.tx.watched = append(c.tx.watched, kv.Watched{Token: v.Str, Key: key})
	}
	c.ok()
}

// watching tells whether a read belongs to a transaction that is to come, or is one.
// Then it must not be answered by a member that lags: what was watched elsewhere, at a
// later slot, would be taken for what was read.
func (c *client) watching(p *prepared) bool {
	return len(c.tx.watched) > 0 || p.spec.Group == "transactions"
}

func (c *client) watches(key []byte) bool {
	for i := range c.tx.watched {
		if bytes.Equal(c.tx.watched[i].Key, key) {
			return true
		}
	}
	return false
}

// unwatch is UNWATCH; in a transaction it comes too late to change anything.
func unwatch(c *client, _ [][]byte) {
	if !c.tx.open {
		c.forget()
	}
	c.ok()
}

func exec(c *client, _ [][]byte) {
	tx := c.tx
	if !tx.open {
		c.fail("ERR EXEC without MULTI") // what is watched stays so
		return
	}
	c.forget()
	switch {
	case tx.failed:
		c.fail(errAborted)
	case tx.count == 0 && len(tx.watched) == 0:
		c.assemble(&tx, nil)
	case tx.count == len(tx.queue):
		c.executeAll(&tx)
	default:
		v := c.ask(tx.args())
		if v.Kind != resp.KindArray || len(v.Elems) != tx.count {
			c.nothing(v)
			return
		}
		c.assemble(&tx, v.Elems)
	}
}

// executeAll executes a transaction of which all commands are for the store.
func (c *client) executeAll(tx *transaction) {
	if len(tx.watched) == 0 {
		c.execute(tx.args()) // it cannot be null
		return
	}
	start := len(c.out)
	c.executeNow(tx.args())
	if nothing := resp.AppendRESP2(nil, resp.AppendNull(nil)); bytes.Equal(c.out[start:], nothing) {
		c.out = resp.AppendNullArray(c.out[:start])
	}
}

// nothing answers EXEC when nothing was executed, or it is not known whether.
func (c *client) nothing(v resp.Value) {
	if v.Kind == resp.KindNull && !c.state.resp3 {
		c.out = resp.AppendNullArray(c.out)
		return
	}
	c.reply(resp.AppendValue(nil, v))
}

// assemble answers EXEC with the replies of the store and those of this member's own
// commands, each in its place.
func (c *client) assemble(tx *transaction, replies []resp.Value) {
	c.hold() // nobody else sends in the middle of it
	c.out = resp.AppendArray(c.out, len(tx.queue))
	c.executing = true
	defer func() { c.executing = false }()
	begin, tracking := len(c.out), c.state.tracking
	for _, q := range tx.queue {
		if q.own == nil {
			c.reply(resp.AppendValue(nil, replies[0]))
			replies = replies[1:]
			continue
		}
		start := len(c.out)
		q.own.answer(c, q.args)
		c.finishRun()
		if len(c.out) == start {
			c.reply(resp.AppendNull(nil)) // CLIENT REPLY has none
		}
		if len(c.out)-begin > maxHeld {
			c.out = c.out[:start]
			c.fail(errReplyDropped)
		}
	}
	if c.state.tracking == tracking {
		return
	}
	for _, q := range tx.queue { // which was executed before, all of it
		if q.own == nil {
			keys, _ := keysRead(q.args)
			c.untracked(keys)
		}
	}
}

// args returns the transaction as the command that executes it.
func (tx *transaction) args() [][]byte {
	var key []byte
	if len(tx.watched) > 0 {
		key = tx.watched[0].Key
	}
	commands := make([][][]byte, 0, tx.count)
	for _, q := range tx.queue {
		if q.own != nil {
			continue
		}
		commands = append(commands, q.args)
		if len(key) > 0 {
			continue
		}
		if spec, ok := kv.Lookup(q.args[0]); ok {
			if keys := spec.Keys(q.args); len(keys) > 0 {
				key = keys[0]
			}
		}
	}
	return kv.TransactionArgs(key, tx.watched, commands)
}

// executeNow has a command executed that is no part of a run. Nothing is sent meanwhile:
// its reply ends what is ready.
func (c *client) executeNow(args [][]byte) {
	c.asking = true
	c.execute(args)
	c.finishRun()
	c.asking = false
}

// ask has a command executed and returns its reply, which goes to nobody else.
func (c *client) ask(args [][]byte) resp.Value {
	start := len(c.out)
	c.executeNow(args)
	v, err := resp.NewReplyReader(bytes.NewReader(bytes.Clone(c.out[start:])), resp.ReplyOptions{}).ReadReply()
	c.out = c.out[:start]
	if err != nil {
		return resp.Value{Kind: resp.KindError, Str: []byte("UNKNOWNRESULT the command may have been executed, but its reply cannot be passed on: " + err.Error())}
	}
	return v
}
