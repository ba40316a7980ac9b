package wal

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

// plant makes a directory with the given files. Names that end in a slash are
// empty directories.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(tempDir(t), "wal")
	require.NoError(t, os.Mkdir(dir, 0o750))
	for name, content := range files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			require.NoError(t, os.MkdirAll(path, 0o750))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

// inSegment is the name of a segment's file in the directory of its log.
func inSegment(n uint64) string { return segmentPath("", n) }

// outcome is what became of a damaged log.
type outcome struct {
	got     []string
	report  Report
	damaged *CorruptionError
}

// judge opens the log made of files and checks what must hold whatever is wrong
// with it: the records are the first ones of full, Scan agrees with Open, a
// damaged log is left as it is, what is cut is kept, and a log that was opened
// can be written to and opened again.
func judge(t *testing.T, files map[string]string, full []string) outcome {
	t.Helper()
	dir := plant(t, files)
	before := golden.Tree(t, dir)
	var scanned []string
	scan, scanErr := Scan(dir, func(_ uint64, r Record, _ int64) error {
		if r.Type == TypeData || r.Type == TypeState {
			scanned = append(scanned, say(r))
		}
		return nil
	})
	require.Equal(t, before, golden.Tree(t, dir), "Scan changes nothing")

	replay, got := collect()
	o := quiet()
	o.Quarantine = filepath.Join(filepath.Dir(dir), "kept")
	l, report, err := Open(dir, o, replay)
	out := outcome{got: *got, report: report}
	if len(*got) > 0 {
		require.Equal(t, scanned, append([]string(nil), (*got)[1:]...), "Scan sees what Open sees")
		require.LessOrEqual(t, len(*got), len(full))
		require.Equal(t, full[:len(*got)], *got, "nothing but what was appended, in its order")
	}
	if errors.As(err, &out.damaged) {
		require.Error(t, scanErr)
		require.True(t, strings.HasPrefix(out.damaged.File, dir), out.damaged.File)
		require.NotEmpty(t, out.damaged.Reason)
		require.Equal(t, before, golden.Tree(t, dir), "a damaged log is not touched")
		return out
	}
	require.NoError(t, err)
	require.NoError(t, scanErr)
	require.Equal(t, scan.Suspect, report.Suspect)
	require.Equal(t, scan.Torn, report.Torn)
	require.Equal(t, scan.LastIndex, report.LastIndex)
	if c := report.Cut; c != nil {
		require.Equal(t, c.Offset, scan.Cut.Offset)
		kept, err := os.ReadFile(c.Kept)
		require.NoError(t, err)
		cut := before[inSegment(c.Segment)][c.Offset:]
		require.Equal(t, cut[:c.Bytes], string(kept))
		require.Empty(t, strings.Trim(cut[c.Bytes:], "\x00"), "only zeros are not kept")
		require.Contains(t, c.String(), c.Kept)
	}
	a := l.Append([]Record{data(99, "goes on")})
	require.Equal(t, report.LastIndex+1, a)
	require.NoError(t, l.Close())
	again, second := reopen(t, dir)
	require.Equal(t, append(slices.Clone(out.got), fmt.Sprintf(`%d data tag 99 "goes on"`, a)), again)
	require.False(t, second.Torn)
	require.Equal(t, report.Suspect, second.Suspect, "suspicion lasts until it is cleared")
	return out
}

// rotten is a log of three segments and an empty one, with a record in the last
// batch that no later frame vouches for.
func rotten(t *testing.T) (files map[string]string, full []string) {
	t.Helper()
	dir := filepath.Join(tempDir(t), "wal")
	o := quiet()
	o.SegmentBytes = 250
	fill(t, dir, o,
		[]Record{data(1, "one"), state("promise 1")}, []Record{data(2, "two"), data(3, strings.Repeat("3", 150))},
		[]Record{data(4, "four"), state("promise 2")}, []Record{data(5, strings.Repeat("5", 140)), data(6, "six")},
		[]Record{data(7, "seven")}, []Record{state("promise 3"), data(8, "eight"), data(9, "")},
	)
	replay, got := collect()
	_, _, err := open(copyTree(t, dir), must(quiet().withDefaults(dir)), replay)
	require.NoError(t, err)
	files = golden.Tree(t, dir)
	require.Len(t, files, 5, "MANIFEST, three segments and one made ready")
	require.Empty(t, files[inSegment(4)])
	return files, *got
}

func must(o Options, err error) Options {
	if err != nil {
		panic(err)
	}
	return o
}

