package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dialPipe(conns chan<- net.Conn, over <-chan struct{}) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			return nil, errors.New("the test is over")
		}
	}
}

// numbered is a payload that says which one it is, of n bytes in all.
func numbered(lane Lane, number, n int) []byte {
	b := make([]byte, max(n, 16))
	binary.LittleEndian.PutUint64(b, uint64(lane))
	binary.LittleEndian.PutUint64(b[8:], uint64(number))
	for i := 16; i < len(b); i++ {
		b[i] = byte(number + i)
	}
	return b
}

func TestPayloadsArriveWholeAndEachLaneInOrder(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			a, b := pair(t, network, nil)
			rng := rand.New(rand.NewPCG(1, 2))
			var want [3][][]byte
			const n = 400
			for i := range n {
				lane := LaneControl + Lane(i%2)
				size := rng.IntN(2000)
				switch i % 50 {
				case 0:
					size = maxBody
				case 1:
					size = 3 << 20
				case 2:
					size = maxBody + 1
				}
				p := numbered(lane, i, size)
				want[lane] = append(want[lane], p)
				require.NoError(t, a.Send(1, lane, p))
				require.NoError(t, b.Send(0, lane, p))
			}
			for _, m := range []*member{a, b} {
				require.Eventually(t, func() bool { return m.received() == n }, patience, often)
				var got [3][][]byte
				for _, p := range get(m, func(m *member) [][]byte { return m.payloads }) {
					lane := binary.LittleEndian.Uint64(p)
					got[lane] = append(got[lane], p)
				}
				require.Equal(t, want, got)
				require.Zero(t, m.losses())
				require.Positive(t, get(m, func(m *member) int { return m.heard }))
			}
		})
	}
}

func TestEmptyPayloadArrives(t *testing.T) {
	a, b := pair(t, "tcp", nil)
	require.NoError(t, a.Send(1, LaneBulk, nil))
	require.Eventually(t, func() bool { return b.received() == 1 }, patience, often)
	require.Empty(t, b.first())
}

func TestWhatIsSentBeforeThePeerIsThereArrives(t *testing.T) {
	peers := addresses(t, "tcp", 2)
	b := start(t, peers, 1, nil)
	a, err := New(Options{
		Self: 0, Size: 2, Peers: peers, Group: 7, Cluster: func() uint64 { return 0 },
		Receive: func(uint8, []byte) {}, Lost: func(uint8) {},
	})
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, a.Send(1, LaneControl, []byte("early")))
	a.Start()
	a.Start()
	require.Eventually(t, func() bool { return b.received() == 1 }, patience, often)
}

func TestControlOvertakesBulk(t *testing.T) {
	with, accept := piped(t)
	a := start(t, addresses(t, "tcp", 2), 0, with)
	conn := accept()
	require.NoError(t, a.Send(1, LaneBulk, make([]byte, 10<<20)))
	h, _ := conn.frame()
	require.Equal(t, kindBulk, h.kind)
	require.NoError(t, a.Send(1, LaneControl, []byte("urgent")))
	for i := 0; h.kind != kindControl; i++ {
		require.Less(t, i, 3, "waits behind too much")
		h, _ = conn.frame()
	}
	for !h.last || h.kind != kindBulk {
		h, _ = conn.frame()
	}
}

func TestBulkIsNotStarvedByControl(t *testing.T) {
	with, accept := piped(t)
	a := start(t, addresses(t, "tcp", 2), 0, with)
	conn := accept()
	for range 20 {
		require.NoError(t, a.Send(1, LaneControl, make([]byte, 200<<10)))
	}
	require.NoError(t, a.Send(1, LaneBulk, []byte("patient")))
	for i := 0; ; i++ {
		require.Less(t, i, 6)
		if h, _ := conn.frame(); h.kind == kindBulk {
			break
		}
	}
}

func TestPeerThatRestartsIsReachedAgain(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			peers := addresses(t, network, 2)
			a := start(t, peers, 0, nil)
			b := start(t, peers, 1, nil)
			connected(t, a)
			for round := 1; round <= 3; round++ {
				b.stop()
				require.Eventually(t, func() bool { return a.losses() >= round }, patience, often, "the break went unnoticed")
				require.Equal(t, round, a.losses())
				b = start(t, peers, 1, nil)
				connected(t, a)
				require.NoError(t, a.Send(1, LaneBulk, []byte("hello again")))
				require.Eventually(t, func() bool { return b.received() == 1 }, patience, often)
				require.Equal(t, "hello again", string(b.first()))
			}
			require.Contains(t, a.logged(), "connection to peer is broken")
		})
	}
}

