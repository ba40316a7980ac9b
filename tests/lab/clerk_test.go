package lab

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
)

// clerk is a client. What it does happens exactly once; it goes on until it has
// the answer. It is for any goroutine.
type clerk struct {
	ctx context.Context
	c   *client.Client
}

// newClerk opens a client that knows the addresses of some members.
func newClerk(t *testing.T, addrs []string) *clerk {
	t.Helper()
	var c *client.Client
	persist(t, func(ctx context.Context) (err error) {
		c, err = client.Open(ctx, addrs...)
		return err
	})
	t.Cleanup(c.Close)
	return &clerk{ctx: t.Context(), c: c}
}

// persist calls f until it succeeds: nobody listens yet, or what was said was
// discarded.
func persist(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	ctx := patiently(t)
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (l *lab) clerk(t *testing.T) *clerk {
	t.Helper()
	return newClerk(t, l.Public)
}

// within returns a context for one operation.
func (c *clerk) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, patience)
}

func (c *clerk) put(key, value string) error {
	ctx, cancel := c.within()
	defer cancel()
	return c.c.Put(ctx, key, []byte(value))
}

// putFirst sets a key that nobody has set, and reports whether that was so.
func (c *clerk) putFirst(key, value string) (first bool, err error) {
	ctx, cancel := c.within()
	defer cancel()
	v, err := c.c.Do(ctx, client.Update("SET", key, value, "NX"))
	return err == nil && !v.IsNull(), err
}

func (c *clerk) append(key, value string) error {
	ctx, cancel := c.within()
	defer cancel()
	_, err := c.c.Append(ctx, key, []byte(value))
	return err
}

// get returns the value of a key, "" if there is none.
func (c *clerk) get(key string) (string, error) {
	ctx, cancel := c.within()
	defer cancel()
	return c.getWithin(ctx, key)
}

func (c *clerk) getWithin(ctx context.Context, key string) (string, error) {
	v, _, err := c.c.Get(ctx, key)
	return string(v), err
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