// frames returns the offsets at which the frames of a segment end.
func frames(t *testing.T, n uint64, content string) (ends []int) {
	t.Helper()
	for off := 0; off < len(content); {
		_, size, what, err := placeOf(testID, n).decode([]byte(content[off:]), int64(off))
		require.NoError(t, err)
		require.Equal(t, faultNone, what)
		off += size
		ends = append(ends, off)
	}
	return ends
}

// with returns files with one of them changed.
func with(files map[string]string, name, content string) map[string]string {
	files = maps.Clone(files)
	files[name] = content
	return files
}

func TestCutAtEveryByte(t *testing.T) {
	files, full := rotten(t)
	for n := uint64(1); n <= 3; n++ {
		content := files[inSegment(n)]
		ends := frames(t, n, content)
		for size := range content {
			o := judge(t, with(files, inSegment(n), content[:size]), full)
			if n < 3 || size < ends[1] {
				require.NotNil(t, o.damaged, "segment %d, size %d: later segments were begun, record 9 was durable before them", n, size)
				continue
			}
			require.Nil(t, o.damaged, "size %d", size)
			require.False(t, o.report.Suspect, "size %d", size)
			whole, _ := slices.BinarySearch(ends, size+1)
			require.Equal(t, ends[whole-1] != size, o.report.Torn, "size %d", size)
			require.Len(t, o.got, len(full)-len(ends)+whole, "exactly the whole records")
		}
	}
}

func TestCutInTheFirstWriteOfASegment(t *testing.T) {
	// The machine went down in the write that began segment 3: nothing in it was
	// reported, and segment 2 is the tail again.
	files, full := rotten(t)
	dir := plant(t, files)
	m, err := readManifest(dir)
	require.NoError(t, err)
	m.newest, m.durable = 3, 8
	delete(files, inSegment(4))
	files[manifestName] = string(m.encode())
	content := files[inSegment(3)]
	ends := frames(t, 3, content)
	for size := range ends[0] {
		o := judge(t, with(files, inSegment(3), content[:size]), full)
		require.Nil(t, o.damaged)
		require.False(t, o.report.Suspect)
		require.Equal(t, size > 0, o.report.Torn)
		require.Len(t, o.got, len(full)-len(ends)+1)
	}
	// The same with rot in segment 2, of which segment 3 is proof enough that it
	// was whole.
	m.durable = 6
	files[manifestName] = string(m.encode())
	files[inSegment(3)] = content[:20]
	two := files[inSegment(2)]
	o := judge(t, with(files, inSegment(2), two[:len(two)-2]), full)
	require.NotNil(t, o.damaged)
	require.Contains(t, o.damaged.Reason, "segment 3 was begun")
}

func TestFlipOfEveryByte(t *testing.T) {
	t.Run("growing", func(t *testing.T) { flipEveryByte(t, "") })
	t.Run("ahead", func(t *testing.T) { flipEveryByte(t, strings.Repeat("\x00", 1500)) })
}

// flipEveryByte flips bits of a log of which each segment has something unwritten behind
// it.
func flipEveryByte(t *testing.T, unwritten string) {
	t.Helper()
	files, full := rotten(t)
	ends := frames(t, 3, files[inSegment(3)])
	vouched := ends[1] // the header and record 7: the last batch says so
	for n := uint64(1); n <= 4; n++ {
		files[inSegment(n)] += unwritten
	}
	for name, content := range files {
		for i := range len(content) - len(unwritten) {
			for _, bit := range []byte{0x01, 0x80} {
				b := []byte(content)
				b[i] ^= bit
				o := judge(t, with(files, name, string(b)), full)
				place := fmt.Sprintf("%s, byte %d, bit %#x", name, i, bit)
				if name != inSegment(3) || i < vouched {
					require.NotNil(t, o.damaged, place)
					require.True(t, strings.HasSuffix(o.damaged.File, name), place)
					continue
				}
				require.Nil(t, o.damaged, place)
				require.False(t, o.report.Torn, place)
				require.True(t, o.report.Suspect, "%s: no power cut flips a bit", place)
				whole, _ := slices.BinarySearch(ends, i+1)
				require.Len(t, o.got, len(full)-len(ends)+whole, place)
			}
		}
	}
}

