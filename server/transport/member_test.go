package transport

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	patience = time.Minute
	often    = 2 * time.Millisecond
)

// member is one process of a group: a listening socket, a transport, and what
// it was told.
type member struct {
	*Transport
	listener net.Listener

	mu       sync.Mutex
	payloads [][]byte // in the order of their arrival
	heard    int
	lost     int
	refused  []string
	cluster  uint64
	log      bytes.Buffer
}

// Write takes the log lines.
func (m *member) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(b)
}

// get reads something of m that callbacks change.
func get[T any](m *member, of func(m *member) T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of(m)
}

func (m *member) received() int {
	return get(m, func(m *member) int { return len(m.payloads) })
}

// first returns the payload that arrived first.
func (m *member) first() []byte {
	return get(m, func(m *member) []byte { return m.payloads[0] })
}

// refusals returns all that was refused, a line each.
func (m *member) refusals() string {
	return get(m, func(m *member) string { return strings.Join(m.refused, "\n") })
}

func (m *member) losses() int { return get(m, func(m *member) int { return m.lost }) }
func (m *member) logged() string {
	return get(m, func(m *member) string { return m.log.String() })
}

// addresses returns n places to listen at.
func addresses(t *testing.T, network string, n int) []string {
	t.Helper()
	var all []string
	for i := range n {
		if network == "unix" {
			all = append(all, "unix:"+filepath.Join(t.TempDir(), "s"))
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		all = append(all, l.Addr().String())
		require.Len(t, all, i+1)
	}
	return all
}

// start makes member self of the group at peers, changed by with, and lets it
// listen. It is stopped at the end of the test.
func start(t *testing.T, peers []string, self uint8, with func(o *Options)) *member {
	t.Helper()
	m := &member{}
	o := Options{
		Group: 7, Self: self, Size: len(peers), Peers: peers,
		Cluster: func() uint64 { return get(m, func(m *member) uint64 { return m.cluster }) },
		Receive: func(_ uint8, payload []byte) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.payloads = append(m.payloads, payload)
		},
		Heard: func(uint8) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.heard++
		},
		Lost: func(uint8) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lost++
		},
		Refused: func(_ uint8, reason string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.refused = append(m.refused, reason)
		},
		Logger: slog.New(slog.NewTextHandler(m, nil)),
	}
	if with != nil {
		with(&o)
	}
	var err error
	m.Transport, err = New(o)
	require.NoError(t, err)
	network, rest, err := ParseAddress(peers[self])
	require.NoError(t, err)
	m.listener, err = net.Listen(network, rest)
	require.NoError(t, err)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := m.listener.Accept()
			if err != nil {
				return
			}
			accepting.Go(func() { m.hand(conn) })
		}
	})
	t.Cleanup(func() {
		m.stop()
		accepting.Wait()
	})
	m.Start()
	return m
}

// hand does as a server does that looks at the first byte.
func (m *member) hand(conn net.Conn) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil || !IsPeer(first[0]) {
		_ = conn.Close()
		return
	}
	m.Accept(Prepend(conn, first))
}

func (m *member) stop() {
	_ = m.listener.Close()
	m.Close()
}

// pair starts two members that are connected both ways.
func pair(t *testing.T, network string, with func(o *Options)) (a, b *member) {
	t.Helper()
	peers := addresses(t, network, 2)
	a, b = start(t, peers, 0, with), start(t, peers, 1, with)
	connected(t, a)
	connected(t, b)
	return a, b
}

func connected(t *testing.T, m *member) {
	t.Helper()
	require.Eventually(t, func() bool { return m.Status()[0].Connected }, patience, often, "not connected")
}

// raw is a connection to a member that a test speaks on by itself.
type raw struct {
	net.Conn
	t *testing.T
}

// dialRaw connects to m and sends what stands at the beginning.
func dialRaw(t *testing.T, m *member, first []byte) raw {
	t.Helper()
	conn, err := net.Dial(m.listener.Addr().Network(), m.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	r := raw{conn, t}
	r.send(first)
	return r
}

// greeted connects to m, which is member 0, as member 1.
func greeted(t *testing.T, m *member) raw {
	t.Helper()
	h := Hello{Group: m.o.Group, From: 1, To: 0, Size: uint8(m.o.Size), Version: 1}
	r := dialRaw(t, m, appendHello([]byte(Magic), h))
	require.True(t, r.reply().Accepted)
	return r
}

func (r raw) send(b []byte) {
	r.t.Helper()
	_, err := r.Write(b)
	require.NoError(r.t, err)
}

func (r raw) reply() HelloReply {
	r.t.Helper()
	body, err := readGreeting(r, kindReply, maxReplySize)
	require.NoError(r.t, err)
	reply, err := decodeReply(body)
	require.NoError(r.t, err)
	return reply
}

// frame reads one frame.
func (r raw) frame() (frameHead, []byte) {
	r.t.Helper()
	head := make([]byte, frameHeadSize)
	_, err := io.ReadFull(r, head)
	require.NoError(r.t, err)
	h, err := decodeFrameHead(head)
	require.NoError(r.t, err)
	body := make([]byte, h.length)
	_, err = io.ReadFull(r, body)
	require.NoError(r.t, err)
	require.Equal(r.t, frameSum(head, body), h.sum)
	return h, body
}

// closedByPeer waits until the other end closes, whatever it says before.
func (r raw) closedByPeer() {
	r.t.Helper()
	_, err := io.Copy(io.Discard, r)
	var timeout net.Error
	if err != nil {
		require.ErrorAs(r.t, err, &timeout)
		require.False(r.t, timeout.Timeout(), "still open")
	}
}

// piped returns a Dial option whose connections are given to the test, which
// answers the hello and then reads as slowly as it likes: nothing is buffered
// in between.
func piped(t *testing.T) (with func(o *Options), accept func() raw) {
	t.Helper()
	conns := make(chan net.Conn)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	with = func(o *Options) {
		o.Dial = dialPipe(conns, over)
	}
	accept = func() raw {
		t.Helper()
		var r raw
		select {
		case conn := <-conns:
			r = raw{conn, t}
		case <-time.After(patience):
			require.Fail(t, "nobody dials")
		}
		t.Cleanup(func() { _ = r.Close() })
		magic := make([]byte, len(Magic))
		_, err := io.ReadFull(r, magic)
		require.NoError(t, err)
		require.Equal(t, Magic, string(magic))
		_, err = readGreeting(r, kindHello, helloSize)
		require.NoError(t, err)
		r.send(encodeReply(HelloReply{Accepted: true, Version: 1}))
		return r
	}
	return with, accept
}
