package loop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"diskv/internal/resp"
)

// respStore is a server that speaks RESP, or a group of which one member leads.
type respStore struct {
	timeout time.Duration

	mu     sync.Mutex
	addrs  []string
	leader string // whom clients ask
}

// errSeveral is returned for groups that divide the keys between them.
var errSeveral = errors.New("redirected again and again: nobody leads, or several groups have the keys, and this load is for one")

// openRESP finds the member that leads.
func openRESP(ctx context.Context, o Options) (*respStore, error) {
	s := &respStore{timeout: o.Timeout, addrs: o.Addrs, leader: o.Addrs[0]}
	rs, as := []request{{read: true, key: putKey(nil, 0)}}, make([]answer, 1)
	var last error
	for range 20 {
		a, err := s.connect(ctx, 0)
		if err == nil {
			as[0] = answer{}
			err = a.ask(ctx, rs, as)
			a.close()
		}
		switch {
		case err != nil:
			last = err
			s.turn()
		case as[0].redirected:
			last = errSeveral
		case as[0].failed != "":
			last = fmt.Errorf("%s answers GET with %s", s.whom(), as[0].failed)
			s.turn()
		default:
			return s, nil
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("find who leads of %s: %w", strings.Join(o.Addrs, ", "), last)
}

// pause waits a little before something is tried again.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func (s *respStore) whom() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader
}

// follow has clients ask the member that a redirect names: MOVED shard address.
func (s *respStore) follow(moved string) {
	words := strings.Fields(moved)
	if len(words) < 3 || strings.HasPrefix(words[2], ":") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = words[2]
}

// turn has clients ask another member: the present one does not answer.
func (s *respStore) turn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := 0
	for i, a := range s.addrs {
		if a == s.leader {
			next = (i + 1) % len(s.addrs)
		}
	}
	s.leader = s.addrs[next]
}

func (s *respStore) close() {}

// respAsker is a client with a connection of its own.
type respAsker struct {
	store *respStore
	addr  string // of the member it is connected to
	conn  net.Conn
	in    *resp.ReplyReader
	out   []byte
}

var (
	get = []byte("GET")
	set = []byte("SET")
)

func (s *respStore) connect(ctx context.Context, _ int) (asker, error) {
	a := &respAsker{store: s}
	return a, a.dial(ctx)
}

func (a *respAsker) dial(ctx context.Context) error {
	a.close()
	addr := a.store.whom()
	network, path := "tcp", addr
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, path = "unix", p
	}
	conn, err := (&net.Dialer{Timeout: a.store.timeout}).DialContext(ctx, network, path)
	if err != nil {
		return err
	}
	a.addr, a.conn, a.in = addr, conn, resp.NewReplyReader(conn, resp.ReplyOptions{})
	return nil
}

func (a *respAsker) ask(ctx context.Context, rs []request, as []answer) error {
	if a.conn == nil || a.addr != a.store.whom() {
		if err := a.dial(ctx); err != nil {
			a.store.turn()
			return err
		}
	}
	err := a.exchange(rs, as)
	if err != nil {
		if a.addr == a.store.whom() {
			a.store.turn()
		}
		a.close()
	}
	return err
}

func (a *respAsker) exchange(rs []request, as []answer) error {
	a.out = a.out[:0]
	for i := range rs {
		if r := &rs[i]; r.read {
			a.out = resp.AppendCommand(a.out, get, r.key)
		} else {
			a.out = resp.AppendCommand(a.out, set, r.key, r.set)
		}
	}
	if err := a.conn.SetDeadline(time.Now().Add(a.store.timeout)); err != nil {
		return err
	}
	if _, err := a.conn.Write(a.out); err != nil {
		return err
	}
	var now time.Time
	for i := range as {
		waited := a.in.Buffered() == 0
		v, err := a.in.ReadReply()
		if err != nil {
			return err
		}
		if waited {
			now = time.Now()
		}
		as[i].at = now
		a.judge(rs[i], v, &as[i])
	}
	return nil
}

// judge says what a reply means.
func (a *respAsker) judge(r request, v resp.Value, to *answer) {
	var said resp.ErrorReply
	switch {
	case errors.As(v.Err(), &said):
		if said.Code() == "MOVED" {
			to.redirected = true
			a.store.follow(string(said))
			return
		}
		to.failed = said.Code()
	case r.read && v.IsNull():
		to.missing = true
	case r.read && v.Kind != resp.KindBulk, !r.read && (v.Kind != resp.KindSimple || string(v.Str) != "OK"):
		to.failed = "unexpected reply"
	}
}

func (a *respAsker) close() {
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}