func TestWhatIsDroppedWhileThePeerIsAwayIsReportedWhenItIsBack(t *testing.T) {
	peers := addresses(t, "tcp", 2)
	a := start(t, peers, 0, nil)
	b := start(t, peers, 1, nil)
	connected(t, a)
	b.stop()
	require.Eventually(t, func() bool { return a.losses() == 1 }, patience, often)
	require.NoError(t, a.Send(1, LaneBulk, make([]byte, 1000)))
	require.Eventually(t, func() bool { return a.Status()[0].QueuedBytes == 0 }, patience, often, "not dropped")
	require.Equal(t, 1, a.losses(), "reported once more although the peer is still away")
	require.NotEmpty(t, a.Status()[0].Problem)

	b = start(t, peers, 1, nil)
	require.Eventually(t, func() bool { return a.losses() == 2 }, patience, often, "dropped in silence")
	connected(t, a)
	require.Empty(t, a.Status()[0].Problem)
	require.NoError(t, a.Send(1, LaneBulk, []byte("after")))
	require.Eventually(t, func() bool { return b.received() == 1 }, patience, often)
	require.EqualValues(t, 2, a.Status()[0].Lost)
}

func TestOverflowDropsTheLaneAndIsReportedOnce(t *testing.T) {
	with, accept := piped(t)
	a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) {
		with(o)
		o.MaxQueueBytes = 1 << 20
	})
	conn := accept()
	begun := numbered(LaneBulk, 1, 700<<10)
	require.NoError(t, a.Send(1, LaneBulk, begun))
	h, body := conn.frame() // so that the others wait
	got := body
	require.NoError(t, a.Send(1, LaneBulk, make([]byte, 400<<10)))
	require.NoError(t, a.Send(1, LaneControl, []byte("control")))
	require.Zero(t, a.losses())
	require.NoError(t, a.Send(1, LaneBulk, make([]byte, 700<<10)))
	require.Eventually(t, func() bool { return a.losses() == 1 }, patience, often)
	require.NoError(t, a.Send(1, LaneBulk, []byte("after the gap")))

	var control []byte
	for !h.last || h.kind != kindBulk {
		h, body = conn.frame()
		if h.kind == kindControl {
			control = body
		} else {
			got = append(got, body...)
		}
	}
	require.Equal(t, begun, got, "a payload that was begun is not whole")
	require.Equal(t, "control", string(control))
	h, body = conn.frame()
	require.Equal(t, kindBulk, h.kind)
	require.Equal(t, "after the gap", string(body))
	require.Equal(t, 1, a.losses())
	require.Contains(t, a.logged(), "queue to peer is full")
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	short := func(o *Options) { o.PeerTimeout = 200 * time.Millisecond }
	t.Run("the one who is sent to", func(t *testing.T) {
		with, accept := piped(t)
		a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) { with(o); short(o) })
		conn := accept()
		go func() { _, _ = io.Copy(io.Discard, conn) }() // takes everything, says nothing
		require.Eventually(t, func() bool { return a.losses() == 1 }, patience, often)
		require.Contains(t, a.logged(), "no sign of life")
	})
	t.Run("the one who is sent to and does not read", func(t *testing.T) {
		with, accept := piped(t)
		a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) { with(o); short(o) })
		conn := accept()
		require.NoError(t, a.Send(1, LaneBulk, make([]byte, 1<<20)))
		require.Eventually(t, func() bool { return a.losses() == 1 }, patience, often)
		conn.closedByPeer()
	})
	t.Run("the one who answers no hello", func(t *testing.T) {
		peers := addresses(t, "tcp", 2)
		mute, err := net.Listen("tcp", peers[1])
		require.NoError(t, err)
		defer mute.Close()
		a := start(t, peers, 0, short)
		require.NoError(t, a.Send(1, LaneBulk, []byte("x")))
		require.Eventually(t, func() bool { return a.losses() == 1 }, patience, often)
		require.Contains(t, a.Status()[0].Problem, "no answer to the hello")
	})
	t.Run("the one who sends", func(t *testing.T) {
		a := start(t, addresses(t, "tcp", 2), 0, short)
		greeted(t, a).closedByPeer()
		require.Eventually(t, func() bool { return strings.Contains(a.logged(), "no sign of life") }, patience, often)
		require.Eventually(t, func() bool { return !a.Status()[0].Receiving }, patience, often)
	})
	t.Run("the one who does not finish its hello", func(t *testing.T) {
		a := start(t, addresses(t, "tcp", 2), 0, short)
		dialRaw(t, a, []byte(Magic)).closedByPeer()
	})
}

