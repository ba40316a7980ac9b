package kv

import (
	"fmt"
	"strings"

	"diskv/internal/resp"
	"diskv/shard"
)

// Prepared is a command that has nothing wrong in itself.
type Prepared struct {
	// Spec is that of the command; of one in DISKV.ONCE, that of the wrapped one; of a
	// subcommand, that of its container.
	Spec *Spec
	// Command is what goes through the log, or, if not Write, into a query. Its
	// arguments alias those given. MaxValue is left to the caller.
	Command Command
	// Write: it has to go through the log.
	Write bool
	// Grows: it may need more memory or disk.
	Grows bool
	// Keyed: it has keys, all of them in Shard.
	Keyed bool
	Shard shard.ID
}

// Prepare checks a command as far as that can be done without the state: that it
// is known, the number of its arguments, that its keys are in one shard, and its
// syntax. refusal is nil, or the error reply, in the words of Redis 7.0. It may be
// called by any goroutine.
func Prepare(args [][]byte) (p Prepared, refusal []byte) {
	a, text := admit(args)
	if text != "" {
		return Prepared{}, resp.AppendError(nil, text)
	}
	switch {
	case a.transaction != nil:
		refusal = a.transaction.check(nil, a.shard)
	case a.spec.run == nil:
		return prepareOnce(args, a.shard)
	default:
		c := call{args: args, shard: a.shard, maxValue: hardMaxValue}
		a.spec.run(&c)
		refusal = c.out
	}
	if len(refusal) > 0 {
		return Prepared{}, refusal
	}
	return Prepared{
		Spec:    a.named,
		Command: Command{Args: args},
		Write:   a.write,
		Grows:   a.grows,
		Keyed:   a.keyed,
		Shard:   a.shard,
	}, nil
}

// prepareOnce unwraps DISKV.ONCE key session number command ..., whose key, there
// for clients that route by it, is in a shard.
func prepareOnce(args [][]byte, in shard.ID) (Prepared, []byte) {
	refuse := func(text string) (Prepared, []byte) { return Prepared{}, resp.AppendError(nil, text) }
	id, err := ParseSessionID(args[2])
	if err != nil {
		return refuse("ERR " + err.Error())
	}
	seq, ok := resp.ParseInt(args[3])
	if !ok || seq <= 0 {
		return refuse(errOnceSeq)
	}
	wrapped := args[4:]
	if spec, ok := Lookup(wrapped[0]); ok && spec.Name == onceName {
		return refuse(errNested)
	}
	p, refusal := Prepare(wrapped)
	switch {
	case refusal != nil:
		return Prepared{}, refusal
	case !p.Keyed:
		return refuse(errOnceKeyless)
	case p.Spec.Flags&queryOnly != 0:
		return refuse(errOnceNotLogged)
	case p.Shard != in:
		return refuse(errCrossSlot)
	}
	p.Command.Session, p.Command.Seq = id, uint64(seq)
	p.Write = true
	return p, nil
}

// admission is what is known of a command once its name, the number of its
// arguments and its keys are found right.
type admission struct {
	spec  *Spec
	named *Spec // the same, or what a subcommand is one of
	keyed bool
	shard shard.ID
	write bool // it has to go through the log
	grows bool // it may need more memory or disk

	transaction *transaction // nil: it is none
}

// take notes a key. The refusal is empty if that may be one of the command.
func (a *admission) take(key []byte) (refusal string) {
	if len(key) > MaxKey {
		return errKeyTooLarge
	}
	id := shard.Of(key)
	if a.keyed && id != a.shard {
		return errCrossSlot
	}
	a.keyed, a.shard = true, id
	return ""
}

// admit does that part of the checks that is made again when the command is
// executed: what it does relies on them. The refusal is empty if all is right.
func admit(args [][]byte) (admission, string) {
	if len(args) == 0 {
		return admission{}, errSyntax
	}
	named, ok := Lookup(args[0])
	if !ok {
		return admission{}, unknownCommand(args)
	}
	if !named.fits(len(args)) {
		return admission{}, wrongArguments(named.Name)
	}
	spec := named.of(args)
	switch {
	case len(spec.Subcommands) > 0:
		return admission{}, fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", cut(args[1], 128), strings.ToUpper(named.Name))
	case !spec.fits(len(args)):
		return admission{}, wrongArguments(named.Name + "|" + spec.Name)
	}
	a := admission{spec: spec, named: named, write: spec.IsWrite(), grows: spec.Flags&DenyOOM != 0}
	if spec.Flags&MovableKeys != 0 {
		if refusal := admitTransaction(&a, args); refusal != "" {
			return admission{}, refusal
		}
		return a, ""
	}
	from, last, step := spec.keyRange(len(args))
	for i := from; i <= last; i += step {
		if refusal := a.take(args[i]); refusal != "" {
			return admission{}, refusal
		}
	}
	return a, ""
}

func wrongArguments(name string) string {
	return fmt.Sprintf("ERR wrong number of arguments for '%s' command", name)
}

// unknownCommand says what Redis says, the space at the end included.
func unknownCommand(args [][]byte) string {
	const most = 128 // bytes that are shown of the name, and of the arguments
	var b strings.Builder
	fmt.Fprintf(&b, "ERR unknown command '%s', with args beginning with: ", cut(args[0], most))
	start := b.Len()
	for _, arg := range args[1:] {
		shown := b.Len() - start
		if shown >= most {
			break
		}
		fmt.Fprintf(&b, "'%s' ", cut(arg, most-shown))
	}
	return b.String()
}

func cut(b []byte, most int) []byte { return b[:min(len(b), most)] }
