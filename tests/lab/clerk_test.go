package lab

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// clerk is a client. What it does happens exactly once; it goes on until it has
// the answer. It is for one goroutine.
type clerk struct {
	ctx context.Context
	r   *proc.Router
}

func newClerk(t *testing.T, r *proc.Router, network *proc.Network) *clerk {
	t.Helper()
	if network != nil {
		r.Over(network)
	}
	t.Cleanup(r.Close)
	return &clerk{ctx: t.Context(), r: r}
}

func (l *lab) clerk(t *testing.T) *clerk {
	t.Helper()
	return newClerk(t, l.Router(), l.network)
}

// do runs one operation with a time for it.
func (c *clerk) do(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	return f(ctx)
}

func (c *clerk) put(key, value string) error {
	return c.do(func(ctx context.Context) error {
		_, err := c.r.Write(ctx, key, "SET", key, value)
		return err
	})
}

// putFirst sets a key that nobody has set, and reports whether that was so.
func (c *clerk) putFirst(key, value string) (first bool, err error) {
	err = c.do(func(ctx context.Context) error {
		v, err := c.r.Write(ctx, key, "SET", key, value, "NX")
		first = v.Kind != resp.KindNull
		return err
	})
	return first, err
}

func (c *clerk) append(key, value string) error {
	return c.do(func(ctx context.Context) error {
		_, err := c.r.Write(ctx, key, "APPEND", key, value)
		return err
	})
}

// get returns the value of a key, "" if there is none.
func (c *clerk) get(key string) (value string, err error) {
	err = c.do(func(ctx context.Context) error {
		v, err := c.r.Read(ctx, "GET", key)
		value = string(v.Str)
		return err
	})
	return value, err
}

// mustAppend and mustHold are append and get of the test's own goroutine.
func (c *clerk) mustAppend(t *testing.T, key, value string) {
	t.Helper()
	require.NoError(t, c.append(key, value))
}

func (c *clerk) mustHold(t *testing.T, key, want string) {
	t.Helper()
	got, err := c.get(key)
	require.NoError(t, err)
	require.Equal(t, want, got, "value of %s", key)
}

// piece is what a writer appends as its n-th.
func piece(writer, n int) string { return fmt.Sprintf("<%d %d>", writer, n) }

// requirePieces checks that a value consists of the first counts[w] pieces of
// each writer w, each once and those of a writer in order.
func requirePieces(t *testing.T, value string, counts []int) {
	t.Helper()
	next := make([]int, len(counts))
	for p := range strings.SplitAfterSeq(value, ">") {
		if p == "" {
			continue
		}
		var w, n int
		_, err := fmt.Sscanf(p, "<%d %d>", &w, &n)
		require.NoError(t, err, "piece %q", p)
		require.Less(t, w, len(counts), "piece %q", p)
		require.Equal(t, next[w], n, "the next piece of writer %d", w)
		next[w]++
	}
	require.Equal(t, counts, next, "pieces of each writer")
}
