package wal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

// TestSegmentsHaveTheirSizeInAdvance: while it is open; what is closed is cut to what it
// holds.
func TestSegmentsHaveTheirSizeInAdvance(t *testing.T) {
	dir := filepath.Join(tempDir(t), "wal")
	o := ahead()
	o.SegmentBytes = 5000
	a := watch(&o)
	l, err := Create(dir, testID, []byte("state 0"), o)
	require.NoError(t, err)
	sizes := func() (out []int64) {
		for n := uint64(1); n <= 3; n++ {
			info, err := os.Stat(segmentPath(dir, n))
			if err != nil {
				break
			}
			out = append(out, info.Size())
		}
		return out
	}
	ready(t, l)
	if runtime.GOOS != "linux" {
		require.Equal(t, []int64{l.Bytes(), 0}, sizes())
		require.NoError(t, l.Close())
		return
	}
	require.Equal(t, []int64{5000, 5000}, sizes())
	require.True(t, a.wait(l.Append([]Record{data(1, "one")})))
	l.Roll()
	ready(t, l)
	require.True(t, a.wait(l.Append([]Record{data(2, "two")})))
	var first int64
	require.Eventually(t, func() bool { first = sizes()[0]; return first < 5000 }, waitFor, tick, "the first is closed")
	ready(t, l)
	require.Equal(t, []int64{first, 5000, 5000}, sizes())
	require.Less(t, l.Bytes(), int64(500), "what is not written does not count")
	require.True(t, a.wait(l.Append([]Record{data(3, strings.Repeat("three", 2000))})), "a batch may go beyond it")
	require.NoError(t, l.Close())
	require.Equal(t, l.Bytes(), first+sizes()[1])
	require.Zero(t, sizes()[2])
	got, report := reopen(t, dir)
	require.Len(t, got, 4)
	require.True(t, report.CleanClose)

	// A power cut may take back that the file was cut, and what is not in MANIFEST.
	require.NoError(t, os.Truncate(segmentPath(dir, 2), sizes()[1]+3000))
	got, report = reopen(t, dir)
	require.Len(t, got, 4)
	require.False(t, report.CleanClose, "it is made anew")
	require.True(t, report.Rewritten)
	require.Nil(t, report.Cut)
}

// TestRestingLogTakesNoMoreThanItHolds: and has its size again when it is written to.
func TestRestingLogTakesNoMoreThanItHolds(t *testing.T) {
	dir := filepath.Join(tempDir(t), "wal")
	o := Options{idle: time.Millisecond, rest: 2 * time.Millisecond}
	a := watch(&o)
	l, err := Create(dir, testID, []byte("state 0"), o)
	require.NoError(t, err)
	for i := range uint64(3) {
		ready(t, l)
		require.True(t, a.wait(l.Append([]Record{data(i, "x")})))
		require.Eventually(t, func() bool { return treeSize(t, dir) < 500 }, waitFor, tick)
	}
	require.NoError(t, l.Close())
	got, report := reopen(t, dir)
	require.Len(t, got, 4)
	require.True(t, report.CleanClose)
}

// TestNoRoomInAdvance: without it files grow, and nothing that was taken stays.
func TestNoRoomInAdvance(t *testing.T) {
	f, err := os.Create(filepath.Join(tempDir(t), "file"))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("12345")
	require.NoError(t, err)
	tl := &tail{file: f, disk: &disk{}, path: f.Name(), size: 5, full: 1 << 62}
	require.NoError(t, tl.allocate(), "more than there is")
	require.Zero(t, tl.allocated)
	require.True(t, tl.grows)
	info, err := f.Stat()
	require.NoError(t, err)
	require.EqualValues(t, 5, info.Size())
	require.NoError(t, syncData(f))
	require.NoError(t, f.Close())
	require.Error(t, syncData(f))
	broken := &tail{file: f, disk: &disk{before: func(change) error { return syscall.EIO }}, path: "the/segment", full: 77}
	require.ErrorContains(t, broken.allocate(), "give the/segment a size of 77 bytes: input/output error")
}

// TestUnwrittenSectors: of a write into a file that had its size in advance a power cut
// leaves any sectors, and the others as they were: zeros. Whatever it leaves is the whole
// records in front, or a torn end, and never damage or suspect.
func TestUnwrittenSectors(t *testing.T) {
	p := placeOf(testID, 1)
	for shift := 0; shift < 512; shift += 29 {
		head := appendEntry(nil, p, frame{typ: TypeHeader, payload: header{logID: testID, segment: 1, state: []byte("s")}.encode()})
		head = appendEntry(head, p, frame{typ: TypeData, index: 1, tag: 1, payload: bytes.Repeat([]byte("a"), 10+shift)})
		content := bytes.Clone(head)
		for i, payload := range []string{
			strings.Repeat("b", 700), "", strings.Repeat("\x00", 600), strings.Repeat("d", 300) + strings.Repeat("\x00", 700), "e\x00\x00",
		} {
			content = appendEntry(content, p, frame{typ: TypeData, index: uint64(i) + 2, tag: 1, durable: 1, payload: []byte(payload)})
		}
		m := manifest{logID: testID, first: 1, newest: 1}
		files := map[string]string{manifestName: string(m.encode()), inSegment(1): string(content)}
		full := replayOf(t, plant(t, files))
		require.Len(t, full, 7)
		from, to := len(head)/512, (len(content)+511)/512
		require.LessOrEqual(t, to-from, 8)
		for left := range 1 << (to - from) {
			b := append(bytes.Clone(content), make([]byte, 1700)...)
			for s := from; s < to; s++ {
				if left>>(s-from)&1 == 0 {
					clear(b[max(s*512, len(head)):min((s+1)*512, len(content))])
				}
			}
			o := judge(t, with(files, inSegment(1), string(b)), full)
			hint := fmt.Sprintf("shift %d, sectors %b", shift, left)
			require.Nil(t, o.damaged, hint)
			require.False(t, o.report.Suspect, "%s: %s", hint, o.report.Cut)
			require.GreaterOrEqual(t, len(o.got), 2, hint)
			if string(b[:len(content)]) == string(content) {
				require.Equal(t, full, o.got, hint)
				require.Nil(t, o.report.Cut, hint)
			}
		}
	}
}

// replayOf returns what a log replays, and leaves it as it is.
func replayOf(t *testing.T, dir string) []string {
	t.Helper()
	got, _ := reopen(t, copyTree(t, dir))
	return got
}

// TestKilledAndOpened: a log with unwritten ends opens as one without, and the tail goes
// on in a file of full size.
func TestKilledAndOpened(t *testing.T) {
	dir := filepath.Join(tempDir(t), "wal")
	o := ahead()
	o.SegmentBytes = 3000
	fill(t, dir, o, []Record{data(1, "one"), state("promise")}, []Record{data(2, "two\x00\x00\x00")})
	before := golden.Tree(t, dir)
	replay, got := collect()
	a := watch(&o)
	l, report, err := Open(dir, o, replay)
	require.NoError(t, err)
	require.Nil(t, report.Cut)
	require.Equal(t, []string{`0 state tag 0 "state 0"`, `1 data tag 1 "one"`, `2 state tag 0 "promise"`, `3 data tag 2 "two\x00\x00\x00"`}, *got)
	require.True(t, a.wait(l.Append([]Record{data(3, "three")})))
	require.Len(t, golden.Tree(t, dir)[inSegment(1)], len(before[inSegment(1)]))
	kill(t, l)
	again, report := reopen(t, dir)
	require.Len(t, again, 5)
	require.False(t, report.Torn)
}
