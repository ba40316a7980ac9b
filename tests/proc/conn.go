package proc

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"diskv/internal/resp"
)

// DefaultTimeout bounds a command on a [Conn]: above the time after which a
// server says that an outcome is unknown.
const DefaultTimeout = 8 * time.Second

// Conn is a connection of a plain RESP client: no retries, no redirects. It is
// for one goroutine at a time.
type Conn struct {
	Timeout time.Duration // of a command

	conn  net.Conn
	in    *resp.ReplyReader
	out   []byte
	sent  int // commands without a reply
	saved [][]byte
}

// Dial connects to the member.
func (m *Member) Dial() (*Conn, error) { return Dial(m.Addr) }

// Dial connects to host:port or unix:/path.
func Dial(addr string) (*Conn, error) {
	conn, err := dial(addr)
	if err != nil {
		return nil, err
	}
	return &Conn{Timeout: DefaultTimeout, conn: conn, in: resp.NewReplyReader(conn, resp.ReplyOptions{})}, nil
}

func dial(addr string) (net.Conn, error) {
	network, path := "tcp", addr
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, path = "unix", p
	}
	return net.DialTimeout(network, path, 2*time.Second)
}

// Send sends a command without waiting for its reply.
func (c *Conn) Send(args ...string) error {
	c.saved = c.saved[:0]
	for _, a := range args {
		c.saved = append(c.saved, []byte(a))
	}
	c.out = resp.AppendCommand(c.out[:0], c.saved...)
	if err := c.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	c.sent++
	return nil
}

// SendRaw sends bytes as they are. Each of the replies that they will bring is to
// be received.
func (c *Conn) SendRaw(b string, replies int) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	c.sent += replies
	_, err := io.WriteString(c.conn, b)
	return err
}

// Receive returns the next reply. An error reply is a value; an error is one of
// the connection, which is of no use then.
func (c *Conn) Receive() (resp.Value, error) {
	if c.sent == 0 {
		return resp.Value{}, fmt.Errorf("receive from %s: nothing was sent", c.conn.RemoteAddr())
	}
	c.sent--
	if err := c.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return resp.Value{}, err
	}
	return c.in.ReadReply()
}

// Do sends a command and returns its reply. An error reply is returned as an
// error, of type [resp.ErrorReply].
func (c *Conn) Do(args ...string) (resp.Value, error) {
	if err := c.Send(args...); err != nil {
		return resp.Value{}, err
	}
	v, err := c.Receive()
	if err == nil {
		err = v.Err()
	}
	return v, err
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.conn.Close() }
