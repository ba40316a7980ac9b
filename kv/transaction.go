package kv

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"diskv/internal/resp"
	"diskv/shard"
)

// What a transaction can have at most. Every replica has to agree: changing the
// numbers is a new format.
const (
	// MaxTransaction is how many commands a transaction can have.
	MaxTransaction = 1 << 14
	// MaxWatched is how many keys a transaction can depend on.
	MaxWatched = 1 << 14
	// maxHeavy is how many of its commands can be such that may look at a lot: all of it
	// happens while nothing else does.
	maxHeavy = 16
	// maxTransactionReply is how many bytes of replies a transaction returns. What is
	// executed behind them is answered with an error in its place.
	maxTransactionReply = 64 << 20
)

var (
	errTransactionForm = "ERR DISKV.EXEC wants: key numwatched [token key ...] and for each command: numargs name [arg ...]"
	errToken           = "ERR DISKV.EXEC wants for each watched key a token that DISKV.WATCH has returned"
	errTooManyWatched  = fmt.Sprintf("ERR a transaction can watch %d keys at most", MaxWatched)
	errTooManyCommands = fmt.Sprintf("ERR a transaction can have %d commands at most", MaxTransaction)
	errTooHeavy        = fmt.Sprintf("ERR a transaction can have %d of KEYS, LCS, DISKV.RANGE, FLUSHALL and FLUSHDB at most", maxHeavy)
	errReplyDropped    = fmt.Sprintf("ERR executed; its reply was dropped, since those of the transaction have more than %d bytes", maxTransactionReply)
)

// A token says from where on a change of a key counts: behind a slot of a group's
// log. Slots of two groups do not compare.
type token struct {
	group shard.GroupID
	slot  uint64
}

// String returns the token as clients have it.
func (t token) String() string {
	return strconv.FormatUint(uint64(t.group), 10) + "-" + strconv.FormatUint(t.slot, 10)
}

func parseToken(b []byte) (token, bool) {
	const most = 2*20 + 1
	if len(b) > most {
		return token{}, false
	}
	group, slot, _ := strings.Cut(string(b), "-")
	g, err := strconv.ParseUint(group, 10, 64)
	if err != nil {
		return token{}, false
	}
	s, err := strconv.ParseUint(slot, 10, 64)
	t := token{group: shard.GroupID(g), slot: s}
	return t, err == nil && t.String() == string(b)
}

// watch is DISKV.WATCH key ...: a token of the state as it is. It is a query only:
// within a slot it would promise what the rest of the slot does not keep.
func watch(c *call) {
	if !c.checking() {
		c.out = resp.AppendBulkString(c.out, token{group: c.s.group, slot: c.s.slot}.String())
	}
}

// Watched is a key that a transaction depends on.
type Watched struct {
	// Token is what DISKV.WATCH has returned for the key: the transaction is executed
	// if nobody has changed the key since.
	Token []byte
	Key   []byte
}

// TransactionArgs returns DISKV.EXEC key numwatched [token key ...] and for each
// command numargs name [arg ...]. The key is there for clients that route by it; an
// empty one counts as none. The arguments alias those given.
func TransactionArgs(key []byte, watched []Watched, commands [][][]byte) [][]byte {
	n := 3 + 2*len(watched)
	for _, command := range commands {
		n += 1 + len(command)
	}
	args := make([][]byte, 0, n)
	args = append(args, []byte("DISKV.EXEC"), key, strconv.AppendInt(nil, int64(len(watched)), 10))
	for _, w := range watched {
		args = append(args, w.Token, w.Key)
	}
	for _, command := range commands {
		args = append(append(args, strconv.AppendInt(nil, int64(len(command)), 10)), command...)
	}
	return args
}

// ReadTransaction is the inverse of [TransactionArgs]: what a transaction depends on,
// and its commands. They alias the arguments. ok is false if they are none, or would be
// refused whatever the state is.
func ReadTransaction(args [][]byte) (watched []Watched, commands [][][]byte, ok bool) {
	a, refusal := admit(args)
	if refusal != "" || a.transaction == nil {
		return nil, nil, false
	}
	for _, w := range a.transaction.watched {
		watched = append(watched, Watched{Token: []byte(w.since.String()), Key: w.key})
	}
	for _, command := range a.transaction.commands {
		commands = append(commands, command.args)
	}
	return watched, commands, true
}

// transaction is what DISKV.EXEC asks for, with nothing wrong in the form.
type transaction struct {
	watched  []watchedKey
	commands []admitted
}

type watchedKey struct {
	since token
	key   []byte
}

// admitted is a command of a transaction.
type admitted struct {
	admission
	args [][]byte
}

