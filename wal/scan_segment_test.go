package wal

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScanSegmentSeesWhatScanSees(t *testing.T) {
	files, _ := rotten(t)
	dir := plant(t, files)
	want := map[uint64][]string{}
	_, err := Scan(dir, func(segment uint64, r Record, _ int64) error {
		want[segment] = append(want[segment], say(r))
		return nil
	})
	require.NoError(t, err)
	last := uint64(0)
	for n := uint64(1); n <= 3; n++ {
		for _, path := range []string{segmentDir(dir, n), segmentPath(dir, n)} {
			var got []string
			report, err := ScanSegment(path, func(r Record, _ int64) error {
				got = append(got, say(r))
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, want[n], got)
			require.Equal(t, SegmentReport{
				LogID: testID, Number: n, FirstIndex: report.FirstIndex, LastIndex: report.LastIndex,
				Bytes: int64(len(files[inSegment(n)])),
			}, report)
			if n > 1 {
				require.Equal(t, last+1, report.FirstIndex)
			}
			if path == segmentPath(dir, n) {
				last = report.LastIndex
			}
		}
	}
	_, err = ScanSegment(segmentDir(dir, 4), nil)
	require.ErrorIs(t, err, io.EOF, "made ready in advance")
}

func TestScanSegmentEndsAtTheFirstFault(t *testing.T) {
	files, _ := rotten(t)
	content := files[inSegment(2)]
	ends := frames(t, 2, content)
	path := filepath.Join(tempDir(t), "segment")
	scan := func(content string) (SegmentReport, int, error) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		frames := 0
		r, err := ScanSegment(path, func(Record, int64) error { frames++; return nil })
		return r, frames, err
	}
	for i := range content {
		b := []byte(content)
		b[i] ^= 4
		for what, bad := range map[string]string{"flip": string(b), "cut": content[:i]} {
			r, n, err := scan(bad)
			if i < ends[0] {
				require.Error(t, err, "%s at %d", what, i)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, int64(ends[n-1]), r.Bytes)
			require.Empty(t, strings.Trim(bad[r.Bytes+r.Behind:], "\x00"))
			require.Equal(t, r.Behind > 0, r.Problem != "", "%s at %d", what, i)
			require.LessOrEqual(t, ends[n-1], i)
		}
	}
	var damage *CorruptionError
	_, err := ScanSegment(filepath.Dir(path), nil)
	require.ErrorAs(t, err, &damage, "a directory without a segment's file")
	_, err = ScanSegment(os.DevNull, nil)
	require.ErrorAs(t, err, &damage)
	_, err = ScanSegment(path+"no", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzScanSegment(f *testing.F) {
	f.Add([]byte("\x30" + frameMagic))
	b := appendEntry(nil, placeOf(testID, 1), frame{typ: TypeHeader, payload: header{logID: testID, segment: 1}.encode()})
	f.Add(appendEntry(b, placeOf(testID, 1), frame{typ: TypeData, index: 1, tag: 1, payload: []byte("x")}))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(tempDir(t), "segment")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		r, _ := ScanSegment(path, func(Record, int64) error { return nil })
		require.LessOrEqual(t, r.Bytes+r.Behind, int64(len(content)))
	})
}
