package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// text returns n letters that cannot be compressed by much.
func text(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(byte('!' + r.IntN('~'-'!')))
	}
	return b.String()
}

// requireSpace waits until all files of the group have at most so many bytes: a
// group that is left alone tidies up.
func (l *lab) requireSpace(t *testing.T, most int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		n, err := l.FileBytes()
		require.NoError(c, err)
		require.LessOrEqual(c, n, int64(most), "bytes of all files of all members")
	}, patience, 20*time.Millisecond)
}

// spare is what all members together may take beside the data.
const spare = 20_000

func TestDiskUseIsSmallAfterManyPuts(t *testing.T) {
	t.Parallel()
	chance, _ := chance(t)
	l := newLab(t, 3, nil)
	c := l.clerk(t)
	value := ""
	for range 200 {
		value = text(chance, 1000)
		require.NoError(t, c.put("k", value))
	}
	l.requireSpace(t, spare)
	c.mustHold(t, "k", value)
	for range 3 {
		l.restartAll(t)
		c.mustHold(t, "k", value)
		value = text(chance, 1000)
		require.NoError(t, c.put("k", value))
	}
	l.restartAll(t)
	c.mustHold(t, "k", value)
	l.requireSpace(t, spare)
}

func TestDiskUseAfterAppends(t *testing.T) {
	t.Parallel()
	chance, _ := chance(t)
	l := newLab(t, 3, nil)
	c := l.clerk(t)
	values := make([]string, 4)
	data := 0
	some := func() {
		for i := range 30 {
			p := text(chance, 1000)
			k := i % len(values)
			c.mustAppend(t, fmt.Sprint("k", k), p)
			values[k] += p
			data += len(p)
		}
	}
	verify := func() {
		for k, v := range values {
			c.mustHold(t, fmt.Sprint("k", k), v)
		}
		l.requireSpace(t, 3*data+spare)
	}
	for range 3 {
		some()
	}
	verify()
	some()
	l.restartAll(t)
	verify()
	l.restartAll(t)
	verify()
}
