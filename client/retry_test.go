package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
)

// numbers returns the session and the number of every DISKV.ONCE that came.
func numbers(f *fake) []string {
	var out []string
	for _, c := range f.commands() {
		if c[0] == "DISKV.ONCE" {
			out = append(out, c[2]+"#"+c[3])
		}
	}
	return out
}

// briefly is a context that ends soon: before patience, after a few retries.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// overtime is an operation whose context ends soon. On a machine that is busy that may be
// before it has come as far as its error is to say: then it is done again, and has more time.
func overtime(as func(err error) bool, operation func(ctx context.Context) error) error {
	for limit := 150 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		err := operation(ctx)
		cancel()
		if limit > patience || as(err) {
			return err
		}
	}
}

// saying is for overtime.
func saying(text string) func(err error) bool {
	return func(err error) bool { return err != nil && strings.Contains(err.Error(), text) }
}

// TestWriteIsSentUntilItIsDecided has one line for each thing that can happen to a
// write, and the numbers under which it is sent.
func TestWriteIsSentUntilItIsDecided(t *testing.T) {
	t.Parallel()
	const s1, s2 = "session-1", "session-2"
	for name, tc := range map[string]struct {
		script []action
		want   []string
		is     error  // nil: it succeeds
		text   string // in the error
	}{
		"at once":             {[]action{ok}, []string{s1 + "#1"}, nil, ""},
		"reply lost":          {[]action{lost, ok}, []string{s1 + "#1", s1 + "#1"}, nil, ""},
		"half closed":         {[]action{{half: true}, ok}, []string{s1 + "#1", s1 + "#1"}, nil, ""},
		"half a reply":        {[]action{{reply: "+O", close: true}, ok}, []string{s1 + "#1", s1 + "#1"}, nil, ""},
		"no RESP":             {[]action{{reply: "HTTP/1.1 400\r\n", close: true}, ok}, []string{s1 + "#1", s1 + "#1"}, nil, ""},
		"unknown result":      {[]action{fails("UNKNOWNRESULT x"), ok}, []string{s1 + "#1", s1 + "#1"}, nil, ""},
		"try again":           {[]action{fails("TRYAGAIN x"), fails("CLUSTERDOWN x"), fails("LOADING x"), ok}, []string{s1 + "#1", s1 + "#1", s1 + "#1", s1 + "#1"}, nil, ""},
		"too many clients":    {[]action{{reply: "-ERR max number of clients reached\r\n", close: true}, ok}, []string{s1 + "#1", s1 + "#1"}, nil, ""},
		"disk full":           {[]action{fails("MISCONF x"), ok}, []string{s1 + "#1"}, client.ErrorReply("MISCONF x"), ""},
		"disk full, unsure":   {[]action{lost, fails("MISCONF x"), ok}, []string{s1 + "#1", s1 + "#1", s1 + "#1"}, nil, ""},
		"refused":             {[]action{fails("ERR syntax error")}, []string{s1 + "#1"}, client.ErrorReply("ERR syntax error"), ""},
		"too long":            {[]action{fails("ERR argument of 9 bytes exceeds the limit of 8 bytes (--max-value-bytes)")}, []string{s1 + "#1"}, client.ErrorReply("ERR argument of 9 bytes exceeds the limit of 8 bytes (--max-value-bytes)"), ""},
		"too long, unsure":    {[]action{lost, fails("ERR x (--max-value-bytes)"), ok}, []string{s1 + "#1", s1 + "#1", s1 + "#1"}, nil, ""},
		"session limit":       {[]action{fails("SESSIONLIMIT x")}, []string{s1 + "#1"}, client.ErrorReply("SESSIONLIMIT x"), ""},
		"limit, unsure":       {[]action{lost, fails("SESSIONLIMIT x"), ok}, []string{s1 + "#1", s1 + "#1", s1 + "#1"}, nil, ""},
		"session expired":     {[]action{fails("SESSIONEXPIRED x"), ok}, []string{s1 + "#1", s2 + "#1"}, nil, ""},
		"expired, unsure":     {[]action{lost, fails("SESSIONEXPIRED x")}, []string{s1 + "#1", s1 + "#1"}, client.ErrUnknownOutcome, "SESSIONEXPIRED x"},
		"expired, unknown":    {[]action{fails("UNKNOWNRESULT x"), fails("SESSIONEXPIRED x")}, []string{s1 + "#1", s1 + "#1"}, client.ErrUnknownOutcome, "SESSIONEXPIRED x"},
		"stale number":        {[]action{fails("STALESEQ x"), ok}, []string{s1 + "#1", s2 + "#1"}, nil, ""},
		"stale, unsure":       {[]action{lost, fails("STALESEQ x")}, []string{s1 + "#1", s1 + "#1"}, client.ErrUnknownOutcome, "STALESEQ x"},
		"session from future": {[]action{fails("SESSIONINVALID x"), ok}, []string{s1 + "#1", s2 + "#1"}, nil, ""},
		"future, unsure":      {[]action{lost, fails("SESSIONINVALID x"), ok}, []string{s1 + "#1", s1 + "#1", s1 + "#1"}, nil, ""},
		"reply not kept":      {[]action{lost, fails("REPLYNOTKEPT x")}, []string{s1 + "#1", s1 + "#1"}, client.ErrReplyNotKept, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, replies(tc.script...))
			c := open(t, f.addr)
			_, err := c.Do(patiently(t), client.Update("SET", "k", "v"))
			if tc.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tc.is)
				require.ErrorContains(t, err, tc.text)
			}
			require.Equal(t, tc.want, numbers(f))
		})
	}
}

