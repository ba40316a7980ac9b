package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

var lostBytes = flag.Int64("crash.lost-bytes", 64<<20, "how much data the group of the benchmark of a lost disk holds")

const (
	benchValue    = 1 << 10 // bytes
	benchClients  = 50      // that write, one command at a time each
	benchBefore   = 10 * time.Second
	benchPatience = 10 * time.Minute
)

// BenchmarkLostDisk has a follower of a group with much data lose its disk while
// clients write, and reports how long it takes until it votes again, and how
// many writes a second are acknowledged before and meanwhile.
//
//	go test ./tests/crash -run '^$' -bench LostDisk -benchtime 1x -timeout 30m -crash.lost-bytes 1073741824
func BenchmarkLostDisk(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		lostDisk(b)
		b.StartTimer()
	}
}

func lostDisk(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), benchPatience)
	defer cancel()
	g := newGroupWith(b, proc.Options{Size: 3, BootstrapOnce: true})
	defer g.Close()
	leader, err := g.Leader(ctx)
	require.NoError(b, err)
	keys := int(*lostBytes / benchValue)
	begun := time.Now()
	require.NoError(b, preload(leader, keys))
	b.Logf("%d keys written in %v", keys, round(time.Since(begun)))
	require.NoError(b, g.Converged(ctx))

	w := startWrites(b, g, keys)
	w.awaitMore(b, 1000)
	first := w.mark()
	time.Sleep(benchBefore) // a measurement takes its time; nothing is waited for
	before := w.rateSince(first)

	lost, other := g.Members[(leader.Index+1)%3], g.Members[(leader.Index+2)%3]
	epoch := strconv.FormatUint(fieldOf(b, lost, "epoch"), 10)
	require.NoError(b, lost.LoseDisk())
	second := w.mark()
	require.NoError(b, lost.Start())
	require.EventuallyWithT(b, func(c *assert.CollectT) {
		info, err := lost.Info()
		require.NoError(c, err)
		require.Equal(c, "member", info["phase"], info["not_ready_because"])
		require.NotEqual(c, epoch, info["epoch"])
	}, benchPatience, 50*time.Millisecond) // asking costs it time
	took, meanwhile := time.Since(second.at), w.rateSince(second)
	b.Logf("back after %v; writes a second: %.0f before, %.0f meanwhile; on the way:\n%s",
		round(took), before, meanwhile, milestones(lost))

	// It is needed now, and all is there.
	require.NoError(b, other.Kill())
	w.awaitMore(b, 1000)
	w.stop(b)
	c, err := lost.Dial()
	require.NoError(b, err)
	defer c.Close()
	v, err := c.Do("INFO", "keyspace")
	require.NoError(b, err)
	require.Contains(b, string(v.Str), fmt.Sprintf("keys=%d,", keys))

	b.ReportMetric(took.Seconds(), "s-until-vote")
	b.ReportMetric(before, "writes/s-before")
	b.ReportMetric(meanwhile, "writes/s-meanwhile")
	b.ReportMetric(meanwhile/before, "ratio")
	require.Less(b, took, time.Minute)
}

// milestones returns what a member has said of snapshots and votes.
func milestones(m *proc.Member) string {
	var lines []string
	for line := range strings.Lines(m.Output()) {
		if strings.Contains(line, "snapshot") || strings.Contains(line, "votes again") || strings.Contains(line, "lost its disk") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines[max(0, len(lines)-6):], "\n")
}

func benchKey(n int) string { return "key-" + strconv.Itoa(n) }

// noise is bytes that do not compress, of which every value is a part.
var noise = func() string {
	b := make([]byte, 1<<20)
	src := rand.NewChaCha8([32]byte{})
	_, _ = src.Read(b)
	return string(b)
}()

func benchNoise() string {
	at := rand.IntN(len(noise) - benchValue)
	return noise[at : at+benchValue]
}

// preload writes keys in pipelines on several connections.
func preload(leader *proc.Member, keys int) error {
	const conns = 16
	var writing sync.WaitGroup
	faults := make([]error, conns)
	for i := range conns {
		writing.Go(func() { faults[i] = preloadRange(leader, keys*i/conns, keys*(i+1)/conns) })
	}
	writing.Wait()
	return errors.Join(faults...)
}

func preloadRange(leader *proc.Member, from, to int) error {
	const depth = 64
	c, err := leader.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = time.Minute
	for done := from; done < to; {
		n := min(depth, to-done)
		for i := range n {
			if err := c.Send("SET", benchKey(done+i), benchNoise()); err != nil {
				return err
			}
		}
		for range n {
			v, err := c.Receive()
			if err == nil {
				err = v.Err()
			}
			if err != nil {
				return err
			}
		}
		done += n
	}
	return nil
}

// writes is clients that write to keys at random.
type writes struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Pointer[error]
}

func startWrites(b *testing.B, g *proc.Group, keys int) *writes {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writes{cancel: cancel}
	b.Cleanup(func() { cancel(); w.running.Wait() })
	for range benchClients {
		w.running.Go(func() {
			r := g.Router()
			defer r.Close()
			for ctx.Err() == nil {
				if _, err := r.Read(ctx, "SET", benchKey(rand.IntN(keys)), benchNoise()); err != nil {
					if ctx.Err() == nil {
						w.failed.Store(&err)
					}
					return
				}
				w.done.Add(1)
			}
		})
	}
	return w
}

// stop ends the clients, none of which may have failed.
func (w *writes) stop(b *testing.B) {
	b.Helper()
	w.cancel()
	w.running.Wait()
	if err := w.failed.Load(); err != nil {
		require.NoError(b, *err)
	}
}

func (w *writes) awaitMore(b *testing.B, n int64) {
	b.Helper()
	want := w.done.Load() + n
	require.Eventually(b, func() bool { return w.done.Load() >= want }, patience, time.Millisecond)
}

// instant is how many writes were done at a time.
type instant struct {
	at   time.Time
	done int64
}

func (w *writes) mark() instant { return instant{at: time.Now(), done: w.done.Load()} }

func (w *writes) rateSince(i instant) float64 {
	return float64(w.done.Load()-i.done) / time.Since(i.at).Seconds()
}