// TestLaterFramesVouchForEarlierOnes damages a log of one segment, of which
// MANIFEST knows nothing yet: what was durable is told by the frames alone.
func TestLaterFramesVouchForEarlierOnes(t *testing.T) {
	dir := filepath.Join(tempDir(t), "wal")
	fill(t, dir, quiet(), []Record{data(1, "one")}, []Record{data(2, "two"), data(3, "three")}, []Record{data(4, "four"), data(5, "five")})
	got, _ := reopen(t, copyTree(t, dir))
	files := golden.Tree(t, dir)
	content := files[inSegment(1)]
	ends := frames(t, 1, content)
	require.Len(t, ends, 6)
	for i := range content {
		b := []byte(content)
		b[i] ^= 0x20
		o := judge(t, with(files, inSegment(1), string(b)), got)
		require.Equal(t, i < ends[3], o.damaged != nil, "byte %d", i)
		require.Equal(t, i >= ends[3], o.report.Suspect, "byte %d", i)
		// The frames of the last batch say it even if their payloads are gone.
		b[ends[4]-1] ^= 1
		b[ends[5]-1] ^= 1
		o = judge(t, with(files, inSegment(1), string(b)), got)
		require.Equal(t, i < ends[3], o.damaged != nil, "byte %d, no payload behind", i)
		// One that is cut says it too.
		o = judge(t, with(files, inSegment(1), string(b[:ends[4]-1])), got)
		require.Equal(t, i < ends[3], o.damaged != nil, "byte %d, cut", i)
	}
}

func TestSyncMarkAndCleanCloseVouchForTheEnd(t *testing.T) {
	files, full := rotten(t)
	dir := plant(t, files)
	l, _, err := Open(dir, quiet(), func(Record) error { return nil })
	require.NoError(t, err)
	kill(t, l)
	marked := golden.Tree(t, dir) // the rewrite put a mark behind record 12
	content := marked[inSegment(3)]
	ends := frames(t, 3, content)
	for i := range content {
		b := []byte(content)
		b[i] ^= 0x10
		o := judge(t, with(marked, inSegment(3), string(b)), full)
		if i < ends[len(ends)-2] {
			require.NotNil(t, o.damaged, "byte %d", i)
		} else {
			require.True(t, o.report.Suspect, "byte %d of the mark", i)
			require.Len(t, o.got, len(full), "no record is lost with the mark")
		}
	}
	l, _, err = Open(dir, quiet(), func(Record) error { return nil })
	require.NoError(t, err)
	require.NoError(t, l.Close())
	closed := golden.Tree(t, dir)
	for size := range content {
		require.NotNil(t, judge(t, with(closed, inSegment(3), content[:size]), full).damaged, "cut to %d bytes", size)
		b := []byte(content)
		b[size] ^= 0x10
		require.NotNil(t, judge(t, with(closed, inSegment(3), string(b)), full).damaged, "flip at %d", size)
	}
}

func TestAppendedGarbage(t *testing.T) {
	files, full := rotten(t)
	content := files[inSegment(3)]
	frame := content[len(content)-entrySize(0):]
	for name, c := range map[string]struct {
		behind        string
		torn, suspect bool
	}{
		"a zero":                 {"\x00", false, false},
		"zeros":                  {strings.Repeat("\x00", 300), false, false},
		"a page of zeros":        {strings.Repeat("\x00", 4096), false, false},
		"less than a frame":      {strings.Repeat("g", 30), true, false},
		"garbage":                {strings.Repeat("garbage", 300), false, true},
		"ones":                   {strings.Repeat("\xff", 100), false, true},
		"a copy of the end":      {frame, false, true},
		"a magic":                {strings.Repeat(frameMagic, 200), false, true},
		"garbage, then zeros":    {strings.Repeat("g", 60) + strings.Repeat("\x00", 5000), false, true},
		"garbage, then a frame":  {strings.Repeat("g", 60) + strings.Repeat("\x00", 5000) + frame, true, false},
		"a part of a head":       {"\x30" + frame[1:30] + strings.Repeat("\x00", 600), true, false},
		"less than a head":       {strings.Repeat("g", 44) + strings.Repeat("\x00", 600), true, false},
		"more than a head":       {strings.Repeat("g", 46) + strings.Repeat("\x00", 600), false, true},
		"zeros, then garbage":    {strings.Repeat("\x00", 600) + strings.Repeat("g", 100), true, false},
		"an endless length":      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + strings.Repeat("g", 100), false, true},
		"a length far behind it": {"\x80\x80\x80\x01" + strings.Repeat("g", 100), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := judge(t, with(files, inSegment(3), content+c.behind), full)
			require.Nil(t, o.damaged)
			require.Equal(t, full, o.got, "no phantoms")
			require.Equal(t, c.torn, o.report.Torn, "torn: %s", o.report.Cut)
			require.Equal(t, c.suspect, o.report.Suspect, "suspect: %s", o.report.Cut)
		})
	}
	for _, n := range []uint64{1, 2} {
		o := judge(t, with(files, inSegment(n), files[inSegment(n)]+"\x00"), full)
		require.Nil(t, o.damaged, "what was not written of an old segment")
		require.Equal(t, full, o.got)
		o = judge(t, with(files, inSegment(n), files[inSegment(n)]+"\x00x"), full)
		require.NotNil(t, o.damaged, "something behind an old segment")
	}
	require.NotNil(t, judge(t, with(files, inSegment(5), "x"), full).damaged, "a segment that MANIFEST does not know")
	require.NotNil(t, judge(t, with(files, inSegment(5), "\x00\x00x"), full).damaged)
	for _, size := range []int{0, 9, 5000} {
		require.Nil(t, judge(t, with(files, inSegment(5), strings.Repeat("\x00", size)), full).damaged, "one that was being made ready")
		require.Nil(t, judge(t, with(files, inSegment(4), strings.Repeat("\x00", size)), full).damaged, "one that was")
	}
	require.NotNil(t, judge(t, with(files, inSegment(3), strings.Repeat("\x00", 5000)), full).damaged, "the tail was written to")
}