func TestIdleConnectionStaysAndIsNotHeard(t *testing.T) {
	t.Parallel()
	const timeout = time.Second // a busy machine must not look like a dead peer
	a, b := pair(t, "tcp", func(o *Options) { o.PeerTimeout = timeout })
	sent := a.Status()[0].SentBytes
	const signs = 2 * signsOfLife // two timeouts long
	require.Eventually(t, func() bool { return a.Status()[0].SentBytes >= sent+signs*frameHeadSize }, patience, often)
	require.Zero(t, a.losses())
	require.Zero(t, b.losses())
	require.Zero(t, get(b, func(m *member) int { return m.heard }), "a sign of life is not one of the replica")
}

func TestSlowLongFrameIsHeardAndKeepsTheConnection(t *testing.T) {
	t.Parallel()
	const timeout = time.Second // a busy machine must not look like a dead peer
	a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) { o.PeerTimeout = timeout })
	conn := greeted(t, a)
	payload := numbered(LaneBulk, 1, 60_000)
	frame := appendFrame(nil, kindBulk, true, payload)
	pace := time.NewTicker(timeout / 20)
	defer pace.Stop()
	began := time.Now()
	for len(frame) > 0 {
		n := min(1000, len(frame))
		conn.send(frame[:n])
		frame = frame[n:]
		<-pace.C
	}
	require.Greater(t, time.Since(began), 2*timeout)
	require.Eventually(t, func() bool { return a.received() == 1 }, patience, often)
	require.Equal(t, payload, a.first())
	require.Greater(t, get(a, func(m *member) int { return m.heard }), 10)
	h, _ := conn.frame()
	require.Equal(t, kindAlive, h.kind)
}

func TestSlowReaderIsNotGivenUp(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	ours, theirs := net.Pipe()
	defer theirs.Close()
	result := make(chan error, 1)
	go func() { result <- writeAll(ours, make([]byte, 1000), timeout) }()
	pace := time.NewTicker(timeout / 16)
	defer pace.Stop()
	began := time.Now()
	for n := 0; n < 1000; {
		<-pace.C
		got, err := theirs.Read(make([]byte, 25))
		require.NoError(t, err)
		n += got
	}
	require.NoError(t, <-result)
	require.Greater(t, time.Since(began), 2*timeout)
}

func TestNewerConnectionOfAPeerWins(t *testing.T) {
	a := start(t, addresses(t, "tcp", 2), 0, nil)
	older := greeted(t, a)
	older.send(appendFrame(nil, kindBulk, false, []byte("the first half of")))
	newer := greeted(t, a)
	older.closedByPeer()
	newer.send(appendFrame(nil, kindBulk, true, []byte("a whole one")))
	require.Eventually(t, func() bool { return a.received() == 1 }, patience, often)
	require.Equal(t, "a whole one", string(a.first()))
	require.True(t, a.Status()[0].Receiving)
}

func TestPayloadsOfOnePeerAreDeliveredOneAtATime(t *testing.T) {
	var busy sync.Mutex
	entered, release := make(chan struct{}, 10), make(chan struct{})
	a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) {
		o.Receive = func(uint8, []byte) {
			if !busy.TryLock() {
				panic("two at a time")
			}
			entered <- struct{}{}
			<-release
			busy.Unlock()
		}
	})
	frame := appendFrame(nil, kindBulk, true, []byte("x"))
	greeted(t, a).send(frame)
	<-entered
	h := Hello{Group: 7, From: 1, To: 0, Size: 2, Version: 1}
	newer := dialRaw(t, a, append(appendHello([]byte(Magic), h), frame...))
	require.Eventually(t, func() bool {
		a.Transport.mu.Lock()
		defer a.Transport.mu.Unlock()
		return a.greeting == 0 && len(a.accepted) == 2
	}, patience, often)
	close(release)
	require.True(t, newer.reply().Accepted)
	<-entered
}

