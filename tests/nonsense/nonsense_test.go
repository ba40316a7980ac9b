package nonsense

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"diskv/inspect"
	"diskv/tests/proc"
)

const (
	// maxValue is the members' --max-value-bytes: small, so that too much is quickly sent.
	maxValue = 64 << 10
	// attackers send nonsense at the same time.
	attackers = 6
	// silent is how many connections hang in the middle of a command meanwhile.
	silent = 3000
	// maxResident bounds the memory of a process.
	maxResident = 256 << 20
)

func TestNonsenseChangesNothingThatItShouldNot(t *testing.T) {
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: 3, Args: []string{"--max-value-bytes", strconv.Itoa(maxValue)}})
	require.NoError(t, err)
	t.Cleanup(func() {
		g.Close()
		if t.Failed() {
			for _, m := range g.Members {
				out := m.Output()
				t.Logf("member %d:\n%s", m.Index, out[max(0, len(out)-20_000):])
			}
		}
	})
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	leader, err := g.Leader(patiently(t))
	require.NoError(t, err)
	c, err := leader.Dial()
	require.NoError(t, err)
	table, err := c.Do("COMMAND")
	require.NoError(t, err)
	c.Close()
	commands := commandsOf(table)
	require.Greater(t, len(commands), 30)

	w := newGuard(t, g)
	var addrs []string
	var pids, goroutines []int
	for _, m := range g.Members {
		addrs, pids, goroutines = append(addrs, m.Addr), append(pids, m.PID()), append(goroutines, goroutinesOf(t, m))
	}

	t.Logf("for %v with seed %d", *duration, *seed)
	generatorOf := func(i int) *generator {
		return &generator{rng: rand.New(rand.NewPCG(*seed, uint64(i))), commands: commands}
	}
	hanging := halfOpen(generatorOf(attackers), addrs, min(silent, filesLeft()))
	end := time.Now().Add(*duration)
	var attacking sync.WaitGroup
	var mu sync.Mutex
	frames := 0
	for i := range attackers {
		attacking.Go(func() {
			n := attack(generatorOf(i), addrs, end)
			mu.Lock()
			defer mu.Unlock()
			frames += n
		})
	}
	attacking.Wait()
	for _, conn := range hanging {
		_ = conn.Close()
	}
	w.end()
	t.Logf("%d frames, and %d connections that hung; %d guarded writes meanwhile", frames, len(hanging), w.count.Load())
	require.Greater(t, frames, 1000)

	for i, m := range g.Members {
		require.True(t, m.Running(), "member %d", i)
		require.Equal(t, pids[i], m.PID())
		resident := residentOf(t, m)
		t.Logf("member %d: %d MiB, %d goroutines", i, resident>>20, goroutinesOf(t, m))
		require.Less(t, resident, int64(maxResident), "member %d", i)
		require.Eventually(t, func() bool { return goroutinesOf(t, m) <= goroutines[i]+10 }, patience, 50*time.Millisecond,
			"member %d had %d goroutines before", i, goroutines[i])
	}
	require.Eventually(t, func() bool {
		// The leader hides keys by its clock, followers by the time of the newest batch.
		_, err := w.router.Write(patiently(t), guardedKey(0), "SET", guardedKey(0), guardedValue(0))
		if err != nil || g.Converged(patiently(t)) != nil {
			return false
		}
		first, err := digest(g.Members[0])
		if err != nil {
			return false
		}
		for _, m := range g.Members[1:] {
			if d, err := digest(m); err != nil || d != first {
				return false
			}
		}
		return true
	}, patience, 100*time.Millisecond, "the members hold the same")

	var checks []*inspect.Check
	for _, m := range g.Members {
		status, err := m.Stop(patiently(t))
		require.NoError(t, err)
		require.Zero(t, status)
		check, err := inspect.Verify(m.Dir, nil)
		require.NoError(t, err)
		require.Equal(t, inspect.Well, check.Verdict)
		checks = append(checks, check)
	}
	// The nonsense takes snapshots (BGSAVE), so the logs may have no slot in common.
	fault, _, err := inspect.Compare(checks, nil)
	require.NoError(t, err)
	require.Nil(t, fault)
}

// filesLeft returns how many connections this process may open.
func filesLeft() int {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return 500
	}
	return max(int(min(files.Cur, 1<<20))-200, 0)
}

var goroutinesLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

func goroutinesOf(t *testing.T, m *proc.Member) int {
	t.Helper()
	text, err := m.Get("/metrics")
	require.NoError(t, err)
	found := goroutinesLine.FindStringSubmatch(text)
	require.NotNil(t, found)
	n, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return n
}

// residentOf returns the memory of a process, in bytes.
func residentOf(t *testing.T, m *proc.Member) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(m.PID()) + "/statm")
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}
