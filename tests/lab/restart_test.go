package lab

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllAreKilledAndRestarted(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3, nil)
	c := l.clerk(t)
	require.NoError(t, c.put("a", "1"))
	c.mustAppend(t, "a", "2")
	require.NoError(t, c.put("b", "x"))
	l.restartAll(t)
	c.mustHold(t, "a", "12")
	c.mustHold(t, "b", "x")

	// Also between writes, again and again: by a client that was there before,
	// and by one that comes after.
	want := "12"
	for i := range 5 {
		c.mustAppend(t, "a", fmt.Sprint(i))
		l.restartAll(t)
		other := l.clerk(t)
		other.mustAppend(t, "a", "-")
		want += fmt.Sprint(i, "-")
		l.restartAll(t)
		c.mustHold(t, "a", want)
		other.mustHold(t, "a", want)
	}
	c.mustHold(t, "b", "x")
}

func TestOneRestartsAtATime(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3, nil)
	c := l.clerk(t)
	want := ""
	next := func() {
		p := fmt.Sprint(len(want), " ")
		c.mustAppend(t, "k", p)
		want += p
	}
	for range 2 {
		for _, m := range l.Members {
			next()
			require.NoError(t, m.Kill())
			next()
			c.mustHold(t, "k", want)
			require.NoError(t, m.Start())
			next()
			c.mustHold(t, "k", want)
		}
	}
	require.NoError(t, l.Converged(patiently(t)))
	c.mustHold(t, "k", want)
}
