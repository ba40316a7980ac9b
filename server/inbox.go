package server

import (
	"sync"

	"diskv/replica"
)

// input is something for the replica, carried to the loop.
type input func(r *replica.Replica)

// inbox is the queue of inputs. Putting never blocks: who puts bounds how much
// it puts.
type inbox struct {
	mu     sync.Mutex
	inputs []input
	closed bool
	wake   chan struct{} // has room for one
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put adds inputs. It reports false if the loop has ended.
func (b *inbox) put(in ...input) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	first := len(b.inputs) == 0
	b.inputs = append(b.inputs, in...)
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// take returns everything that waits, in order, and gives the inbox an emptied
// slice to gather in.
func (b *inbox) take(empty []input) []input {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.inputs
	b.inputs = empty
	return out
}

// close refuses further inputs.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.inputs = nil
}