func TestPutIsDoneWhenItsReplyWasNotKept(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(lost, fails("REPLYNOTKEPT x")))
	require.NoError(t, open(t, f.addr).Put(patiently(t), "k", nil))
}

// TestTimeIsOver: what a write says when its context ends depends on whether a copy
// may have been executed, and the next write has another number.
func TestTimeIsOver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script  []action
		unknown bool
		text    string
	}{
		"no reply":         {[]action{silent}, true, ""},
		"lost, then down":  {[]action{lost, fails("CLUSTERDOWN no leader")}, true, "CLUSTERDOWN no leader"},
		"unknown for ever": {[]action{fails("UNKNOWNRESULT x")}, true, "UNKNOWNRESULT x"},
		"down":             {[]action{fails("CLUSTERDOWN no leader")}, false, "CLUSTERDOWN no leader"},
		"try again":        {[]action{fails("TRYAGAIN x")}, false, "TRYAGAIN x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f *fake
			var c *client.Client
			err := overtime(func(err error) bool { // it may be over just when a copy is on its way, too
				return saying(tc.text)(err) && tc.unknown == errors.Is(err, client.ErrUnknownOutcome)
			}, func(ctx context.Context) error {
				f = newFake(t, replies(tc.script...))
				c = open(t, f.addr)
				return c.Put(ctx, "k", []byte("v"))
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, `SET "k": `)
			require.ErrorContains(t, err, tc.text)
			require.NotErrorAs(t, err, new(client.ErrorReply), "what was not the answer is words alone")
			if tc.unknown {
				require.ErrorIs(t, err, client.ErrUnknownOutcome)
			} else {
				require.NotErrorIs(t, err, client.ErrUnknownOutcome)
				require.ErrorContains(t, err, "not executed")
			}
			f.change(func() { f.script = replies(ok) })
			f.hangUp()
			require.NoError(t, c.Put(patiently(t), "k", nil))
			used := numbers(f)
			require.Less(t, used[0], used[len(used)-1], "another operation, another number")
		})
	}
}

