package wal

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

func TestGoldenManifest(t *testing.T) {
	m := manifest{logID: 0x1122334455667788, first: 2, newest: 4, durable: 9, suspect: true, cleanSegment: 3, cleanSize: 0x1234}
	want := golden.Hex(`
		64 6b 76 77 61 6c 6d 66 | magic
		01 00 01 00 00 00 00 00 | version, flags, reserved
		88 77 66 55 44 33 22 11 | log id
		02 00 00 00 00 00 00 00 | first
		04 00 00 00 00 00 00 00 | newest
		09 00 00 00 00 00 00 00 | durable
		03 00 00 00 00 00 00 00 | clean segment
		34 12 00 00 00 00 00 00 | clean size
		`)
	want = binary.LittleEndian.AppendUint32(want, crc32.Checksum(want, crc32.MakeTable(crc32.Castagnoli)))
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(m.encode()))
	back, err := decodeManifest(want)
	require.NoError(t, err)
	require.Equal(t, m, back)
}

func TestManifestRefuses(t *testing.T) {
	good := manifest{logID: 1, first: 2, newest: 4}.encode()
	for name, c := range map[string]struct {
		at      int
		to      byte
		message string
	}{
		"magic":          {0, 'x', "does not begin with"},
		"newer version":  {8, 2, "version 2, this program knows 1"},
		"unknown flag":   {10, 2, "unknown flags"},
		"reserved":       {15, 1, "reserved"},
		"first is zero":  {24, 0, "names segments 0 to 4"},
		"first too high": {24, 5, "names segments 5 to 4"},
		"negative size":  {63, 0x80, "closed at size -"},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte(nil), good...)
			b[c.at] = c.to
			_, err := decodeManifest(b)
			require.ErrorContains(t, err, "checksum")
			binary.LittleEndian.PutUint32(b[64:], crc32.Checksum(b[:64], castagnoli))
			_, err = decodeManifest(b)
			require.ErrorContains(t, err, c.message)
		})
	}
}

// TestGoldenSegment holds the bytes of a segment: a header, a state, a record and
// the mark of the close.
func TestGoldenSegment(t *testing.T) {
	dir := tempDir(t)
	l, err := Create(dir, testID, []byte("hs"), quiet())
	require.NoError(t, err)
	l.Append([]Record{state("HS!"), data(0x0102, "value")})
	require.NoError(t, l.Close())
	got, err := os.ReadFile(filepath.Join(dir, "00000000000000000001", "00000000000000000001"))
	require.NoError(t, err)
	want := golden.Hex(goldenSegment)
	require.Equal(t, hex.Dump(want), hex.Dump(got))
}

func TestFrameRefusesWhatThisVersionDoesNotWrite(t *testing.T) {
	p := placeOf(testID, 1)
	for name, c := range map[string]struct {
		frame   frame
		at      int
		to      byte
		message string
	}{
		"newer version":         {frame{typ: TypeData, index: 1}, 4, 2, "version 2, this program knows 1"},
		"type 0":                {frame{typ: TypeData, index: 1}, 5, 0, "type 0"},
		"unknown type":          {frame{typ: TypeData, index: 1}, 5, 5, "type 5"},
		"reserved":              {frame{typ: TypeData, index: 1}, 7, 1, "reserved 256"},
		"durable before it was": {frame{typ: TypeData, index: 1, durable: 1}, 5, 2, "durable 1"},
		"a state with a tag":    {frame{typ: TypeState, index: 1, tag: 1}, 5, 1, "tag 1"},
		"a mark that lies":      {frame{typ: TypeMark, index: 2, durable: 1}, 5, 3, "durable 1"},
		"a header that lies":    {frame{typ: TypeHeader, index: 2, durable: 1}, 5, 4, "durable 1"},
		"an endless payload":    {frame{typ: TypeData, index: 1}, 11, 0x7f, "length 2130706432"},
	} {
		t.Run(name, func(t *testing.T) {
			b := appendEntry(nil, p, c.frame)
			b[1+c.at] = c.to
			_, _, what, _ := p.decode(b, 0)
			require.True(t, what == faultHead || c.frame.durable > 0 || c.frame.tag > 0, "the checksum is wrong")
			binary.LittleEndian.PutUint32(b[1+frameSummed:], p.sum(b[1:], 0))
			_, _, what, err := p.decode(b, 0)
			require.Equal(t, faultFormat, what)
			require.ErrorContains(t, err, c.message)
		})
	}
	// In a log it is an error that names the place, not something to cut.
	files, full := rotten(t)
	b := []byte(files[inSegment(3)])
	ends := frames(t, 3, string(b))
	at := ends[len(ends)-2]
	b[at+1+4] = 9
	binary.LittleEndian.PutUint32(b[at+1+frameSummed:], placeOf(testID, 3).sum(b[at+1:], int64(at)))
	o := judge(t, with(files, inSegment(3), string(b)), full)
	require.Contains(t, o.damaged.Reason, "version 9, this program knows 1")
}

