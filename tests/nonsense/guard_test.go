package nonsense

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// guarded are keys with a tag that nonsense never has.
const guarded = 50

func guardedKey(i int) string   { return "{guarded}" + strconv.Itoa(i) }
func guardedValue(i int) string { return "value " + strconv.Itoa(i*i) }

// guard writes the keys, and writes and reads one more for as long as nonsense is sent.
type guard struct {
	t      *testing.T
	router *proc.Router
	count  atomic.Int64
	stop   chan struct{}
	done   sync.WaitGroup
	wrong  string // that a write was refused or is not there; read after done
}

func newGuard(t *testing.T, g *proc.Group) *guard {
	t.Helper()
	w := &guard{t: t, router: g.Router(), stop: make(chan struct{})}
	t.Cleanup(w.router.Close)
	for i := range guarded {
		_, err := w.router.Write(patiently(t), guardedKey(i), "SET", guardedKey(i), guardedValue(i))
		require.NoError(t, err)
	}
	w.done.Go(w.run)
	return w
}

// run counts up. Every write is read back.
func (w *guard) run() {
	const key = "{guarded}count"
	for n := int64(1); ; n++ {
		select {
		case <-w.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		want := strconv.FormatInt(n, 10)
		_, err := w.router.Write(patiently(w.t), key, "SET", key, want)
		var v resp.Value
		if err == nil {
			v, err = w.router.Read(patiently(w.t), "GET", key)
		}
		if err != nil || string(v.Str) != want {
			w.wrong = fmt.Sprintf("%s should be %s, and is %q, %v", key, want, v.Str, err)
			return
		}
		w.count.Store(n)
	}
}

// end stops the writer and requires that the keys are as they were, and that they can be
// written at once.
func (w *guard) end() {
	w.t.Helper()
	close(w.stop)
	w.done.Wait()
	require.Empty(w.t, w.wrong, "writes go on while nonsense is sent")
	require.Positive(w.t, w.count.Load())
	begun := time.Now()
	for i := range guarded {
		v, err := w.router.Read(patiently(w.t), "GET", guardedKey(i))
		require.NoError(w.t, err)
		require.Equal(w.t, guardedValue(i), string(v.Str))
		_, err = w.router.Write(patiently(w.t), guardedKey(i), "SET", guardedKey(i), guardedValue(i))
		require.NoError(w.t, err)
	}
	require.Less(w.t, time.Since(begun), patience, "%d reads and writes", 2*guarded)
}

// digest returns a digest of all keys, values and deadlines that a member holds.
func digest(m *proc.Member) (string, error) {
	c, err := m.Dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Do("READONLY"); err != nil {
		return "", err
	}
	var lines []string
	for cursor := "0"; ; {
		v, err := c.Do("SCAN", cursor, "COUNT", "1000")
		if err != nil {
			return "", err
		}
		if len(v.Elems) != 2 {
			return "", errors.New("no reply of SCAN")
		}
		for _, key := range v.Elems[1].Elems {
			value, err := c.Do("GET", string(key.Str))
			if err != nil {
				return "", err
			}
			ttl, err := c.Do("PTTL", string(key.Str))
			if err != nil {
				return "", err
			}
			lines = append(lines, fmt.Sprintf("%q %q %v", key.Str, value.Str, ttl.Int >= 0))
		}
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			break
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d keys, %x", len(slices.Compact(lines)), sha256.Sum256(fmt.Append(nil, slices.Compact(lines)))), nil
}

// patience is how long anything may take that is sure to happen.
const patience = 60 * time.Second

func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
