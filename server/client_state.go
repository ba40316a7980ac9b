package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clientState is what commands about a connection have made of it, and CLIENT LIST
// shows to others. It is changed by the client's goroutine only; see client.show.
type clientState struct {
	name                string
	libName, libVersion string
	resp3               bool
	readOnly            bool // READONLY: reads may be answered from what a follower has applied
	noEvict, noTouch    bool
	tracking            trackingMode
	queued              int // commands behind MULTI, which counts too; 0: there was none
}

// mute says which replies are not sent.
type mute uint8

const (
	muteNothing mute = iota
	muteNext         // that of the next command
	muteThis         // that of the command that is being executed
	muteAll
)

// show lets other connections see the client's state as it is now.
func (c *client) show() {
	if p := c.shown.Load(); p == nil || *p != c.state {
		state := c.state
		c.shown.Store(&state)
	}
}

// describe returns the client's line of CLIENT LIST, without the line break. What
// diskv does not know of a connection, such as the sizes of its buffers, is not in it.
func (c *client) describe(now time.Time) string {
	s := c.shown.Load()
	flags, proto := "", 2
	for _, f := range []struct {
		on   bool
		flag string
	}{{c.unix(), "U"}, {s.readOnly, "r"}, {s.queued > 0, "x"}, {s.tracking.on, "t"}, {s.noEvict, "e"}, {s.noTouch, "T"}} {
		if f.on {
			flags += f.flag
		}
	}
	if flags == "" {
		flags = "N"
	}
	if s.resp3 {
		proto = 3
	}
	cmd := "NULL"
	if p := c.last.Load(); p != nil {
		cmd = *p
	}
	idle := now.Sub(c.since) - time.Duration(c.heard.Load())
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d"+
		" cmd=%s user=default redir=%d resp=%d lib-name=%s lib-ver=%s",
		c.id, c.addr, c.laddr, c.fd, s.name, int64(now.Sub(c.since).Seconds()), int64(max(idle, 0).Seconds()), flags, s.queued-1,
		cmd, s.tracking.redirect(), proto, s.libName, s.libVersion)
}

// hangUp closes the connection, from wherever.
func (c *client) hangUp() {
	_ = c.conn.Close()
	if c.shared != nil {
		c.shared.wake(nil) // nobody else tells it
	}
}

func (c *client) unix() bool { return c.conn.LocalAddr().Network() == "unix" }

// addresses returns both ends of a connection as Redis writes them: of a unix socket the
// path of the server's, with a port of 0.
func addresses(conn net.Conn) (remote, local string) {
	if conn.LocalAddr().Network() == "unix" {
		path := conn.LocalAddr().String() + ":0"
		return path, path
	}
	return conn.RemoteAddr().String(), conn.LocalAddr().String()
}

// fileOf returns the file descriptor of a connection, to be shown, or -1.
func fileOf(conn net.Conn) int {
	fd := -1
	_ = control(conn, func(n int) { fd = n })
	return fd
}

// control calls f with the file descriptor of a connection.
func control(conn net.Conn, f func(fd int)) error {
	if inner, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = inner.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return errors.New("not a connection of the system")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// gone tells whether the client has closed its connection, or it was closed here, whatever
// it sent before.
func (c *client) gone() bool {
	closed := false
	err := control(c.conn, func(fd int) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		closed = err == nil && n > 0 // nothing else was asked for
	})
	return err != nil || closed
}

// waitWhile waits until done, polled, until the timeout, or until there is nobody to wait
// for any more. A timeout of zero is none.
func (c *client) waitWhile(timeout time.Duration, done func() bool) {
	const often, seldom = time.Millisecond, 20 * time.Millisecond
	if !c.executing && c.mute == muteNothing && !c.flush() { // what is ready is waited for, too
		c.quit = true
		return
	}
	c.node.clients.blocked.Add(1)
	defer c.node.clients.blocked.Add(-1)
	begun, every := time.Now(), often
	for !done() && !c.node.clients.stopping.Load() {
		left := every
		if timeout > 0 {
			if left = min(every, timeout-time.Since(begun)); left <= 0 {
				return
			}
		}
		select {
		case <-time.After(left):
		case <-c.node.ended:
			return
		}
		every = min(every+every/4, seldom)
		if every == seldom && c.gone() {
			return
		}
	}
}

// parseMillis reads a timeout in milliseconds, as WAIT has it, or answers what is wrong.
func (c *client) parseMillis(arg []byte) (time.Duration, bool) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	switch {
	case err != nil || n > int64(1<<62)/int64(time.Millisecond):
		c.fail("ERR timeout is not an integer or out of range")
		return 0, false
	case n < 0:
		c.fail("ERR timeout is negative")
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}
