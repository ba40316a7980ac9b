package sim

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"diskv/internal/resp"
)

// value is what a key holds, as a client would expect it.
type value struct {
	text     string
	there    bool
	volatile bool // it may be gone at any time
}

// step is the sequential meaning of an operation: whether it can have given its
// reply on v, and what it leaves. A reply that is not known can be any.
func (o *operation) step(v value) (bool, value) {
	known := o.ret != never
	is := func(want []byte) bool { return !known || o.reply == string(want) }
	var b [64]byte
	switch o.verb {
	case verbPut:
		return is(resp.AppendSimple(b[:0], "OK")), value{text: o.arg, there: true}
	case verbPutFor:
		return is(resp.AppendSimple(b[:0], "OK")), value{text: o.arg, there: true, volatile: true}
	case verbAppend:
		v.text += o.arg
		v.there = true
		return is(resp.AppendInt(b[:0], int64(len(v.text)))), v
	case verbDelete:
		n := int64(0)
		if v.there {
			n = 1
		}
		return is(resp.AppendInt(b[:0], n)), value{}
	case verbIncr:
		n, _ := strconv.ParseInt(v.text, 10, 64)
		n++
		return is(resp.AppendInt(b[:0], n)), value{text: strconv.FormatInt(n, 10), there: true}
	case verbTransact:
		if o.changedNothing() {
			return true, v // as it may whenever somebody else has changed something nearby
		}
		n, _ := strconv.ParseInt(v.text, 10, 64)
		text := strconv.FormatInt(n+1, 10)
		want := resp.AppendBulkString(resp.AppendSimple(resp.AppendArray(b[:0], 2), "OK"), text)
		return o.result() == string(want), value{text: text, there: true}
	default:
		if v.volatile && o.reply == string(resp.AppendNull(b[:0])) {
			return true, value{}
		}
		if !v.there {
			return is(resp.AppendNull(b[:0])), v
		}
		return is(resp.AppendBulkString(nil, v.text)), v
	}
}

// result is the reply, or, if the client has not got it, what the log says that it was.
func (o *operation) result() string {
	if o.ret == never {
		return o.outcome
	}
	return o.reply
}

// changedNothing tells whether a transaction was not executed, since its key had changed.
func (o *operation) changedNothing() bool { return o.result() == string(resp.AppendNull(nil)) }

var modelSeed = maphash.MakeSeed()

// model is a key of the store for the linearizability check.
var model = porcupine.Model{
	Init: func() any { return value{} },
	Step: func(state, input, _ any) (bool, any) {
		ok, next := input.(*operation).step(state.(value))
		return ok, next
	},
	Hash: func(state any) uint64 { return maphash.Comparable(modelSeed, state.(value)) },
}

// checkHistory checks what the clients saw, key by key.
func (w *world) checkHistory() {
	byKey := make(map[string][]*operation)
	var keys []string
	for _, op := range w.history {
		if op.call == 0 && op.ret == 0 {
			continue
		}
		if byKey[op.key] == nil {
			keys = append(keys, op.key)
		}
		byKey[op.key] = append(byKey[op.key], op)
	}
	for _, key := range keys {
		w.checkKey(key, byKey[key])
		if w.err != nil {
			return
		}
	}
}

// checkKey checks the operations on one key.
func (w *world) checkKey(key string, ops []*operation) {
	history := make([]porcupine.Operation, 0, len(ops))
	set := never // when a value that expires was there for certain
	for _, op := range ops {
		if op.verb == verbPutFor {
			set = min(set, op.ret)
		}
	}
	for _, op := range ops {
		ret := op.ret
		if ret == never {
			// The log tells what became of it. If it was executed, then at the
			// latest when the first member applied it.
			if ret = op.applied; ret == 0 {
				continue
			}
		}
		if op.reads() && op.call > set && op.reply == string(resp.AppendNull(nil)) {
			w.mark(MarkExpired)
		}
		history = append(history, porcupine.Operation{ClientId: op.client, Input: op, Call: int64(op.call), Return: int64(ret)})
	}
	switch porcupine.CheckOperationsTimeout(model, history, time.Minute) {
	case porcupine.Illegal:
		w.fail("the history of key %s is not linearizable:\n%s", key, describeHistory(ops))
		return
	case porcupine.Unknown:
		w.fail("the history of key %s could not be checked within a minute", key)
		return
	}
	if key[0] == keyList {
		w.checkMarkers(key, ops)
	}
}

// checkMarkers counts the markers in the last read of a list: one that was
// executed is there once, and only that.
func (w *world) checkMarkers(key string, ops []*operation) {
	last := slices.MaxFunc(ops, func(a, b *operation) int {
		if a.reads() != b.reads() {
			if a.reads() {
				return 1
			}
			return -1
		}
		return int(a.call - b.call)
	})
	if !last.reads() || last.ret == never {
		return
	}
	_, text, _ := strings.Cut(last.reply, "\r\n")
	text = "," + strings.ReplaceAll(text, ",", ",,") // markers end with a comma each
	for _, op := range ops {
		if op.verb != verbAppend {
			continue
		}
		n := strings.Count(text, ","+op.arg)
		if n > 1 || n == 0 && op.applied != 0 && op.applied < last.call {
			w.fail("key %s: %v, which was applied at %v, is in the last read %d times", key, op, op.applied, n)
			return
		}
	}
}

func describeHistory(ops []*operation) string {
	var b strings.Builder
	for _, op := range ops {
		ret := "never"
		if op.ret != never {
			ret = op.ret.String()
		}
		fmt.Fprintf(&b, "  client %d  %v to %s  %v  %q\n", op.client, op.call, ret, op, op.reply)
	}
	return b.String()
}