// admitTransaction reads the arguments of DISKV.EXEC and adds to a what they say of
// it. What is executed relies on all of it, as on admit.
func admitTransaction(a *admission, args [][]byte) (refusal string) {
	t := &transaction{}
	a.transaction, a.write, a.grows = t, false, false
	if key := args[1]; len(key) > 0 {
		if refusal = a.take(key); refusal != "" {
			return refusal
		}
	}
	n, ok := resp.ParseInt(args[2])
	rest := args[3:]
	switch {
	case ok && n > MaxWatched:
		return errTooManyWatched
	case !ok || n < 0 || 2*n > int64(len(rest)):
		return errTransactionForm
	}
	for ; n > 0; n-- {
		since, ok := parseToken(rest[0])
		if !ok {
			return errToken
		}
		if refusal = a.take(rest[1]); refusal != "" {
			return refusal
		}
		t.watched = append(t.watched, watchedKey{since: since, key: rest[1]})
		rest = rest[2:]
	}
	for heavy := 0; len(rest) > 0; {
		n, ok := resp.ParseInt(rest[0])
		rest = rest[1:]
		switch {
		case len(t.commands) == MaxTransaction:
			return errTooManyCommands
		case !ok || n <= 0 || n > int64(len(rest)):
			return errTransactionForm
		}
		command := rest[:n:n]
		rest = rest[n:]
		if spec, ok := Find(command); ok && !spec.InTransactions() {
			return fmt.Sprintf("ERR %s is not allowed in transactions", strings.ToUpper(spec.Name))
		}
		part, refusal := admit(command)
		if refusal != "" {
			return refusal
		}
		if part.spec.heavy() {
			if heavy++; heavy > maxHeavy {
				return errTooHeavy
			}
		}
		if part.keyed && a.keyed && part.shard != a.shard {
			return errCrossSlot
		}
		if part.keyed {
			a.keyed, a.shard = true, part.shard
		}
		a.write, a.grows = a.write || part.write, a.grows || part.grows
		t.commands = append(t.commands, admitted{admission: part, args: command})
	}
	return ""
}

// InTransactions tells whether the command may be part of a transaction: not one that
// wraps others, nor one whose reply is no function of the log.
func (s *Spec) InTransactions() bool {
	executed := s.run != nil || len(s.Subcommands) > 0
	return executed && s.Flags&(NoMulti|queryOnly) == 0
}

// heavy tells whether one command may look at a large part of all keys, or of long values.
func (s *Spec) heavy() bool {
	return s.Flags&dangerous != 0 || s.Name == "lcs" || s.Name == "diskv.range"
}

// check appends the first error that the commands of the transaction would get
// whatever the state is.
func (t *transaction) check(dst []byte, in shard.ID) []byte {
	for i := range t.commands {
		c := call{args: t.commands[i].args, out: dst, shard: in, maxValue: hardMaxValue}
		if t.commands[i].spec.run(&c); len(c.out) > len(dst) {
			return c.out
		}
	}
	return dst
}

// transact executes a transaction: all of it, or nothing, answered with null, if a
// watched key may have changed.
func (s *Store) transact(c call, t *transaction) call {
	if !s.unchanged(&c, t.watched) {
		c.out = resp.AppendNull(c.out)
		return c
	}
	c.out = resp.AppendArray(c.out, len(t.commands))
	start := len(c.out)
	for i := range t.commands {
		if i > 0 && c.logged {
			s.reap(reapPerCommand)
		}
		before := len(c.out)
		c.args = t.commands[i].args
		c = s.run(c, t.commands[i].spec)
		if len(c.out)-start > maxTransactionReply {
			c.out = resp.AppendError(c.out[:before], errReplyDropped)
		}
	}
	return c
}

// unchanged tells whether no watched key has changed. It may say no when none has:
// of a key that is not there it is only known when any key of the shard was removed.
func (s *Store) unchanged(c *call, watched []watchedKey) bool {
	for i := range watched {
		w := &watched[i]
		if w.since.group != s.group || w.since.slot > s.slot {
			return false
		}
		changed := s.removed[c.shard]
		if it, ok := s.get(c.shard, w.key); ok {
			if !c.alive(it.expiry) {
				return false // since the watch, or shortly before
			}
			changed = it.changed
		}
		if changed > w.since.slot {
			return false
		}
	}
	return true
}

// transactionKeys returns all keys of DISKV.EXEC, or none if its form is wrong.
func transactionKeys(args [][]byte) [][]byte {
	watched, commands, ok := ReadTransaction(args)
	if !ok {
		return nil
	}
	var keys [][]byte
	add := func(key []byte) {
		for _, k := range keys[max(0, len(keys)-16):] { // the same key is often named again at once
			if bytes.Equal(k, key) {
				return
			}
		}
		keys = append(keys, key)
	}
	if len(args[1]) > 0 {
		add(args[1])
	}
	for _, w := range watched {
		add(w.Key)
	}
	for _, command := range commands {
		spec, _ := Find(command)
		for _, key := range spec.Keys(command) {
			add(key)
		}
	}
	return keys
}