func TestMissingAndStrangeFiles(t *testing.T) {
	files, full := rotten(t)
	without := func(names ...string) map[string]string {
		out := maps.Clone(files)
		for _, n := range names {
			delete(out, n)
		}
		return out
	}
	for name, c := range map[string]struct {
		files map[string]string
		file  string // that the error names
		left  int    // records in front of it
	}{
		"MANIFEST":             {without(manifestName), manifestName, 0},
		"the first segment":    {without(inSegment(1)), "00000000000000000001", 0},
		"a middle segment":     {without(inSegment(2)), "00000000000000000002", 5},
		"the tail":             {without(inSegment(3)), "00000000000000000003", 9},
		"the tail and the one": {without(inSegment(3), inSegment(4)), "00000000000000000003", 9},
		"the one made ready":   {without(inSegment(4)), "00000000000000000004", 13},
		"a segment's file":     {with(without(inSegment(2)), segmentDir("", 2)+"/", ""), inSegment(2), 5},
		"MANIFEST's content":   {with(files, manifestName, ""), manifestName, 0},
		"more of MANIFEST":     {with(files, manifestName, files[manifestName]+"x"), manifestName, 0},
		"a file of tidwall":    {with(files, segmentDir("", 3)+"/00000000000000000002", ""), "00000000000000000002", 9},
		"a start of tidwall":   {with(files, segmentDir("", 3)+"/00000000000000000001.START", ""), "00000000000000000001.START", 9},
		"a file for a segment": {with(without(inSegment(2)), inSegment(2)+"/", ""), inSegment(2), 5},
	} {
		t.Run(name, func(t *testing.T) {
			o := judge(t, c.files, full)
			require.NotNil(t, o.damaged)
			require.True(t, strings.HasSuffix(o.damaged.File, c.file), o.damaged.File)
			require.Len(t, o.got, c.left)
			require.ErrorContains(t, o.damaged, "nothing was changed")
		})
	}
	for name, f := range map[string]map[string]string{
		"temporary files": with(with(files, manifestTemp, "half"), segmentDir("", 3)+"/"+rewriteTemp, "half"),
		"lost+found":      with(files, "lost+found/", ""),
		"old segments":    with(files, "notes.txt", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			o := judge(t, f, full)
			require.Nil(t, o.damaged)
			require.Equal(t, full, o.got)
		})
	}
}

