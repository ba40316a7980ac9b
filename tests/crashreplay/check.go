package crashreplay

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// content is what a key holds.
type content struct {
	text  string
	there bool
}

// step is the sequential meaning of an operation: whether it can have been answered as it
// was when the key held c, and what it leaves. What was not answered can have been
// answered in any way.
func (o *Op) step(c content) (bool, content) {
	known := o.Outcome == OK
	switch o.Verb {
	case Get:
		return !known || o.Null == !c.there && o.Text == c.text, c
	case Put:
		return true, content{o.Arg, true}
	case Append:
		c = content{c.text + o.Arg, true}
		return !known || o.Number == int64(len(c.text)), c
	case Delete:
		return !known || o.Number == 1 == c.there, content{}
	case Incr:
		n, err := strconv.ParseInt("0"+c.text, 10, 64)
		return err == nil && (!known || o.Number == n+1), content{strconv.FormatInt(n+1, 10), true}
	}
	return false, c
}

var modelSeed = maphash.MakeSeed()

// model is one key.
var model = porcupine.Model{
	Init: func() any { return content{} },
	Step: func(state, input, _ any) (bool, any) {
		ok, next := input.(*Op).step(state.(content))
		return ok, next
	},
	Hash: func(state any) uint64 { return maphash.Comparable(modelSeed, state.(content)) },
	DescribeOperation: func(input, _ any) string {
		return input.(*Op).String()
	},
	DescribeState: func(state any) string {
		if c := state.(content); c.there {
			return strconv.Quote(c.text)
		}
		return "nothing"
	},
}

// operations are those of a key for porcupine. What was refused, and reads without an
// answer, say nothing. An operation without an answer may happen at any time.
func operations(ops []Op) []porcupine.Operation {
	var out []porcupine.Operation
	for i := range ops {
		o := &ops[i]
		switch {
		case o.Outcome == Refused, o.Outcome == Unknown && o.Verb == Get:
			continue
		case o.Outcome == Unknown:
			out = append(out, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: math.MaxInt64})
		default:
			out = append(out, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: int64(o.Return)})
		}
	}
	return out
}

// Finding is what is wrong with the history of a key.
type Finding struct {
	Key  string
	Text string
	Ops  []Op // in the order of their calls
}

// CheckKey checks the operations on one key, all of them. Undecided: porcupine did not
// come to an end in time.
func CheckKey(ops []Op, patience time.Duration) (found *Finding, undecided bool) {
	if len(ops) == 0 {
		return nil, false
	}
	slices.SortStableFunc(ops, func(a, b Op) int { return int(a.Call - b.Call) })
	key := ops[0].Key
	if text := checkMarks(ops); text != "" {
		return &Finding{key, text, ops}, false
	}
	switch porcupine.CheckOperationsTimeout(model, operations(ops), patience) {
	case porcupine.Illegal:
		return &Finding{key, "the history is not linearizable", ops}, false
	case porcupine.Unknown:
		return nil, true
	case porcupine.Ok:
	}
	return nil, false
}

// checkMarks counts what was appended in the last read of a key to which there
// were only appends: every append that was answered before is there once, one without
// an answer at most once, one that was refused not at all.
func checkMarks(ops []Op) string {
	last := -1
	for i := range ops {
		switch o := &ops[i]; {
		case o.Verb == Get && o.Outcome == OK:
			last = i
		case o.Verb != Append && o.Verb != Get:
			return ""
		}
	}
	if last < 0 {
		return ""
	}
	read := &ops[last]
	text := markEnd + strings.ReplaceAll(read.Text, markEnd, markEnd+markEnd)
	for i := range ops {
		o := &ops[i]
		if o.Verb != Append {
			continue
		}
		n := strings.Count(text, markEnd+o.Arg)
		switch {
		case n > 1:
			return fmt.Sprintf("%q was appended once and is there %d times", o.Arg, n)
		case n == 1 && o.Outcome == Refused:
			return fmt.Sprintf("the append of %q was refused, and it is there", o.Arg)
		case n == 0 && o.Outcome == OK && o.Return < read.Call:
			return fmt.Sprintf("the append of %q was acknowledged, and it is not there later", o.Arg)
		}
	}
	return ""
}

// markEnd ends everything that is appended, and is nowhere else in it.
const markEnd = ";"

// WritePicture writes porcupine's picture of a finding, an HTML page.
func (f *Finding) WritePicture(path string) error {
	_, info := porcupine.CheckOperationsVerbose(model, operations(f.Ops), 30*time.Second)
	return porcupine.VisualizePath(model, info, path)
}

// String describes the finding with all operations of the key.
func (f *Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "key %s: %s\n", f.Key, f.Text)
	for i := range f.Ops {
		o := &f.Ops[i]
		fmt.Fprintf(&b, "  client %-4d %12.6f to %12.6f s  %v\n", o.Client, o.Call.Seconds(), o.Return.Seconds(), o)
	}
	return b.String()
}

// Recheck is what became of the check of a history that was kept.
type Recheck struct {
	Operations, Keys int
	Findings         []*Finding
	Undecided        []string // keys
}

// CheckHistory checks a history that was kept, key by key.
func CheckHistory(name string, patience time.Duration) (*Recheck, error) {
	byKey := make(map[string][]Op)
	var keys []string
	r := &Recheck{}
	err := ReadHistory(name, func(o Op) error {
		if byKey[o.Key] == nil {
			keys = append(keys, o.Key)
		}
		byKey[o.Key] = append(byKey[o.Key], o)
		r.Operations++
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Keys = len(keys)
	for _, k := range keys {
		found, undecided := CheckKey(byKey[k], patience)
		if found != nil {
			r.Findings = append(r.Findings, found)
		}
		if undecided {
			r.Undecided = append(r.Undecided, k)
		}
	}
	return r, nil
}
