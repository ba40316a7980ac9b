package client_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
)

// fake is a member that does what a test says: it describes itself as the leader
// of all shards, gives out sessions, and leaves other commands to its script.
type fake struct {
	t       testing.TB
	addr    string
	peers   []string      // of CLUSTER SLOTS, the leader first; by default itself
	slots   []slots       // instead, if there are several groups
	slow    chan struct{} // closed when CLUSTER SLOTS may be answered, if not nil
	mu      sync.Mutex
	script  func(n int, args []string) action
	got     [][]string // commands of the script, in order
	session int
	conns   map[net.Conn]bool
	wg      sync.WaitGroup
}

// action is what a fake does with a command.
type action struct {
	reply string        // as it is on the wire; empty: none
	after chan struct{} // what is waited for before it answers
	close bool          // the connection, afterwards
	half  bool          // of that, its own direction alone
}

// Replies on the wire.
func fails(text string) action { return action{reply: "-" + text + "\r\n"} }
func says(reply string) action { return action{reply: reply + "\r\n"} }

var (
	ok     = says("+OK")
	lost   = action{close: true}
	silent = action{}
)

// replies is a script: one action for each command, the last for all further.
func replies(actions ...action) func(int, []string) action {
	return func(n int, _ []string) action { return actions[min(n, len(actions)-1)] }
}

func newFake(tb testing.TB, script func(n int, args []string) action) *fake {
	tb.Helper()
	dir, err := os.MkdirTemp("", "diskv")
	require.NoError(tb, err)
	path := filepath.Join(dir, "s")
	f := &fake{t: tb, addr: "unix:" + path, script: script, conns: make(map[net.Conn]bool)}
	f.peers = []string{f.addr}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(tb, err)
	f.wg.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			f.wg.Go(func() { f.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		f.hangUp()
		f.wg.Wait()
		_ = os.RemoveAll(dir)
	})
	return f
}

// hangUp closes all connections.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
}

// commands returns what the script was asked for.
func (f *fake) commands() [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([][]string(nil), f.got...)
}

// sessions returns how many sessions were given out.
func (f *fake) sessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.session
}

func (f *fake) serve(c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	r := resp.NewCommandReader(c, resp.Options{})
	for {
		raw, err := r.ReadCommand()
		if err != nil {
			return
		}
		args := make([]string, len(raw))
		for i, a := range raw {
			args[i] = string(a)
		}
		a := f.act(args)
		if a.after != nil {
			<-a.after
		}
		if _, err := c.Write([]byte(a.reply)); err != nil {
			return
		}
		if a.half {
			_ = c.CloseWrite()
			_, _ = c.Read(make([]byte, 1)) // until the other side is gone
			return
		}
		if a.close {
			return
		}
	}
}

func (f *fake) act(args []string) action {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch strings.Join(args, " ") {
	case "CLUSTER SLOTS":
		if f.slots != nil {
			return action{reply: slotsReply(f.slots...), after: f.slow}
		}
		if len(f.peers) == 0 {
			return says("*0")
		}
		return action{reply: slotsReply(slots{0, 16383, f.peers}), after: f.slow}
	case "PING":
		return says("+PONG")
	case "DISKV.SESSION":
		f.session++
		return action{reply: string(resp.AppendBulkString(nil, "session-"+strconv.Itoa(f.session)))}
	}
	f.got = append(f.got, args)
	return f.script(len(f.got)-1, args)
}

// slots is an entry of CLUSTER SLOTS: the members of a group, the leader first.
type slots struct {
	first, last int64
	members     []string
}

func slotsReply(ranges ...slots) string {
	b := resp.AppendArray(nil, len(ranges))
	for _, r := range ranges {
		b = resp.AppendArray(b, 2+len(r.members))
		b = resp.AppendInt(b, r.first)
		b = resp.AppendInt(b, r.last)
		for _, m := range r.members {
			b = resp.AppendArray(b, 3)
			b = resp.AppendBulkString(b, m)
			b = resp.AppendInt(b, 0)
			b = resp.AppendBulkString(b, "id")
		}
	}
	return string(b)
}

// change changes what a fake says of the cluster, or its script.
func (f *fake) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}
