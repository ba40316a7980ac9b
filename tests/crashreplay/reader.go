package crashreplay

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"diskv/internal/resp"
)

const (
	// readEvery is how often a reader asks.
	readEvery = 25 * time.Millisecond
	// maxAsked is how many of its questions wait for an answer at most: those that it asks
	// while a member stands still are answered when that goes on.
	maxAsked = 60
	// readTimeout is above the longest time for which a member stands still.
	readTimeout = 12 * time.Second
)

// reader stays with one member and asks it what keys hold, again and again, and goes on to
// ask while it gets no answer: so a member that leads no more, and does not know it yet,
// is asked for what others have changed meanwhile.
func (r *run) reader(ctx context.Context, id int, addr string) {
	chance := rand.New(rand.NewPCG(r.o.Seed, uint64(id)))
	for pause(ctx, chance) {
		conn, err := net.DialTimeout("tcp", addr, dialTimeout)
		if err != nil {
			continue
		}
		r.readOn(ctx, conn, id, chance)
	}
}

// asked is a question on its way.
type asked struct {
	page *page
	op   Op
}

// readOn reads on one connection until that is broken, or ctx ends. Every question that was
// sent gets its answer noted, or that there was none.
func (r *run) readOn(ctx context.Context, conn net.Conn, id int, chance *rand.Rand) {
	waiting := make(chan asked, maxAsked)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in := resp.NewReplyReader(conn, resp.ReplyOptions{})
		broken := false
		for a := range waiting {
			var v resp.Value
			err := errBroken
			if !broken {
				_ = conn.SetReadDeadline(time.Now().Add(readTimeout)) // a failure shows in the read
				v, err = in.ReadReply()
			}
			var refused resp.ErrorReply
			switch {
			case err != nil:
				a.op.Outcome, a.op.Why, broken = Refused, short(err), true
				_ = conn.Close()
			case errors.As(v.Err(), &refused):
				err = a.op.refuse(refused)
			default:
				err = a.op.answer(v)
			}
			r.note(a.page, a.op)
			if err != nil && !broken {
				r.violate(Violation{Kind: "answer", Text: err.Error()})
			}
		}
	}()
	defer func() {
		close(waiting)
		if ctx.Err() != nil {
			_ = conn.Close() // what is asked is not waited for
		}
		<-ended
		_ = conn.Close()
	}()
	var out []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(chance.Int64N(2 * int64(readEvery)))):
		}
		if len(waiting) == maxAsked {
			continue
		}
		p := r.book.look(chance)
		if p == nil {
			continue
		}
		a := asked{p, r.newOp(p, Get, id)}
		out = resp.AppendCommand(out[:0], []byte("GET"), []byte(p.key))
		_, err := conn.Write(out)
		waiting <- a
		if err != nil {
			return
		}
	}
}

var errBroken = errors.New("the connection is broken")
