package crashreplay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"diskv/client"
	"diskv/internal/resp"
	"diskv/tests/proc"
)

// Clients pause between operations: the processes share the machine with the checks.
const (
	longestPause = 36 * time.Millisecond
	// opTimeout bounds an operation of the Go client, which waits out elections. A plain
	// client gives up sooner, so that it asks members that do not answer.
	opTimeout    = 12 * time.Second
	plainTimeout = 2 * time.Second
	// restlessTimeout is that of one that goes from member to member.
	restlessTimeout = 400 * time.Millisecond
)

// pause waits before the next operation of a client. It reports false when ctx is over.
func pause(ctx context.Context, chance *rand.Rand) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(chance.Int64N(int64(longestPause)))):
		return true
	}
}

// newOp is an operation of a client that begins now.
func (r *run) newOp(p *page, verb Verb, id int) Op {
	o := Op{Key: p.key, Client: id, Verb: verb, Call: r.now()}
	if verb == Put || verb == Append {
		o.Arg = fmt.Sprintf("%d.%d%s", id, r.marks.Add(1), markEnd)
	}
	return o
}

// command is an operation in Redis' words.
func (o *Op) command() []string {
	switch o.Verb {
	case Put:
		return []string{"SET", o.Key, o.Arg}
	case Append:
		return []string{"APPEND", o.Key, o.Arg}
	case Delete:
		return []string{"DEL", o.Key}
	case Incr:
		return []string{"INCR", o.Key}
	case Get:
	}
	return []string{"GET", o.Key}
}

// answer notes a reply.
func (o *Op) answer(v resp.Value) error {
	o.Outcome = OK
	switch o.Verb {
	case Get:
		if o.Null = v.IsNull(); !o.Null {
			o.Text = string(v.Str)
		}
		if !o.Null && v.Kind != resp.KindBulk {
			return fmt.Errorf("%s: reply of kind %q", strings.Join(o.command(), " "), byte(v.Kind))
		}
	case Put:
		if v.Kind != resp.KindSimple || string(v.Str) != "OK" {
			return fmt.Errorf("%s: reply %q", strings.Join(o.command(), " "), v.Str)
		}
	case Append, Delete, Incr:
		if v.Kind != resp.KindInt {
			return fmt.Errorf("%s: reply of kind %q", strings.Join(o.command(), " "), byte(v.Kind))
		}
		o.Number = v.Int
	}
	return nil
}

// note ends an operation.
func (r *run) note(p *page, o Op) {
	o.Return = r.now()
	r.history.add(o)
	r.tally.add(o)
	if o.Outcome == OK && o.Verb != Get {
		r.answers.note()
	}
	if p != nil {
		r.book.end(p, o)
	}
}

// goClient is a goroutine that uses the Go client, whose writes are executed exactly once.
func (r *run) goClient(ctx context.Context, id int) {
	chance := rand.New(rand.NewPCG(r.o.Seed, uint64(id)))
	for pause(ctx, chance) {
		p, verb := r.book.begin(chance)
		o := r.newOp(p, verb, id)
		err := r.do(r.ctx, &o) // what is under way ends, though ctx does
		r.note(p, o)
		if err != nil {
			r.violate(Violation{Kind: "answer", Text: err.Error()})
		}
	}
}

// do has the Go client execute an operation. An error is an answer that cannot be.
func (r *run) do(ctx context.Context, o *Op) error {
	within, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	command := client.Query(o.command()...)
	if o.Verb != Get {
		command = client.Update(o.command()...)
	}
	v, err := r.client.Do(within, command)
	switch {
	case err == nil:
		return o.answer(v)
	case o.Verb == Get:
		o.Outcome = Refused
	case errors.Is(err, client.ErrUnknownOutcome), errors.Is(err, client.ErrReplyNotKept):
		o.Outcome = Unknown
	default:
		o.Outcome = Refused
	}
	o.Why = short(err)
	return nil
}

// short is the beginning of an error.
func short(err error) string {
	s := err.Error()
	return s[:min(len(s), 160)]
}

// refusals are the errors that say that a command was not executed.
var refusals = map[string]bool{"MOVED": true, "CLUSTERDOWN": true, "TRYAGAIN": true, "LOADING": true, "MISCONF": true}

// plainClient is a client that knows RESP and nothing of clusters: it asks whichever member
// it is connected to, also one that is cut off, and sends nothing twice. A restless one goes from member
// to member and waits for none of them, so that it finds a new leader before others do.
func (r *run) plainClient(ctx context.Context, id int, restless bool) {
	chance := rand.New(rand.NewPCG(r.o.Seed, uint64(id)))
	var conn *proc.Conn
	drop := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	defer drop()
	all := r.addresses()
	addr, left := "", 0
	for pause(ctx, chance) {
		if left--; left < 0 || addr == "" {
			drop()
			addr, left = all[chance.IntN(len(all))], 20+chance.IntN(60)
			if restless {
				left = chance.IntN(3)
			}
		}
		if conn == nil {
			c, err := proc.Dial(addr)
			if err != nil {
				addr = ""
				continue
			}
			c.Timeout = plainTimeout
			if restless {
				c.Timeout = restlessTimeout
			}
			conn = c
		}
		p, verb := r.book.begin(chance)
		o := r.newOp(p, verb, id)
		v, err := conn.Do(o.command()...)
		var refused resp.ErrorReply
		switch {
		case err == nil:
			err = o.answer(v)
		case errors.As(err, &refused):
			err = o.refuse(refused)
			if words := strings.Fields(string(refused)); len(words) == 3 && words[0] == "MOVED" && chance.IntN(4) > 0 {
				addr = words[2]
				drop()
			} else if refused.Code() != "MOVED" {
				time.Sleep(10 * time.Millisecond)
			}
		default:
			o.Outcome, o.Why = Unknown, short(err)
			if o.Verb == Get {
				o.Outcome = Refused
			}
			drop()
			addr, err = "", nil
		}
		r.note(p, o)
		if err != nil {
			r.violate(Violation{Kind: "answer", Text: err.Error()})
		}
	}
}

// refuse notes an error reply. An error is one that should not come.
func (o *Op) refuse(reply resp.ErrorReply) error {
	o.Outcome, o.Why = Refused, string(reply)
	switch {
	case refusals[reply.Code()]:
	case reply.Code() == "UNKNOWNRESULT":
		if o.Verb != Get {
			o.Outcome = Unknown
		}
	default:
		o.Outcome = Unknown
		return fmt.Errorf("%s: %s", strings.Join(o.command(), " "), strconv.Quote(string(reply)))
	}
	return nil
}

// answers tells who waits for the moment of an answer to a write.
type answers struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// next returns a channel that is closed at the next answer.
func (a *answers) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = make(chan struct{})
	}
	return a.waiting
}

func (a *answers) note() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting != nil {
		close(a.waiting)
		a.waiting = nil
	}
}
