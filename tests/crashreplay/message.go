package crashreplay

import (
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"diskv/server/transport"
)

// message is a payload with all its frames, or a frame of another kind.
type message struct {
	bytes []byte
	due   time.Time
}

// maxWaiting is how many messages wait on one connection: what is behind them waits in
// the sender's socket.
const maxWaiting = 256

// pass carries the messages of one direction of a connection until that ends, or
// is refused, and calls end, which ends the whole connection.
func (w *way) pass(to io.Writer, from io.Reader, end func(), chance *rand.Rand) {
	read := make(chan []byte, maxWaiting)
	quit := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		readMessages(from, read, quit)
	}()
	w.deliver(to, read, chance)
	close(quit)
	end() // the reader's connection too
	<-done
}

// readMessages puts frames together to messages.
func readMessages(from io.Reader, out chan<- []byte, quit <-chan struct{}) {
	defer close(out)
	parts := make(map[transport.Lane][]byte)
	for {
		f, err := transport.ReadFrame(from)
		if err != nil {
			return
		}
		whole := f.Bytes
		if f.Payload {
			whole = append(parts[f.Lane], f.Bytes...)
			if parts[f.Lane] = nil; !f.Last {
				parts[f.Lane] = whole
				continue
			}
		}
		select {
		case out <- whole:
		case <-quit:
			return
		}
	}
}

// deliver writes each message when its time has come, as the condition of the way is by then.
func (w *way) deliver(to io.Writer, read <-chan []byte, chance *rand.Rand) {
	var waiting []message // by due
	var last time.Time
	for {
		c, changed := w.condition()
		if c.Refused {
			return
		}
		var due <-chan time.Time
		if len(waiting) > 0 && !c.Cut {
			wait := time.Until(waiting[0].due)
			if wait <= 0 {
				if _, err := to.Write(waiting[0].bytes); err != nil {
					return
				}
				waiting = waiting[1:]
				continue
			}
			due = time.After(wait)
		}
		in := read
		if len(waiting) >= maxWaiting {
			in = nil
		}
		if read == nil && len(waiting) == 0 {
			return
		}
		select {
		case b, ok := <-in:
			if !ok {
				read = nil
				continue
			}
			m := message{bytes: b, due: time.Now()}
			if c.Late > 0 {
				m.due = m.due.Add(time.Duration(chance.Int64N(int64(c.Late))))
			}
			if !c.Disorder && m.due.Before(last) {
				m.due = last
			}
			last = m.due
			if chance.Float64() < c.Lost {
				continue
			}
			waiting = enqueue(waiting, m)
			if chance.Float64() < c.Doubled {
				m.due = m.due.Add(time.Duration(chance.Int64N(int64(c.Late) + 1)))
				waiting = enqueue(waiting, m)
			}
		case <-due:
		case <-changed:
		}
	}
}

// enqueue inserts a message behind those that are due no later.
func enqueue(waiting []message, m message) []message {
	i, _ := slices.BinarySearchFunc(waiting, m, func(a, b message) int {
		if a.due.After(b.due) {
			return 1
		}
		return -1
	})
	return slices.Insert(waiting, i, m)
}

func newChance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
