package transport

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// ParseAddress splits "host:port" or "unix:/path" into what net.Listen and
// net.Dial take: "tcp" or "unix", and the rest.
func ParseAddress(address string) (network, rest string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q has no path; write unix:/path", address)
		}
		return "unix", path, nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", "", fmt.Errorf("address %q is neither host:port nor unix:/path", address)
	}
	return "tcp", address, nil
}

// Dial connects to "host:port" or "unix:/path", with the socket set up as
// peers need it.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	network, rest, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, rest)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		limitUnsent(tcp)
	}
	return conn, nil
}

// Prepend returns conn with bytes that were read off it to find out who is
// there put back in front. [Transport.Accept] wants to see them.
func Prepend(conn net.Conn, first []byte) net.Conn { return &prepended{Conn: conn, first: first} }

type prepended struct {
	net.Conn
	first []byte
}

func (c *prepended) Read(b []byte) (int, error) {
	if len(c.first) > 0 && len(b) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// NetConn returns the connection below.
func (c *prepended) NetConn() net.Conn { return c.Conn }
