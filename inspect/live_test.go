package inspect

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/replica"
	"diskv/server"
	"diskv/tests/inproc"
)

// TestUnderLoad reads the directories of a group that is written to, that takes
// snapshots and drops segments, and a member of which loses its disk.
func TestUnderLoad(t *testing.T) {
	g := inproc.Start(t, 3, func(o *server.Options) { o.Replica.SnapshotMinBytes = 64 << 10 })
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	defer c.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		value := []byte(strings.Repeat("v", 2000))
		for n := 0; ctx.Err() == nil; n++ {
			if err := c.Put(ctx, fmt.Sprintf("key %d", n%10), value); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	var followed atomic.Uint64 // the highest slot that was seen
	ending := make(chan struct{})
	go func() {
		defer close(ending)
		_ = Follow(ctx, g.Options[0].Dir, Filter{Kinds: []string{KindBatch}}, func(r *Record) error {
			followed.Store(max(followed.Load(), r.Slot))
			return nil
		})
	}()
	for snapshots := 0; snapshots < 20; {
		for _, o := range g.Options {
			check := verify(t, o.Dir)
			require.Equal(t, Well, check.Verdict, "%v", check.Fault)
			require.True(t, check.InUse)
			if check.SnapshotSlot > 0 {
				snapshots++
			}
			r, err := check.dir.Replay(Moment{}, nil) // a time would soon be behind what is there
			require.NoError(t, err)
			require.GreaterOrEqual(t, r.Slot, check.Commit)
		}
	}
	require.Eventually(t, func() bool { return followed.Load() > 0 }, 20*time.Second, time.Millisecond, "what is written is followed")
	stop()
	require.NoError(t, <-ended)
	<-ending

	var checks []*Check
	for i, o := range g.Options {
		require.NoError(t, g.Halt(i))
		check := verify(t, o.Dir)
		require.Equal(t, Well, check.Verdict, "%v", check.Fault)
		require.False(t, check.InUse)
		checks = append(checks, check)
	}
	fault, _, err := Compare(checks, nil)
	require.NoError(t, err)
	require.Nil(t, fault)
}

// TestAfterALostDisk: what a member goes through that gets everything back breaks
// no invariant, and the others accept that it is back.
func TestAfterALostDisk(t *testing.T) {
	g := inproc.Start(t, 3, func(o *server.Options) { o.Replica.SnapshotMinBytes = 32 << 10 })
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	defer c.Close()
	put := func() {
		for n := range 40 {
			require.NoError(t, c.Put(t.Context(), fmt.Sprintf("key %d", n), []byte(strings.Repeat("v", 1000))))
		}
	}
	for lost := range 3 {
		put()
		require.NoError(t, g.Halt(lost))
		g.Nodes[lost] = nil
		require.NoError(t, os.RemoveAll(g.Options[lost].Dir))
		g.Options[lost].Bootstrap = false
		g.Run(lost)
		put()
		for id := (replica.Identity{}); id.Phase != replica.PhaseMember || id.Life.Epoch != 1; {
			check := verify(t, g.Options[lost].Dir)
			require.Equal(t, Well, check.Verdict, "%v", check.Fault)
			id = check.dir.Identity
		}
		put()
		for _, o := range g.Options {
			check := verify(t, o.Dir)
			require.Equal(t, Well, check.Verdict, "%v", check.Fault)
		}
	}
}