func TestMixedSegments(t *testing.T) {
	files, full := rotten(t)
	dir := filepath.Join(tempDir(t), "other")
	o := quiet()
	o.SegmentBytes = 250
	a := watch(&o)
	l, err := Create(dir, testID+1, []byte("state 0"), o)
	require.NoError(t, err)
	for i := range uint64(9) {
		require.True(t, a.wait(l.Append([]Record{data(i, strings.Repeat("o", 150))})))
	}
	kill(t, l)
	other := golden.Tree(t, dir)
	for n := uint64(1); n <= 3; n++ {
		got := judge(t, with(files, inSegment(n), other[inSegment(n)]), full)
		require.NotNil(t, got.damaged)
		require.Contains(t, got.damaged.Reason, "of log 1122334455667789")
		for m := uint64(1); m <= 3; m++ {
			if m == n {
				continue
			}
			got = judge(t, with(files, inSegment(n), files[inSegment(m)]), full)
			require.NotNil(t, got.damaged)
			require.Contains(t, got.damaged.Reason, fmt.Sprintf("this is segment %d of log 1122334455667788", m))
		}
	}
	require.NotNil(t, judge(t, with(files, manifestName, other[manifestName]), full).damaged)
	for n := uint64(1); n <= 4; n++ {
		// MANIFEST of another time.
		m := manifest{logID: testID, first: 1, newest: n}
		got := judge(t, with(files, manifestName, string(m.encode())), full)
		require.Equal(t, n < 3, got.damaged != nil, "newest %d", n)
		m.first = 2
		if n >= 2 {
			later := append([]string{`2 state tag 0 "promise 1"`}, full[5:]...)
			got = judge(t, with(files, manifestName, string(m.encode())), later)
			require.Equal(t, n < 3, got.damaged != nil, "first 2, newest %d", n)
		}
	}
	m := manifest{logID: testID, first: 1, newest: 5}
	require.NotNil(t, judge(t, with(files, manifestName, string(m.encode())), full).damaged, "a segment vanished")
	m = manifest{logID: testID, first: 1, newest: 4, durable: 13}
	require.Equal(t, full, judge(t, with(files, manifestName, string(m.encode())), full).got)
	cut := with(files, manifestName, string(m.encode()))
	cut[inSegment(3)] = cut[inSegment(3)][:len(cut[inSegment(3)])-1]
	require.Contains(t, judge(t, cut, full).damaged.Reason, "MANIFEST says that it was durable")
}

func TestFrameInsideAValueNeverPasses(t *testing.T) {
	files, _ := rotten(t)
	// A value that holds a whole log, as a backup of a diskv directory would.
	inner := files[inSegment(3)]
	dir := filepath.Join(tempDir(t), "wal")
	fill(t, dir, quiet(), []Record{data(1, "x")}, []Record{data(2, inner+inner)}, []Record{data(3, "y")})
	replay, got := collect()
	_, _, err := open(copyTree(t, dir), must(quiet().withDefaults(dir)), replay)
	require.NoError(t, err)
	full := *got
	outer := golden.Tree(t, dir)
	content := outer[inSegment(1)]
	ends := frames(t, 1, content)
	for size := ends[1]; size < ends[2]; size++ {
		o := judge(t, with(outer, inSegment(1), content[:size]), full)
		require.Nil(t, o.damaged)
		require.Len(t, o.got, 2)
	}
	// The frame around it gone, so that the inner ones are met first.
	for skip := 1; skip < 60; skip++ {
		bad := content[:ends[1]] + content[ends[1]+skip:]
		o := judge(t, with(outer, inSegment(1), bad), full)
		require.Nil(t, o.damaged)
		require.Len(t, o.got, 2)
		require.True(t, o.report.Suspect)
	}
	// One of the very same place in the log, but stored behind other bytes.
	twin := content[ends[1]:ends[2]]
	o := judge(t, with(outer, inSegment(1), content[:ends[1]]+"\x00"+twin), full)
	require.Len(t, o.got, 2)
	require.False(t, o.report.Torn)
}

func TestSuspicionLastsUntilCleared(t *testing.T) {
	files, full := rotten(t)
	b := []byte(files[inSegment(3)])
	b[len(b)-3] ^= 4
	dir := plant(t, with(files, inSegment(3), string(b)))
	for range 3 {
		l, report, err := Open(dir, quiet(), func(Record) error { return nil })
		require.NoError(t, err)
		require.True(t, report.Suspect)
		kill(t, l)
	}
	l, _, err := Open(dir, quiet(), func(Record) error { return nil })
	require.NoError(t, err)
	require.NoError(t, l.ClearSuspect())
	require.NoError(t, l.ClearSuspect())
	kill(t, l)
	got, report := reopen(t, dir)
	require.False(t, report.Suspect)
	require.Equal(t, full[:len(full)-1], got)
}

func TestEveryCutKeepsItsOwnFile(t *testing.T) {
	files, _ := rotten(t)
	dir := plant(t, files)
	path := filepath.Join(dir, inSegment(3))
	clean, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, tail := range []string{"one", "another", "one"} {
		require.NoError(t, os.WriteFile(path, append(clean[:len(clean):len(clean)], tail...), 0o600))
		l, report, err := Open(dir, quiet(), func(Record) error { return nil })
		require.NoError(t, err)
		kept, err := os.ReadFile(report.Cut.Kept)
		require.NoError(t, err)
		require.Equal(t, tail, string(kept))
		kill(t, l)
	}
	names, err := os.ReadDir(filepath.Join(dir, "quarantine"))
	require.NoError(t, err)
	require.Len(t, names, 2, "the same cut of the same bytes is kept once")
}
