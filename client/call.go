package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"diskv/internal/resp"
)

// slowAfter is how long a reply is awaited before somebody else is asked whether
// the one that was asked still leads.
const slowAfter = time.Second

// call is one command on its way through the cluster: it is sent until there is a
// reply that decides.
type call struct {
	what    string // for errors
	encoded []byte // not changed
	// lane returns the lane to send it by.
	lane func() int
	// target returns the group to send to, or nil while that is not known.
	target func() *group
	// moved takes note of a redirect; learn asks somebody how things are, best one
	// of the group, which may be nil.
	moved func(reply string) bool
	learn func(*group)
	// moving takes note of a sign that the shard is on its way, or has arrived; nil:
	// there is no shard.
	moving func(is bool)
	// write: only a reply shows that it was not executed once it has been sent.
	write bool

	unsure bool  // a copy was sent whose fate is not known
	last   error // what happened last
}

// verdict is what a reply says about a call.
type verdict int

const (
	// decided: it is the reply of the command, or a refusal that stays.
	decided verdict = iota
	// refused: this copy was not executed, and another one now would not be. It
	// says nothing of copies sent before.
	refused
	// again: this copy was not executed; a later one may be.
	again
	// elsewhere: this copy was not executed; another member is to be asked.
	elsewhere
	// unknown: this copy may have been executed, or may yet be.
	unknown
)

// strayErrors are the beginnings of errors that say nothing of the command: the
// first two are said of a connection, which is closed then; the third by one who
// holds no keys and has been asked in error.
var strayErrors = []string{"ERR max number of clients reached", "ERR Protocol error", "ERR this is a shardmaster"}

// judge tells what a reply says about the copy that it answers.
func judge(v Value) verdict {
	err := v.Err()
	if err == nil {
		return decided
	}
	switch codeOf(err) {
	case codeMoved:
		return elsewhere
	case codeTryAgain, codeClusterDown, codeLoading:
		return again
	case codeUnknownResult:
		return unknown
	case codeMisconf, codeSessionLimit, codeSessionInvalid:
		return refused
	}
	text := err.Error()
	for _, c := range strayErrors {
		if strings.HasPrefix(text, c) {
			return again
		}
	}
	// Members may differ in what they take: one may have executed what another
	// refuses.
	if strings.HasSuffix(text, "(--max-value-bytes)") || strings.HasPrefix(text, "ERR unknown command") {
		return refused
	}
	return decided
}

// perform sends a call until a reply decides, or ctx ends.
func (n *network) perform(ctx context.Context, c *call) (Value, error) {
	var wait backoff
	for {
		if ctx.Err() != nil {
			return Value{}, c.over(ended(ctx))
		}
		if n.ctx.Err() != nil {
			return Value{}, c.over(ErrClosed)
		}
		g := c.target()
		if g == nil {
			c.note("", errNoRoute)
			c.learn(nil)
			wait.wait(ctx)
			continue
		}
		addr := g.leader()
		v, sent, err := n.exchange(ctx, addr, c.lane(), c.encoded, func() bool {
			c.learn(g)
			now := c.target()
			return now != nil && now.leader() != addr
		})
		if err != nil {
			c.unsure = c.unsure || sent && c.write
			if errors.Is(err, ErrClosed) || errors.As(err, new(*resp.LimitError)) && !c.write {
				return Value{}, c.over(err) // it would be the same again
			}
			if ctx.Err() == nil { // the time that is over is no fault of the member
				c.note(addr, err)
				g.suspect(addr)
				c.learn(g)
				wait.wait(ctx)
			}
			continue
		}
		verdict := judge(v)
		if c.moving != nil && (verdict == decided || codeOf(v.Err()) == codeTryAgain) {
			c.moving(verdict != decided)
		}
		switch verdict {
		case decided:
			return v, v.Err()
		case refused:
			if !c.unsure {
				return v, v.Err()
			}
			c.note(addr, v.Err())
			wait.wait(ctx)
		case again:
			c.note(addr, v.Err())
			if codeOf(v.Err()) != codeTryAgain {
				g.suspect(addr) // perhaps another one knows better
				c.learn(g)
			}
			wait.wait(ctx)
		case elsewhere:
			c.note(addr, v.Err())
			if !c.moved(string(v.Str)) {
				g.suspect(addr)
			}
			wait.moved(ctx)
		case unknown:
			c.note(addr, v.Err())
			c.unsure = c.unsure || c.write
			c.learn(g)
			wait.wait(ctx)
		}
	}
}

func (c *call) note(addr string, err error) {
	if addr != "" {
		err = fmt.Errorf("%s: %w", addr, err)
	}
	c.last = err
}

// over is the error of a call that ends without a reply that decides. What
// happened last is told in words alone: an error reply in it is not the call's.
func (c *call) over(err error) error {
	if c.last != nil {
		err = fmt.Errorf("%w; before that: %v", err, c.last) //nolint:errorlint // see above
	}
	switch {
	case c.unsure:
		return fmt.Errorf("%s: %w: %w", c.what, ErrUnknownOutcome, err)
	case c.write:
		return fmt.Errorf("%s: not executed: %w", c.what, err)
	}
	return fmt.Errorf("%s: %w", c.what, err)
}

// ended says why ctx has ended: its own error, and the cause if there is another.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// describe names a command in errors, by its name and key.
func describe(name, key []byte) string {
	const most = 64
	s := strings.ToUpper(string(name[:min(len(name), most)]))
	if len(key) == 0 {
		return s
	}
	if len(key) > most {
		return fmt.Sprintf("%s %q...", s, key[:most])
	}
	return fmt.Sprintf("%s %q", s, key)
}
