package wal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// tags returns what Read gives for a range.
func tags(t *testing.T, l *Log, from, to uint64, room int) (out []string) {
	t.Helper()
	recs, err := l.Read(from, to, room)
	require.NoError(t, err)
	for _, r := range recs {
		require.Equal(t, TypeData, r.Type)
		out = append(out, fmt.Sprintf("%d:%s", r.Tag, r.Payload[:min(len(r.Payload), 3)]))
	}
	return out
}

func TestRead(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	body := strings.Repeat("-", 97)
	put := func(recs ...Record) { require.True(t, a.wait(l.Append(recs))) }
	check := func() {
		t.Helper()
		require.Equal(t, []string{"2:two", "3:thr", "3:new", "2:NEW"}, tags(t, l, 2, 3, 1000), "in the order of the log")
		require.Equal(t, []string{"1:one", "2:two"}, tags(t, l, 0, 9, 200))
		require.Equal(t, []string{"1:one"}, tags(t, l, 0, 9, 0), "at least one")
		require.Equal(t, []string{"4:fou"}, tags(t, l, 4, 4, 1000))
		require.Equal(t, []string{"6:"}, tags(t, l, 5, 1<<63, 1000))
		require.Empty(t, tags(t, l, 5, 5, 1000))
		require.Empty(t, tags(t, l, 7, 1<<63, 1000))
	}
	put(data(1, "one"+body), state("s"), data(2, "two"+body))
	put(data(3, "thr"+body), data(3, "new"+body))
	put(data(2, "NEW"+body), data(4, "fou"+body), data(6, ""))
	check()
	require.NoError(t, l.Close())

	o.SegmentBytes = 300
	a = watch(&o)
	l, _, err = Open(dir, o, func(Record) error { return nil })
	require.NoError(t, err)
	check()
	ready(t, l)
	put(data(100, "in the next segment"))
	require.Equal(t, 2, l.Segments())
	require.Equal(t, []string{"6:", "100:in "}, tags(t, l, 5, 1000, 1000), "over the end of a segment")
	l.Append([]Record{data(5, "x")})
	require.Eventually(t, func() bool { return len(tags(t, l, 5, 5, 0)) == 1 }, waitFor, tick)

	recs, err := l.Read(1, 1, 1000)
	require.NoError(t, err)
	clear(recs[0].Payload)
	require.Equal(t, []string{"1:one"}, tags(t, l, 1, 1, 1000), "payloads are the caller's")

	ready(t, l)
	require.NoError(t, l.DropThrough(6))
	require.Empty(t, tags(t, l, 1, 4, 1000))
	require.NoError(t, l.Close())
}

func TestReadOfADamagedSegment(t *testing.T) {
	for _, whole := range []bool{true, false} {
		for _, old := range []bool{true, false} {
			t.Run(fmt.Sprintf("whole=%v,old=%v", whole, old), func(t *testing.T) {
				dir := tempDir(t)
				o := quiet()
				o.SegmentBytes = 1
				a := watch(&o)
				l, err := Create(dir, testID, nil, o)
				require.NoError(t, err)
				a.wait(l.Append([]Record{data(1, "one"), data(2, "two"), data(3, "three")}))
				if old {
					ready(t, l)
					a.wait(l.Append([]Record{data(4, "four")}))
				}
				ready(t, l)
				path := filepath.Join(dir, inSegment(1))
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				if whole {
					b[len(b)-1] ^= 1
				} else {
					b = b[:len(b)-1]
				}
				require.NoError(t, os.WriteFile(path, b, 0o600))
				_, err = l.Read(3, 3, 1000)
				if old || whole {
					var damage *CorruptionError
					require.ErrorAs(t, err, &damage)
					require.Equal(t, path, damage.File)
					require.NotZero(t, damage.Offset)
				}
				require.Error(t, err)
				require.NoError(t, l.Close())
			})
		}
	}
}

func TestReadWhileAppendingAndDropping(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	o.SegmentBytes = 4000
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	const last = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := uint64(1); i <= last; i++ {
			n := l.Append([]Record{data(i, fmt.Sprintf("%d%s", i, strings.Repeat(".", int(i%200))))})
			if i%10 == 0 {
				a.wait(n)
			}
			if i%100 == 0 {
				if err := l.DropThrough(i - 90); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for {
				d := l.Durable()
				recs, err := l.Read(d, d+1, 10)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range recs {
					if !strings.HasPrefix(string(r.Payload), fmt.Sprint(r.Tag)) || r.Index != r.Tag {
						t.Errorf("record %s", say(r))
					}
				}
				if d > 50 {
					if recs, err = l.Read(d-40, d, 1000); err != nil || (l.FirstIndex() < d-40 && len(recs) == 0) {
						t.Errorf("%d records, %v", len(recs), err)
						return
					}
				}
				if d == last {
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Close())
}