func TestSoundFramesOutOfPlace(t *testing.T) {
	files, full := rotten(t)
	p := placeOf(testID, 3)
	content := []byte(files[inSegment(3)])
	for name, f := range map[string]frame{
		"a gap":                 {typ: TypeData, index: 14, durable: 9},
		"the same again":        {typ: TypeData, index: 12, durable: 9},
		"a mark of the future":  {typ: TypeMark, index: 13, durable: 13},
		"a mark of the past":    {typ: TypeMark, index: 11, durable: 11},
		"a second header":       {typ: TypeHeader, index: 12, durable: 12, payload: header{logID: testID, segment: 3}.encode()},
		"a header without form": {typ: TypeHeader, index: 12, durable: 12, payload: []byte("?")},
	} {
		t.Run(name, func(t *testing.T) {
			o := judge(t, with(files, inSegment(3), string(appendEntry(content[:len(content):len(content)], p, f))), full)
			require.NotNil(t, o.damaged)
			require.EqualValues(t, len(content), o.damaged.Offset)
			require.Equal(t, full, o.got)
		})
	}
	for name, h := range map[string]struct {
		index uint64
		header
	}{
		"records missing": {9, header{logID: testID, segment: 3, stateIndex: 6, state: []byte("promise 2")}},
		"another state":   {8, header{logID: testID, segment: 3, stateIndex: 6, state: []byte("promise 1")}},
		"an older state":  {8, header{logID: testID, segment: 3, stateIndex: 2, state: []byte("promise 2")}},
		"another log":     {8, header{logID: testID + 1, segment: 3, stateIndex: 6, state: []byte("promise 2")}},
		"another segment": {8, header{logID: testID, segment: 4, stateIndex: 6, state: []byte("promise 2")}},
	} {
		t.Run("header with "+name, func(t *testing.T) {
			b := appendEntry(nil, p, frame{typ: TypeHeader, index: h.index, durable: h.index, payload: h.encode()})
			o := judge(t, with(files, inSegment(3), string(b)), full)
			require.NotNil(t, o.damaged)
		})
	}
	o := judge(t, with(files, inSegment(3), string(appendEntry(nil, p, frame{typ: TypeData, index: 9}))), full)
	require.NotNil(t, o.damaged, "a segment without a header")
}

func TestPrefixSize(t *testing.T) {
	for _, n := range []int{1, 44, 127, 128, 300, 16383, 16384, 1<<21 - 1, 1 << 21, 1<<28 - 1, 1 << 28, maxPayload + frameHead} {
		require.Len(t, binary.AppendUvarint(nil, uint64(n)), prefixSize(n))
	}
	require.LessOrEqual(t, prefixSize(maxPayload+frameHead), maxPrefix)
}

func TestTypeNames(t *testing.T) {
	require.Equal(t, "invalid state data mark header invalid", strings.Join([]string{
		Type(0).String(), TypeState.String(), TypeData.String(), TypeMark.String(), TypeHeader.String(), Type(5).String(),
	}, " "))
}

// goldenSegment was written out by another program from the description in
// docs/format.md.
const goldenSegment = `
	4a | header: prefix
	f7 64 6b 76 01 04 00 00 | magic, version, type, reserved
	1e 00 00 00 3c fa 3e 45 | length, payload CRC
	00 00 00 00 00 00 00 00 | index
	00 00 00 00 00 00 00 00 | tag
	00 00 00 00 00 00 00 00 | durable
	a1 25 9a ae | head CRC
	88 77 66 55 44 33 22 11 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 68 73 | payload
	2f | state: prefix
	f7 64 6b 76 01 01 00 00 | magic, version, type, reserved
	03 00 00 00 a7 8f b3 b9 | length, payload CRC
	01 00 00 00 00 00 00 00 | index
	00 00 00 00 00 00 00 00 | tag
	00 00 00 00 00 00 00 00 | durable
	18 e1 70 0e | head CRC
	48 53 21 | payload
	31 | data: prefix
	f7 64 6b 76 01 02 00 00 | magic, version, type, reserved
	05 00 00 00 63 03 e0 e1 | length, payload CRC
	02 00 00 00 00 00 00 00 | index
	02 01 00 00 00 00 00 00 | tag
	00 00 00 00 00 00 00 00 | durable
	c0 1c 8d ff | head CRC
	76 61 6c 75 65 | payload
	2c | mark: prefix
	f7 64 6b 76 01 03 00 00 | magic, version, type, reserved
	00 00 00 00 00 00 00 00 | length, payload CRC
	02 00 00 00 00 00 00 00 | index
	00 00 00 00 00 00 00 00 | tag
	02 00 00 00 00 00 00 00 | durable
	d6 5b 59 d3 | head CRC
`
