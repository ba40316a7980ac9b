package transport

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHelloIsRefused(t *testing.T) {
	good := Hello{Cluster: 0xc1, Group: 7, From: 1, To: 0, Size: 3, Version: 1}
	tests := map[string]struct {
		change func(h *Hello)
		want   string // empty: accepted
	}{
		"as it should be":   {func(*Hello) {}, ""},
		"still forming":     {func(h *Hello) { h.Cluster = 0 }, ""},
		"a later version":   {func(h *Hello) { h.Version = 9 }, ""},
		"another cluster":   {func(h *Hello) { h.Cluster = 0xc2 }, "cluster 00000000000000c1, not of cluster 00000000000000c2"},
		"another group":     {func(h *Hello) { h.Group = 8 }, "group 7, not of group 8"},
		"another size":      {func(h *Hello) { h.Size = 5 }, "3 members, not 5"},
		"meant for another": {func(h *Hello) { h.To = 2 }, "member 0, not 2"},
	}
	a := start(t, addresses(t, "tcp", 3), 0, nil)
	a.mu.Lock()
	a.cluster = 0xc1
	a.mu.Unlock()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := good
			tt.change(&h)
			conn := dialRaw(t, a, appendHello([]byte(Magic), h))
			reply := conn.reply()
			require.Equal(t, tt.want == "", reply.Accepted, reply.Reason)
			require.Contains(t, reply.Reason, tt.want)
			require.EqualValues(t, 0xc1, reply.Cluster)
			if tt.want != "" {
				conn.closedByPeer()
				return
			}
			require.EqualValues(t, 1, reply.Version)
			before := a.received()
			conn.send(appendFrame(nil, kindControl, true, []byte("x")))
			require.Eventually(t, func() bool { return a.received() == before+1 }, patience, often)
		})
	}
}

func TestRefusalIsReported(t *testing.T) {
	peers := addresses(t, "tcp", 2)
	b := start(t, peers, 1, func(o *Options) { o.Group = 8 })
	a := start(t, peers, 0, nil)
	require.Eventually(t, func() bool { return a.refusals() != "" }, patience, often)
	require.Contains(t, a.refusals(), "group 8, not of group 7")
	require.Contains(t, a.Status()[0].Problem, "refused")
	require.Contains(t, a.logged(), "peer refused the connection")
	require.Eventually(t, func() bool { return strings.Contains(b.logged(), "connection to the peer port refused") }, patience, often)
	require.False(t, a.Status()[0].Connected)
}

func TestPeerOfAnotherClusterIsRefusedByTheOneWhoDialsToo(t *testing.T) {
	peers := addresses(t, "tcp", 2)
	l, err := net.Listen("tcp", peers[1])
	require.NoError(t, err)
	defer l.Close()
	a := start(t, peers, 0, nil)
	a.mu.Lock()
	a.cluster = 5
	a.mu.Unlock()
	conn, err := l.Accept()
	require.NoError(t, err)
	defer conn.Close()
	// It accepts whomever it is greeted by.
	_, err = conn.Write(encodeReply(HelloReply{Accepted: true, Version: 1, Cluster: 6}))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return a.refusals() != "" }, patience, often)
	require.Contains(t, a.refusals(), "cluster 0000000000000006")
}

func TestGarbageEndsTheConnectionAndNothingElse(t *testing.T) {
	hello := appendHello([]byte(Magic), Hello{Group: 7, From: 1, To: 0, Size: 2, Version: 1})
	flipped := func(i int) []byte {
		b := bytes.Clone(hello)
		b[i] ^= 1
		return b
	}
	after := func(frame []byte) []byte { return append(bytes.Clone(hello), frame...) }
	badSum := appendFrame(nil, kindBulk, true, []byte("payload"))
	badSum[len(badSum)-1] ^= 1
	version2 := appendFrame(nil, kindBulk, true, []byte("payload"))
	version2[4] = 2
	tests := map[string][]byte{
		"wrong magic":              []byte("\x00diskw" + strings.Repeat("x", 100)),
		"zeros":                    make([]byte, 1000),
		"hello, flipped":           flipped(len(Magic) + 20),
		"hello, wrong sum":         flipped(len(Magic) + 9),
		"hello too long":           appendFrame([]byte(Magic), kindHello, true, make([]byte, helloSize+1)),
		"hello of nobody":          appendHello([]byte(Magic), Hello{Group: 7, From: 2, To: 0, Size: 2, Version: 1}),
		"payload without hello":    appendFrame([]byte(Magic), kindBulk, true, []byte("x")),
		"frame too long":           after([]byte{0xff, 0xff, 0xff, 0x7f, 1, 5, 1, 0, 0, 0, 0, 0}),
		"frame of kind 0":          after(appendFrame(nil, 0, true, nil)),
		"frame of kind 6":          after(appendFrame(nil, 6, true, nil)),
		"frame with a wrong sum":   after(badSum),
		"frame of version 2":       after(version2),
		"hello once more":          after(hello[len(Magic):]),
		"sign of life with a body": after(appendFrame(nil, kindAlive, true, []byte("x"))),
		"empty frame in between":   after(appendFrame(nil, kindBulk, false, nil)),
		"payload too long":         after(appendFrame(nil, kindBulk, true, make([]byte, 2001))),
		"payload too long in two":  after(appendFrame(appendFrame(nil, kindControl, false, make([]byte, 1500)), kindControl, true, make([]byte, 501))),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) { o.MaxPayload = 2000 })
			conn := dialRaw(t, a, b)
			conn.closedByPeer()
			require.Eventually(t, func() bool { return strings.Contains(a.logged(), "remote=127.0.0.1") }, patience, often)
			require.Equal(t, 1, strings.Count(a.logged(), "remote="), a.logged())
			require.Zero(t, a.received())

			good := greeted(t, a)
			good.send(appendFrame(nil, kindBulk, true, make([]byte, 2000)))
			require.Eventually(t, func() bool { return a.received() == 1 }, patience, often)
		})
	}
}

func TestCrowdOfSilentConnectionsIsBounded(t *testing.T) {
	a := start(t, addresses(t, "tcp", 2), 0, nil)
	conns := make([]raw, maxGreeting+10)
	for i := range conns {
		conns[i] = dialRaw(t, a, []byte(Magic))
	}
	require.Eventually(t, func() bool { return strings.Contains(a.logged(), "too many connections") }, patience, often)
	a.Transport.mu.Lock()
	require.LessOrEqual(t, len(a.accepted), maxGreeting)
	a.Transport.mu.Unlock()
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool {
		a.Transport.mu.Lock()
		defer a.Transport.mu.Unlock()
		return len(a.accepted) == 0
	}, patience, often)
	greeted(t, a)
}
