package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diskv/internal/resp"
	"diskv/server/transport"
)

// outbound sends commands to nodes of other groups, as their client. Connections
// are kept for the next command to the same address. It repeats nothing whose fate
// is not known: a caller that may ask twice does so itself.
type outbound struct {
	maxReply int64
	greeting [][][]byte // commands with which a connection begins

	mu     sync.Mutex
	open   map[*link]struct{} // all there are
	idle   map[string][]*link // those that are not in use, by address
	good   map[string]string  // which of some servers answered last
	closed bool
}

// link is a connection to a node, for one command at a time.
type link struct {
	conn net.Conn
	in   *resp.ReplyReader
}

const (
	// maxIdleLinks is how many connections to one address are kept.
	maxIdleLinks = 4
	// dialTimeout is how long a node may take to accept a connection.
	dialTimeout = time.Second
	// maxHops is how often a command is sent on by MOVED.
	maxHops = 3
)

func newOutbound(maxReply int64) *outbound {
	return &outbound{
		maxReply: maxReply,
		open:     make(map[*link]struct{}), idle: make(map[string][]*link), good: make(map[string]string),
	}
}

// link returns a connection that is not in use.
func (o *outbound) link(ctx context.Context, addr string) (*link, error) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, errStopped
	}
	if n := len(o.idle[addr]); n > 0 {
		l := o.idle[addr][n-1]
		o.idle[addr] = o.idle[addr][:n-1]
		o.mu.Unlock()
		return l, nil
	}
	o.mu.Unlock()
	network, address, err := transport.ParseAddress(addr)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, in: resp.NewReplyReader(conn, resp.ReplyOptions{MaxReply: o.maxReply})}
	o.mu.Lock()
	o.open[l] = struct{}{}
	stopped := o.closed
	o.mu.Unlock()
	if stopped {
		o.drop(l)
		return nil, errStopped
	}
	for _, args := range o.greeting {
		v, err := l.roundTrip(ctx, [][]byte{resp.AppendCommand(nil, args...)})
		if err == nil {
			err = v[0].Err()
		}
		if err != nil {
			o.drop(l)
			return nil, fmt.Errorf("%s does not speak diskv: %w", addr, err)
		}
	}
	return l, nil
}

// put keeps a connection for later.
func (o *outbound) put(addr string, l *link) {
	o.mu.Lock()
	keep := !o.closed && len(o.idle[addr]) < maxIdleLinks
	if keep {
		o.idle[addr] = append(o.idle[addr], l)
	}
	o.mu.Unlock()
	if !keep {
		o.drop(l)
	}
}

// drop closes a connection that is of no use any more.
func (o *outbound) drop(l *link) {
	o.mu.Lock()
	delete(o.open, l)
	o.mu.Unlock()
	_ = l.conn.Close()
}

// close closes all connections. Calls under way end with an error.
func (o *outbound) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for l := range o.open {
		_ = l.conn.Close()
	}
	o.idle = nil
}

// call sends one command to an address and returns the reply; an error reply is a
// reply. An error says that there is none: whether the command was executed is not
// known, unless it could not be sent at all (errNotSent).
func (o *outbound) call(ctx context.Context, addr string, args [][]byte) (resp.Value, error) {
	replies, err := o.exchange(ctx, addr, [][]byte{resp.AppendCommand(nil, args...)})
	if err != nil {
		return resp.Value{}, err
	}
	return replies[0], nil
}

// exchange is call for several commands, encoded, that are sent together. With an
// error come the replies that there are.
func (o *outbound) exchange(ctx context.Context, addr string, cmds [][]byte) ([]resp.Value, error) {
	for {
		l, err := o.link(ctx, addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotSent, err)
		}
		if l.in.Buffered() > 0 || l.dead() {
			o.drop(l) // it was closed over there while nobody used it
			continue
		}
		replies, err := l.roundTrip(ctx, cmds)
		if err != nil {
			o.drop(l)
			return replies, fmt.Errorf("%s: %w", addr, err)
		}
		o.put(addr, l)
		return replies, nil
	}
}

// errNotSent is wrapped by the error of a command that did not leave.
var errNotSent = errors.New("cannot be reached")

// roundTrip sends commands and reads their replies. When ctx ends, or with an error,
// the connection is of no use any more.
func (l *link) roundTrip(ctx context.Context, cmds [][]byte) ([]resp.Value, error) {
	if err := l.conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Now()) })
	defer stop()
	buffers := net.Buffers(slices.Clone(cmds))
	if _, err := buffers.WriteTo(l.conn); err != nil {
		return nil, err
	}
	replies := make([]resp.Value, 0, len(cmds))
	for range cmds {
		v, err := l.in.ReadReply()
		if err != nil {
			return replies, err
		}
		replies = append(replies, v)
	}
	if !stop() {
		return replies, context.Cause(ctx) // the deadline may be set at any moment
	}
	return replies, nil
}

// dead tells whether a connection that is not in use was closed by the other side,
// or holds what nobody asked for.
func (l *link) dead() bool {
	sc, ok := l.conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	alive := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		alive = errors.Is(err, unix.EAGAIN)
		return true // whatever it is, do not wait
	})
	return err != nil || !alive
}

// ask puts a question to a group that any of its members may answer, and that may
// be put twice: it goes on to the next member, or to the one that MOVED names, until
// one knows the answer; else it returns the last refusal. No member is asked twice.
func (o *outbound) ask(ctx context.Context, servers []string, args [][]byte) (resp.Value, error) {
	group := strings.Join(servers, ",")
	o.mu.Lock()
	first := o.good[group]
	o.mu.Unlock()
	queue := slices.Clone(servers)
	if first != "" {
		queue = slices.Insert(queue, 0, first)
	}
	asked := make(map[string]bool)
	var refusal resp.Value
	err := errors.New("no address is known")
	for hops := 0; len(queue) > 0; {
		addr := queue[0]
		queue = queue[1:]
		if asked[addr] {
			continue
		}
		asked[addr] = true
		v, failure := o.call(ctx, addr, args)
		if failure != nil {
			if refusal.Kind == 0 {
				err = failure
			}
			continue
		}
		var reply resp.ErrorReply
		if !errors.As(v.Err(), &reply) {
			o.remember(group, addr)
			return v, nil
		}
		to, moved := movedTo(reply)
		if moved && hops < maxHops {
			hops++
			queue = slices.Insert(queue, 0, to)
		}
		if !moved || refusal.Kind == 0 { // where to ask is no answer, if there is one
			refusal, err = v, nil
		}
	}
	return refusal, err
}

// remember has the next question of a group begin at an address.
func (o *outbound) remember(group, addr string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good[group] = addr
}

// movedTo returns the address that a MOVED names.
func movedTo(reply resp.ErrorReply) (string, bool) {
	words := strings.Fields(string(reply))
	if len(words) != 3 || words[0] != "MOVED" || words[2] == "" {
		return "", false
	}
	return words[2], true
}