func TestSendRefusesWhatCanNeverBeSent(t *testing.T) {
	a := start(t, addresses(t, "tcp", 2), 0, func(o *Options) { o.MaxPayload = 100 })
	require.ErrorIs(t, a.Send(0, LaneBulk, nil), ErrNoPeer)
	require.ErrorIs(t, a.Send(2, LaneBulk, nil), ErrNoPeer)
	require.ErrorIs(t, a.Send(1, 0, nil), ErrNoLane)
	require.ErrorIs(t, a.Send(1, 3, nil), ErrNoLane)
	require.ErrorIs(t, a.Send(1, LaneBulk, make([]byte, 101)), ErrTooLarge)
	a.Close()
	require.ErrorIs(t, a.Send(1, LaneBulk, nil), ErrClosed)
	require.NoError(t, a.Flush(t.Context()))
	ours, theirs := net.Pipe()
	a.Accept(ours)
	_, err := theirs.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	a.Close()
	a.Start()
}

func TestFlushWaitsUntilEverythingIsWritten(t *testing.T) {
	with, accept := piped(t)
	a := start(t, addresses(t, "tcp", 2), 0, with)
	conn := accept()
	connected(t, a)
	require.NoError(t, a.Flush(t.Context()), "nothing waits")
	require.NoError(t, a.Send(1, LaneBulk, make([]byte, 600<<10)))
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, a.Flush(short), context.DeadlineExceeded)

	flushed := make(chan error, 1)
	go func() { flushed <- a.Flush(context.Background()) }()
	for h, _ := conn.frame(); !h.last || h.kind != kindBulk; h, _ = conn.frame() {
		require.Empty(t, flushed, "not everything was written")
	}
	require.NoError(t, <-flushed)

	// A connection that breaks ends the wait too.
	require.NoError(t, a.Send(1, LaneBulk, make([]byte, 600<<10)))
	go func() { flushed <- a.Flush(context.Background()) }()
	conn.frame()
	require.NoError(t, conn.Close())
	require.NoError(t, <-flushed)
}

func TestOptionsAreChecked(t *testing.T) {
	good := func() Options {
		return Options{
			Group: 1, Self: 1, Size: 3, Peers: []string{"a:1", "", "unix:/c"},
			Cluster: func() uint64 { return 0 }, Receive: func(uint8, []byte) {}, Lost: func(uint8) {},
		}
	}
	tr, err := New(good())
	require.NoError(t, err)
	tr.Close()
	tests := map[string]struct {
		change func(o *Options)
		want   string
	}{
		"no callback":       {func(o *Options) { o.Lost = nil }, "must be set"},
		"too few addresses": {func(o *Options) { o.Size = 4 }, "3 addresses for a group of 4"},
		"index too high":    {func(o *Options) { o.Self = 3 }, "index 3 in a group of 3"},
		"no port":           {func(o *Options) { o.Peers[0] = "a" }, `peer 0: address "a" is neither`},
		"negative queue":    {func(o *Options) { o.MaxQueueBytes = -1 }, "both must have room"},
		"payload too large": {func(o *Options) { o.MaxPayload = LargestPayload + 1 }, "MaxPayload"},
		"no patience":       {func(o *Options) { o.PeerTimeout = 1 }, "PeerTimeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good()
			tt.change(&o)
			_, err := New(o)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestParseAddress(t *testing.T) {
	tests := []struct{ in, network, rest string }{
		{"127.0.0.1:7379", "tcp", "127.0.0.1:7379"},
		{"[::1]:7379", "tcp", "[::1]:7379"},
		{":7379", "tcp", ":7379"},
		{"unix:/run/diskv.sock", "unix", "/run/diskv.sock"},
		{"unix:relative", "unix", "relative"},
		{"unix:", "", ""},
		{"", "", ""},
		{"host", "", ""},
		{"host:", "", ""},
		{"::1:7379", "", ""},
	}
	for _, tt := range tests {
		network, rest, err := ParseAddress(tt.in)
		require.Equal(t, tt.network == "", err != nil, tt.in)
		require.Equal(t, []string{tt.network, tt.rest}, []string{network, rest}, tt.in)
	}
	_, err := Dial(t.Context(), "nonsense")
	require.ErrorContains(t, err, "neither host:port nor unix:/path")
}

func TestLogLinesAreLimitedAndCounted(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLogLimiter(nil)
	l.now = func() time.Time { return now }
	allowed := 0
	for range 100 {
		if _, ok := l.allow("a"); ok {
			allowed++
		}
	}
	require.Equal(t, logBurst, allowed)
	_, ok := l.allow("b")
	require.True(t, ok, "another kind of event")
	now = now.Add(logWindow)
	suppressed, ok := l.allow("a")
	require.True(t, ok)
	require.Equal(t, 100-logBurst, suppressed)
	suppressed, _ = l.allow("a")
	require.Zero(t, suppressed)
}
