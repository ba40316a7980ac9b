package client

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"diskv/internal/resp"
	"diskv/shard"
)

// A session lives for an hour of the cluster's log time, which may run a little
// apart from our clock. Nothing begins on one that is older than sessionUse, and
// nothing is tried again on one that is older than sessionStop: so there is always
// time for retries, and an operation is never tried where it may be forgotten.
const (
	sessionUse  = 20 * time.Minute
	sessionStop = 40 * time.Minute
)

// session numbers operations, one at a time. An operation whose outcome stayed
// unknown keeps its number for ever; the next has a higher one, and once that was
// executed somewhere, no late copy of the other is any more in the same group.
type session struct {
	id   string
	born time.Time // not after its real birth by our clock
	seq  uint64    // of the last operation
}

// sessions is the sessions of a client: as many as there were writes at once.
type sessions struct {
	use, stop time.Duration

	mu   sync.Mutex
	idle []*session // the one used last is taken first
}

// take returns an idle session that is young enough, or nil.
func (p *sessions) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		s := p.idle[len(p.idle)-1]
		p.idle[len(p.idle)-1] = nil
		p.idle = p.idle[:len(p.idle)-1]
		if time.Since(s.born) < p.use {
			return s
		}
	}
	return nil
}

// put returns a session that has nothing under way but, perhaps, copies of an
// operation that was given up.
func (p *sessions) put(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
}

var newSession = resp.AppendCommand(nil, []byte("DISKV.SESSION"))

// session returns one for an operation in a shard.
func (c *Client) session(ctx context.Context, id shard.ID) (*session, error) {
	if s := c.sessions.take(); s != nil {
		return s, nil
	}
	s := &session{born: time.Now()}
	v, err := c.net.perform(ctx, c.call("DISKV.SESSION", laneRead, newSession, id))
	if err != nil {
		return nil, fmt.Errorf("begin a session: %w", err)
	}
	if v.Kind != kindBulk || len(v.Str) == 0 {
		return nil, unexpected("DISKV.SESSION", v)
	}
	s.id = string(v.Str)
	return s, nil
}

var once = []byte("DISKV.ONCE")

// write executes a command exactly once, unless its outcome stays unknown.
func (c *Client) write(ctx context.Context, cmd Command) (Value, error) {
	key := cmd.key()
	id := shard.Of(key)
	what := describe(cmd.Args[0], key)
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return Value{}, fmt.Errorf("%s: not executed: %d writes are under way: %w", what, cap(c.writing), ended(ctx))
	}
	var wait backoff
	for {
		s, err := c.session(ctx, id)
		if err != nil {
			return Value{}, fmt.Errorf("%s: not executed: %w", what, err)
		}
		s.seq++
		args := append(make([][]byte, 0, 4+len(cmd.Args)), once, key, []byte(s.id), strconv.AppendUint(nil, s.seq, 10))
		call := c.call(what, laneWrite, resp.AppendCommand(nil, append(args, cmd.Args...)...), id)
		call.write = true
		opCtx, cancel := context.WithDeadlineCause(ctx, s.born.Add(c.sessions.stop), errSessionOver)
		v, err := c.net.perform(opCtx, call)
		cancel()
		switch codeOf(err) {
		case codeSessionExpired, codeStaleSeq, codeSessionInvalid:
			// The session is of no use here: its hour is over although our clock says
			// otherwise, somebody else uses it, or the group's clock is far behind.
			// If only this copy was sent, nothing was executed.
			if call.unsure {
				return Value{}, fmt.Errorf("%s: %w: %v", what, ErrUnknownOutcome, err) //nolint:errorlint // not the reply of the command
			}
			if wait.wait(ctx); ctx.Err() != nil {
				return Value{}, fmt.Errorf("%s: not executed: %w; before that: %v", what, ended(ctx), err) //nolint:errorlint // as above
			}
			continue
		}
		c.sessions.put(s)
		if codeOf(err) == codeReplyNotKept {
			return Value{}, fmt.Errorf("%s: %w", what, ErrReplyNotKept)
		}
		return v, err
	}
}