func TestWriteThatNeverLeftIsNotUnknown(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(ok))
	dialled := 0
	c := openWith(t, client.Options{Connections: 1, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		if dialled++; dialled > 1 { // the lane of writes
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var d net.Dialer
		return d.DialContext(ctx, "unix", strings.TrimPrefix(addr, "unix:"))
	}}, f.addr)
	err := c.Put(briefly(t), "k", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, client.ErrUnknownOutcome)
	require.Empty(t, f.commands())

	ctx, cancel := context.WithCancelCause(context.Background())
	reason := net.UnknownNetworkError("a reason")
	cancel(reason)
	err = c.Put(ctx, "k", nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, reason)
	require.NotErrorIs(t, err, client.ErrUnknownOutcome)
}

func TestReadsAreRepeatedFreely(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(lost, fails("TRYAGAIN x"), fails("CLUSTERDOWN x"), action{half: true}, says("$1\r\nv")))
	value, found, err := open(t, f.addr).Get(patiently(t), "k")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "v", string(value))
	require.Len(t, f.commands(), 5)
}

func TestMovedIsFollowed(t *testing.T) {
	t.Parallel()
	leader := newFake(t, replies(ok))
	follower := newFake(t, replies(fails("MOVED 12706 "+leader.addr)))
	c := open(t, follower.addr)
	begun := time.Now()
	for range 10 {
		require.NoError(t, c.Put(patiently(t), "k", nil))
	}
	require.Less(t, time.Since(begun), patience/2)
	require.Len(t, leader.commands(), 10)
	// It says that it leads when it is asked for the cluster, so it may be tried again.
	require.Less(t, len(follower.commands()), 10)
	require.Equal(t, numbers(follower)[0], numbers(leader)[0], "the same number")
}

func TestMembersThatNameEachOtherAreNotHurried(t *testing.T) {
	t.Parallel()
	a := newFake(t, nil)
	b := newFake(t, replies(fails("MOVED 1 "+a.addr)))
	a.script = replies(fails("MOVED 1 " + b.addr))
	c := open(t, a.addr)
	err := overtime(saying("MOVED 1 "), func(ctx context.Context) error { return c.Put(ctx, "k", nil) })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "MOVED 1 ")
	require.Less(t, len(a.commands())+len(b.commands()), 40)
}

func TestMalformedRedirectIsNoEnd(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(fails("MOVED"), fails("MOVED x y"), fails("MOVED 1 nowhere"), fails("MOVED 99999 a:1"), ok))
	require.NoError(t, open(t, f.addr).Put(patiently(t), "k", nil))
}

// TestSilentLeaderIsLeft: a member that has stopped in its tracks keeps its
// connections open. Another one that says who leads is believed.
func TestSilentLeaderIsLeft(t *testing.T) {
	t.Parallel()
	old := newFake(t, replies(silent))
	successor := newFake(t, replies(ok))
	old.peers = []string{old.addr, successor.addr}
	successor.peers = old.peers
	c := open(t, old.addr)
	done := make(chan error, 1)
	go func() { done <- c.Put(patiently(t), "k", nil) }()
	require.Eventually(t, func() bool { return len(old.commands()) == 1 }, patience, time.Millisecond)
	for _, f := range []*fake{old, successor} {
		f.change(func() { f.peers = []string{successor.addr, old.addr} })
	}
	require.NoError(t, <-done)
	require.Equal(t, numbers(old), numbers(successor))
}

func TestSilentConnectionIsLost(t *testing.T) {
	t.Parallel()
	options := client.Options{StallTimeout: time.Second}
	f := newFake(t, replies(silent, ok))
	c := openWith(t, options, f.addr)
	require.NoError(t, c.Put(patiently(t), "k", nil))
	require.Len(t, numbers(f), 2)

	// One that is idle is not, for longer than another takes to be given up.
	for range 2 {
		other := newFake(t, replies(silent, ok))
		require.NoError(t, openWith(t, options, other.addr).Put(patiently(t), "k", nil))
		require.Len(t, numbers(other), 2)
	}
	require.NoError(t, c.Put(patiently(t), "k", nil))
	require.Len(t, numbers(f), 3)
}

func TestUnaskedReplyEndsTheConnection(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(says("+OK\r\n+OK"), ok))
	c := open(t, f.addr)
	require.NoError(t, c.Put(patiently(t), "k", nil))
	for range 4 {
		require.NoError(t, c.Put(patiently(t), "k", nil))
	}
}

func TestReplyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(says("$2000\r\n"+strings.Repeat("x", 2000))))
	c := openWith(t, client.Options{MaxReplyBytes: 1000}, f.addr)
	_, _, err := c.Get(patiently(t), "k")
	require.ErrorContains(t, err, `GET "k": read reply: reply of 2000 bytes exceeds the limit of 1000 bytes`)
	require.Len(t, f.commands(), 1, "it would be too large again")

	f = newFake(t, replies(says("$2000\r\n"+strings.Repeat("x", 2000)), fails("REPLYNOTKEPT x")))
	c = openWith(t, client.Options{MaxReplyBytes: 1000}, f.addr)
	_, err = c.Do(patiently(t), client.Update("SET", "k", "v", "GET"))
	require.ErrorIs(t, err, client.ErrReplyNotKept)
}

func TestSessionsAreReplacedBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(ok))
	c := open(t, f.addr)
	require.NoError(t, c.Put(patiently(t), "k", nil))
	require.NoError(t, c.Put(patiently(t), "k", nil))
	c.SetSessionTimes(time.Nanosecond, time.Hour)
	require.NoError(t, c.Put(patiently(t), "k", nil))
	require.Equal(t, []string{"session-1#1", "session-1#2", "session-2#1"}, numbers(f))
}

func TestWriteIsGivenUpBeforeItsSessionExpires(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(fails("UNKNOWNRESULT x")))
	c := open(t, f.addr)
	c.SetSessionTimes(time.Hour, time.Second)
	err := c.Put(patiently(t), "k", nil)
	require.ErrorIs(t, err, client.ErrUnknownOutcome)
	require.ErrorContains(t, err, "its session is about to expire")
}

func TestWritesAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	f := newFake(t, func(int, []string) action { return action{reply: "+OK\r\n", after: release} })
	c := openWith(t, client.Options{MaxWrites: 2, Connections: 4}, f.addr)
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- c.Put(patiently(t), "k", nil) }()
	}
	require.Eventually(t, func() bool { return len(f.commands()) == 2 }, patience, time.Millisecond)
	err := c.Put(briefly(t), "k", nil)
	require.ErrorContains(t, err, "not executed: 2 writes are under way")
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.Equal(t, 2, f.sessions())
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(silent))
	c := open(t, f.addr)
	wrote, read := make(chan error, 1), make(chan error, 1)
	go func() { wrote <- c.Put(patiently(t), "k", nil) }()
	go func() {
		_, _, err := c.Get(patiently(t), "k")
		read <- err
	}()
	require.Eventually(t, func() bool { return len(f.commands()) == 2 }, patience, time.Millisecond)
	c.Close()
	err := <-wrote
	require.ErrorIs(t, err, client.ErrClosed)
	require.ErrorIs(t, err, client.ErrUnknownOutcome)
	err = <-read
	require.ErrorIs(t, err, client.ErrClosed)
	require.NotErrorIs(t, err, client.ErrUnknownOutcome)
}

func TestNobodyServesYet(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(ok))
	f.peers = nil
	c := open(t, f.addr)
	const nobody = "nobody is known to serve it yet"
	err := overtime(saying(nobody), func(ctx context.Context) error { return c.Put(ctx, "k", nil) })
	require.ErrorContains(t, err, nobody)
	f.change(func() { f.peers = []string{f.addr} })
	require.NoError(t, c.Put(patiently(t), "k", nil))
}

// TestSlowMemberIsAwaited: who opens a client has time, though a client that has others to
// ask would not wait for this one.
func TestSlowMemberIsAwaited(t *testing.T) {
	t.Parallel()
	f := newFake(t, replies(ok))
	f.slow = make(chan struct{})
	time.AfterFunc(700*time.Millisecond, func() { close(f.slow) })
	require.NoError(t, open(t, f.addr).Put(patiently(t), "k", nil))
}
