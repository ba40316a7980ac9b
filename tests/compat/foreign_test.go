package compat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreign is the store of the scenarios in another language: a process that carries
// out one request in JSON a line, and replies to each (node/driver.mjs, python/driver.py).
type foreign struct {
	in io.Writer

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan<- foreignReply
	ended   error // not nil once the process answers no more
}

type foreignRequest struct {
	ID    uint64   `json:"id"`
	Op    string   `json:"op"`
	Key   string   `json:"key,omitempty"`
	Value string   `json:"value,omitempty"`
	Keys  []string `json:"keys,omitempty"`
}

type foreignReply struct {
	ID    uint64          `json:"id"`
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
}

// errForeign is what the client said.
type errForeign string

func (e errForeign) Error() string { return string(e) }

// startForeign runs a driver until the test ends.
func startForeign(t *testing.T, command ...string) *foreign {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	f := &foreign{in: in, waiting: make(map[uint64]chan<- foreignReply)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		f.read(out)
	}()
	t.Cleanup(func() {
		_ = in.Close()
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		<-read
		assert.NoError(t, cmd.Wait(), "it closes the client when there is nothing more to do")
	})
	return f
}

// read hands out the replies until the process has ended.
func (f *foreign) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	err := error(nil)
	for err == nil && lines.Scan() {
		var reply foreignReply
		if err = json.Unmarshal(lines.Bytes(), &reply); err == nil {
			f.mu.Lock()
			if w := f.waiting[reply.ID]; w != nil {
				w <- reply
			}
			delete(f.waiting, reply.ID)
			f.mu.Unlock()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = errors.Join(errors.New("the driver has ended"), err, lines.Err())
	for id, w := range f.waiting {
		w <- foreignReply{ID: id, Error: f.ended.Error()}
	}
	clear(f.waiting)
}

// do has one request carried out and reads its reply into value.
func (f *foreign) do(ctx context.Context, request foreignRequest, value any) error {
	done := make(chan foreignReply, 1)
	f.mu.Lock()
	if f.ended != nil {
		defer f.mu.Unlock()
		return f.ended
	}
	f.last++
	request.ID = f.last
	f.waiting[request.ID] = done
	line, err := json.Marshal(request)
	if err == nil {
		_, err = f.in.Write(append(line, '\n'))
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case reply := <-done:
		if reply.Error != "" {
			return errForeign(reply.Error)
		}
		return json.Unmarshal(reply.Value, value)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *foreign) Set(ctx context.Context, key, value string) error {
	var nothing any
	return f.do(ctx, foreignRequest{Op: "set", Key: key, Value: value}, &nothing)
}

func (f *foreign) Get(ctx context.Context, key string) (value string, err error) {
	err = f.do(ctx, foreignRequest{Op: "get", Key: key}, &value)
	return value, err
}

func (f *foreign) Incr(ctx context.Context, key string) (n int64, err error) {
	err = f.do(ctx, foreignRequest{Op: "incr", Key: key}, &n)
	return n, err
}

func (f *foreign) IncrAll(ctx context.Context, keys []string) (all []int64, err error) {
	err = f.do(ctx, foreignRequest{Op: "incrall", Keys: keys}, &all)
	return all, err
}

// first does what a user of the client does first, and returns what that was. A machine
// that is busy may have an election, which not every client gets over: then it begins anew.
func (f *foreign) first(t *testing.T) []string {
	t.Helper()
	ctx := patiently(t)
	for {
		var done []string
		err := f.do(ctx, foreignRequest{Op: "first"}, &done)
		if err != nil && ctx.Err() == nil && (strings.Contains(err.Error(), "CLUSTERDOWN") || strings.Contains(err.Error(), "UNKNOWNRESULT")) {
			continue
		}
		require.NoError(t, err)
		return done
	}
}

// drivers are the clients of other languages.
var drivers = []struct {
	name    string
	command []string
	// What a user does first that only one of the two kinds of client has.
	onlyPlain, onlyCluster []string
}{
	{"redis-py", []string{"/usr/bin/python3", "python/driver.py"}, []string{"transaction", "watch", "lock"}, []string{"reads_of_replicas"}},
	{"ioredis", []string{"node", "node/driver.mjs", "ioredis"}, []string{"watch"}, []string{"reads of replicas"}},
	{"node-redis", []string{"node", "node/driver.mjs", "node-redis"}, []string{"watch"}, []string{"reads of replicas"}},
}

// TestOtherLanguagesCluster has the cluster clients of other languages do what the
// others do.
func TestOtherLanguagesCluster(t *testing.T) {
	c := startCluster(t)
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) {
			s := startForeign(t, append(append(d.command, "cluster"), c.addrs()...)...)
			t.Run("first", func(t *testing.T) {
				done := s.first(t)
				require.Subset(t, done, d.onlyCluster)
				require.NotContains(t, done, "watch")
				require.GreaterOrEqual(t, len(done), 6)
			})
			t.Run("shards move", func(t *testing.T) { c.countWhileShardsMove(t, s) })
			t.Run("a leader is killed", func(t *testing.T) { c.outliveALeader(t, s, true) })
		})
	}
}

// TestOtherLanguagesPlain has clients of one server talk to a follower of a group, and
// to any member of a cluster, that forwards.
func TestOtherLanguagesPlain(t *testing.T) {
	_, follower := startGroup(t, "--forward")
	c := startCluster(t, "--forward")
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) {
			open := func(t *testing.T, addr string) *foreign {
				t.Helper()
				return startForeign(t, append(append(d.command, "plain"), addr)...)
			}
			t.Run("first", func(t *testing.T) {
				done := open(t, follower.Addr).first(t)
				require.Subset(t, done, d.onlyPlain)
				require.GreaterOrEqual(t, len(done), 8)
			})
			t.Run("through every member", func(t *testing.T) {
				c.useEveryMember(t, d.name, func(addr string) store { return patient{open(t, addr)} })
			})
		})
	}
}
