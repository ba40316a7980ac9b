package proc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"diskv/internal/resp"
)

// Router sends commands to the leader of a group, wherever that is, and sends
// them again when they fail: everything it writes goes through DISKV.ONCE, so
// that a retry is not applied twice. It is for one goroutine.
type Router struct {
	addrs   []string
	at      int
	moved   string // where the leader is said to be, or empty
	conn    *Conn
	session string
	seq     uint64
}

// Router returns a router to the members.
func (g *Group) Router() *Router { return &Router{addrs: g.Public} }

// retryCodes are the errors after which a command is sent again. Those behind
// which it may have been executed are among them.
var retryCodes = []string{"MOVED", "CLUSTERDOWN", "TRYAGAIN", "UNKNOWNRESULT", "LOADING", "MISCONF"}

// retryDelay is the wait before a command is sent to another member.
const retryDelay = 10 * time.Millisecond

// Write executes a command on a key exactly once and returns its reply. If ctx
// ends first, it may have been executed or not.
func (r *Router) Write(ctx context.Context, key string, command ...string) (resp.Value, error) {
	if r.session == "" {
		v, err := r.Read(ctx, "DISKV.SESSION")
		if err != nil {
			return v, err
		}
		r.session = string(v.Str)
	}
	r.seq++
	return r.Read(ctx, append([]string{"DISKV.ONCE", key, r.session, strconv.FormatUint(r.seq, 10)}, command...)...)
}

// Read executes a command that may be executed more than once.
func (r *Router) Read(ctx context.Context, command ...string) (resp.Value, error) {
	var last error
	for ctx.Err() == nil {
		v, err := r.try(command)
		if err == nil {
			return v, nil
		}
		var refused resp.ErrorReply
		if errors.As(err, &refused) && !retryable(refused) {
			return v, err
		}
		last = err
		if refused.Code() == "MOVED" && r.moved == "" {
			if f := strings.Fields(string(refused)); len(f) == 3 {
				r.moved = f[2]
				r.drop()
				continue
			}
		}
		r.moved = ""
		r.drop()
		r.at++
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
	return resp.Value{}, fmt.Errorf("%s: %w; last: %w", strings.Join(command, " "), ctx.Err(), last)
}

func retryable(e resp.ErrorReply) bool {
	for _, code := range retryCodes {
		if e.Code() == code {
			return true
		}
	}
	return false
}

func (r *Router) try(command []string) (resp.Value, error) {
	if r.conn == nil {
		addr := r.moved
		if addr == "" {
			addr = r.addrs[r.at%len(r.addrs)]
		}
		c, err := Dial(addr)
		if err != nil {
			return resp.Value{}, err
		}
		r.conn = c
	}
	return r.conn.Do(command...)
}

func (r *Router) drop() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

// Close closes the connection that is open.
func (r *Router) Close() { r.drop() }
