package kv

import (
	"slices"
	"strings"

	"diskv/internal/resp"
)

// Flags say what is known of a command before it is executed.
type Flags uint32

// The flags, by the words that COMMAND has for them.
const (
	Write       Flags = 1 << iota // changes keys: goes through the log
	ReadOnly                      // reads keys
	DenyOOM                       // may need more memory or disk
	Admin                         // for operators
	PubSub                        // about channels
	NoScript                      // not in scripts
	Blocking                      // may wait
	Loading                       // allowed while data is loaded
	Stale                         // allowed on a replica that lags
	Fast                          // constant or logarithmic time
	NoAuth                        // allowed before a log-in
	NoMulti                       // not in transactions
	MovableKeys                   // FirstKey, LastKey and Step do not tell all

	// keyspace and dangerous: categories that follow from nothing else. Not words of
	// COMMAND.
	keyspace  Flags = 1 << 29
	dangerous Flags = 1 << 30
	// queryOnly: the reply is no function of the log, so it may not go through it.
	// Not a word of COMMAND.
	queryOnly Flags = 1 << 31
)

// flagWords are in the order of the flags.
var flagWords = []string{
	"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "fast",
	"no_auth", "no_multi", "movablekeys",
}

// Words returns the flags as COMMAND names them.
func (f Flags) Words() []string {
	var words []string
	for i, word := range flagWords {
		if f&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return words
}

// Spec describes a command. Those of this package are executed by it; a server
// adds specs of its own, for commands that it executes itself.
type Spec struct {
	Name string // lower case; of a subcommand, its own name only
	// Arity is the number of arguments, the name included; negative: at least that
	// many.
	Arity int
	Flags Flags
	// Keys are the arguments FirstKey, FirstKey+Step, ... up to LastKey, which
	// counts from the end if it is negative. FirstKey 0: no keys.
	FirstKey, LastKey, Step int

	Group      string // as Redis groups commands: "string", "generic", "connection", ...
	Since      string // the version of Redis that had it first; of ours, diskv's
	Complexity string
	Summary    string

	// Subcommands are those of a container: of OBJECT, ENCODING and others. Their
	// arguments count from the container's name on, their keys too.
	Subcommands []*Spec

	run func(*call) // nil for what wraps other commands, and what this package does not execute
}

// of returns the subcommand that the arguments name, if s has one of that name, and else s.
func (s *Spec) of(args [][]byte) *Spec {
	if len(s.Subcommands) == 0 || len(args) < 2 {
		return s
	}
	for _, sub := range s.Subcommands {
		if strings.EqualFold(sub.Name, string(args[1][:min(len(args[1]), maxName)])) {
			return sub
		}
	}
	return s
}

// IsWrite tells whether the command goes through the log.
func (s *Spec) IsWrite() bool { return s.Flags&Write != 0 }

// fits tells whether a command with n arguments, its name included, has the right
// number of them.
func (s *Spec) fits(n int) bool {
	if s.Arity < 0 {
		return n >= -s.Arity
	}
	return n == s.Arity
}

// keyRange returns the arguments that are keys: from, up to and including last, in
// steps. It is empty, last < from, for a command without keys.
func (s *Spec) keyRange(n int) (from, last, step int) {
	if s.FirstKey == 0 {
		return 0, -1, 1
	}
	last = s.LastKey
	if last < 0 {
		last += n
	}
	return s.FirstKey, min(last, n-1), max(s.Step, 1)
}

// Keys returns the keys among the arguments of a command, whose number of
// arguments is right. They alias args.
func (s *Spec) Keys(args [][]byte) [][]byte {
	if s.Flags&MovableKeys != 0 {
		return transactionKeys(args)
	}
	var keys [][]byte
	from, last, step := s.keyRange(len(args))
	for i := from; i <= last; i += step {
		keys = append(keys, args[i])
	}
	return keys
}

// AppendInfo appends what COMMAND INFO says of the command: name, arity, flags,
// key positions, categories, tips, key specifications, subcommands.
func (s *Spec) AppendInfo(dst []byte) []byte { return s.appendInfo(dst, s.Name) }

func (s *Spec) appendInfo(dst []byte, fullName string) []byte {
	dst = resp.AppendArray(dst, 10)
	dst = resp.AppendBulkString(dst, fullName)
	dst = resp.AppendInt(dst, int64(s.Arity))
	dst = appendWords(dst, s.Flags.Words())
	dst = resp.AppendInt(dst, int64(s.FirstKey))
	dst = resp.AppendInt(dst, int64(s.LastKey))
	dst = resp.AppendInt(dst, int64(s.Step))
	dst = appendWords(dst, s.Categories())
	dst = resp.AppendArray(dst, 0)
	dst = s.appendKeySpecs(dst)
	dst = resp.AppendArray(dst, len(s.Subcommands))
	for _, sub := range s.Subcommands {
		dst = sub.appendInfo(dst, fullName+"|"+sub.Name)
	}
	return dst
}

func appendWords(dst []byte, words []string) []byte {
	dst = resp.AppendSet(dst, len(words))
	for _, word := range words {
		dst = resp.AppendSimple(dst, word)
	}
	return dst
}

// Categories returns the groups that access control knows the command by.
func (s *Spec) Categories() []string {
	var names []string
	add := func(f Flags, name string) {
		if s.Flags&f != 0 {
			names = append(names, name)
		}
	}
	switch s.Group {
	case "generic":
		if len(s.Subcommands) == 0 { // a container does nothing itself
			names = append(names, "@keyspace")
		}
	case "string", "connection":
		names = append(names, "@"+s.Group)
	case "transactions":
		names = append(names, "@transaction")
	}
	add(keyspace, "@keyspace")
	add(Write, "@write")
	add(ReadOnly, "@read")
	add(Admin, "@admin")
	add(Admin|dangerous, "@dangerous")
	add(PubSub, "@pubsub")
	add(Blocking, "@blocking")
	if s.Flags&Fast != 0 {
		return append(names, "@fast")
	}
	return append(names, "@slow")
}

// appendKeySpecs appends the same as FirstKey, LastKey and Step, in the words of
// Redis 7.
func (s *Spec) appendKeySpecs(dst []byte) []byte {
	if s.FirstKey == 0 {
		return resp.AppendArray(dst, 0)
	}
	last := s.LastKey
	if last > 0 {
		last -= s.FirstKey // counted from the first key
	}
	dst = resp.AppendArray(dst, 1)
	dst = resp.AppendMap(dst, 3)
	dst = resp.AppendBulkString(dst, "flags")
	if s.IsWrite() {
		dst = appendWords(dst, []string{"RW", "UPDATE"})
	} else {
		dst = appendWords(dst, []string{"RO", "ACCESS"})
	}
	dst = resp.AppendBulkString(dst, "begin_search")
	dst = resp.AppendMap(dst, 2)
	dst = resp.AppendBulkString(dst, "type")
	dst = resp.AppendBulkString(dst, "index")
	dst = resp.AppendBulkString(dst, "spec")
	dst = resp.AppendMap(dst, 1)
	dst = resp.AppendBulkString(dst, "index")
	dst = resp.AppendInt(dst, int64(s.FirstKey))
	dst = resp.AppendBulkString(dst, "find_keys")
	dst = resp.AppendMap(dst, 2)
	dst = resp.AppendBulkString(dst, "type")
	dst = resp.AppendBulkString(dst, "range")
	dst = resp.AppendBulkString(dst, "spec")
	dst = resp.AppendMap(dst, 3)
	dst = resp.AppendBulkString(dst, "lastkey")
	dst = resp.AppendInt(dst, int64(last))
	dst = resp.AppendBulkString(dst, "keystep")
	dst = resp.AppendInt(dst, int64(s.Step))
	dst = resp.AppendBulkString(dst, "limit")
	return resp.AppendInt(dst, 0)
}

// AppendDocs appends the command's name and what COMMAND DOCS says of it: one pair
// of the map that is its reply.
func (s *Spec) AppendDocs(dst []byte) []byte { return s.appendDocs(dst, s.Name) }

func (s *Spec) appendDocs(dst []byte, fullName string) []byte {
	dst = resp.AppendBulkString(dst, fullName)
	texts := []string{"summary", s.Summary, "since", s.Since, "group", s.Group, "complexity", s.Complexity}
	pairs := len(texts) / 2
	if len(s.Subcommands) > 0 {
		pairs++
	}
	dst = resp.AppendMap(dst, pairs)
	for _, text := range texts {
		dst = resp.AppendBulkString(dst, text)
	}
	if len(s.Subcommands) > 0 {
		dst = resp.AppendBulkString(dst, "subcommands")
		dst = resp.AppendMap(dst, len(s.Subcommands))
		for _, sub := range s.Subcommands {
			dst = sub.appendDocs(dst, fullName+"|"+sub.Name)
		}
	}
	return dst
}

// maxName is longer than the name of any command.
const maxName = 32

// Table finds commands by name. It does not change once it is made.
type Table struct {
	specs  []*Spec
	byName map[string]*Spec
}

// NewTable returns a table of specs. Of two with one name the later one counts.
func NewTable(specs ...*Spec) *Table {
	t := &Table{byName: make(map[string]*Spec, len(specs))}
	for _, s := range specs {
		t.byName[s.Name] = s
	}
	for _, s := range t.byName {
		t.specs = append(t.specs, s)
	}
	slices.SortFunc(t.specs, func(a, b *Spec) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// With returns a table that has further commands. A server makes one of its own
// commands and those of this package: kv.Commands().With(...). A container that is in
// both has all the subcommands, those of t first.
func (t *Table) With(specs ...*Spec) *Table {
	all := slices.Clone(t.specs)
	for _, s := range specs {
		if own, ok := t.byName[s.Name]; ok && len(own.Subcommands) > 0 {
			merged := *s
			merged.Subcommands = slices.Clone(own.Subcommands)
			for _, sub := range s.Subcommands {
				if !slices.ContainsFunc(own.Subcommands, func(o *Spec) bool { return o.Name == sub.Name }) {
					merged.Subcommands = append(merged.Subcommands, sub)
				}
			}
			s = &merged
		}
		all = append(all, s)
	}
	return NewTable(all...)
}

// Lookup returns the command of a name, which may be in upper or lower case.
func (t *Table) Lookup(name []byte) (*Spec, bool) {
	var lower [maxName]byte
	if len(name) > len(lower) {
		return nil, false
	}
	for i, b := range name {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	s, ok := t.byName[string(lower[:len(name)])]
	return s, ok
}

// Find returns the command that arguments are: a subcommand, if they name one.
func (t *Table) Find(args [][]byte) (*Spec, bool) {
	if len(args) == 0 {
		return nil, false
	}
	s, ok := t.Lookup(args[0])
	if !ok {
		return nil, false
	}
	return s.of(args), true
}

// Find returns the command of this package that arguments are: a subcommand, if they
// name one.
func Find(args [][]byte) (*Spec, bool) { return commands.Find(args) }

// Executes tells whether arguments are a command that is executed by this package, or
// else one that a server has. They may have one container: CLUSTER SLOTS is the server's,
// CLUSTER COUNTKEYSINSLOT a query to [Prepare].
func Executes(args [][]byte) bool {
	s, ok := Find(args)
	return ok && len(s.Subcommands) == 0
}

// All returns the commands, by name. The caller must not change the slice.
func (t *Table) All() []*Spec { return t.specs }

// Lookup returns the command of this package that has a name, in upper or lower
// case.
func Lookup(name []byte) (*Spec, bool) { return commands.Lookup(name) }

// Commands returns the table of this package's commands.
func Commands() *Table { return commands }
