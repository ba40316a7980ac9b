package lab

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// history is what several clients have done to keys and seen of them, in the time of
// the test. It is for any goroutine.
type history struct {
	begun time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// operation is an append to a key, or with no value the reading of it.
type operation struct{ key, value string }

func newHistory() *history { return &history{begun: time.Now()} }

// append appends through a clerk, and notes the length that the key has then.
func (h *history) append(client int, c *clerk, key, value string) error {
	call := time.Since(h.begun)
	ctx, cancel := c.within()
	defer cancel()
	n, err := c.c.Append(ctx, key, []byte(value))
	if err != nil {
		return fmt.Errorf("append to %s: %w", key, err)
	}
	h.note(client, call, operation{key, value}, n)
	return nil
}

// get reads through a clerk, and notes what is there.
func (h *history) get(client int, c *clerk, key string) error {
	call := time.Since(h.begun)
	got, err := c.get(key)
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	h.note(client, call, operation{key: key}, got)
	return nil
}

func (h *history) note(client int, call time.Duration, in operation, out any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(time.Since(h.begun)),
	})
}

// appended is how many appends there were.
func (h *history) appended() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, o := range h.ops {
		if o.Input.(operation).value != "" {
			n++
		}
	}
	return n
}

// requireLinearizable checks that for every key some order of what was done to it, in
// which nothing comes before what had ended when it began, explains everything that
// was seen.
func (h *history) requireLinearizable(t *testing.T) {
	t.Helper()
	model := porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			byKey := make(map[string][]porcupine.Operation)
			for _, o := range all {
				key := o.Input.(operation).key
				byKey[key] = append(byKey[key], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			value, in := state.(string), input.(operation)
			if in.value == "" {
				return output.(string) == value, value
			}
			value += in.value
			return output.(int64) == int64(len(value)), value
		},
	}
	if porcupine.CheckOperations(model, h.ops) {
		return
	}
	var bad strings.Builder
	for _, part := range model.Partition(h.ops) {
		if !porcupine.CheckOperations(model, part) {
			fmt.Fprintf(&bad, "%s:\n", part[0].Input.(operation).key)
			for _, o := range part {
				fmt.Fprintf(&bad, "  client %d, %d to %d us: append %q -> %v\n", o.ClientId, o.Call/1000, o.Return/1000, o.Input.(operation).value, o.Output)
			}
		}
	}
	require.Empty(t, bad.String(), "not linearizable")
}

// holds returns what a key must hold in the end: all that was appended to it, once, in
// the order that the lengths tell.
func (h *history) holds() map[string]string {
	pieces := make(map[string]map[int64]string)
	for _, o := range h.ops {
		if in := o.Input.(operation); in.value != "" {
			if pieces[in.key] == nil {
				pieces[in.key] = make(map[int64]string)
			}
			pieces[in.key][o.Output.(int64)-int64(len(in.value))] = in.value
		}
	}
	out := make(map[string]string)
	for key, at := range pieces {
		var value strings.Builder
		for range at {
			value.WriteString(at[int64(value.Len())])
		}
		out[key] = value.String()
	}
	return out
}
