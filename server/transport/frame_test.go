package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/wire"
)

// The golden bytes were worked out by another program than this one.
const (
	goldenHello   = "006469736b76 18000000 01 01 01 00 29070f7b 8877665544332211 0700000000000000 01 00 03 01 00000000"
	goldenOK      = "10000000 01 02 01 00 f3d5fe35 01 01 0000 8877665544332211 00000000"
	goldenRefusal = "14000000 01 02 01 00 3f6a6576 02 00 0000 0500000000000000 04000000 77687921"
	goldenAlive   = "00000000 01 03 01 00 3640e1a8"
	goldenControl = "06000000 01 04 01 00 f0f089a8 757267656e74"
	goldenBulk    = "04000000 01 05 00 00 3a45e152 70617274"
)

func TestGoldenBytes(t *testing.T) {
	hello := Hello{Cluster: 0x1122334455667788, Group: 7, From: 1, To: 0, Size: 3, Version: 1}
	ok := HelloReply{Accepted: true, Version: 1, Cluster: 0x1122334455667788}
	refusal := HelloReply{Cluster: 5, Reason: "why!"}
	tests := map[string]struct {
		golden string
		bytes  []byte
	}{
		"hello":   {goldenHello, appendHello([]byte(Magic), hello)},
		"ok":      {goldenOK, encodeReply(ok)},
		"refusal": {goldenRefusal, encodeReply(refusal)},
		"alive":   {goldenAlive, appendFrame(nil, kindAlive, true, nil)},
		"control": {goldenControl, appendFrame(nil, kindOf(LaneControl), true, []byte("urgent"))},
		"bulk":    {goldenBulk, appendFrame(nil, kindOf(LaneBulk), false, []byte("part"))},
	}
	for name, tt := range tests {
		require.Equal(t, hex.EncodeToString(golden.Hex(tt.golden)), hex.EncodeToString(tt.bytes), name)
	}

	body, err := readGreeting(bytes.NewReader(golden.Hex(goldenHello)[len(Magic):]), kindHello, helloSize)
	require.NoError(t, err)
	gotHello, err := decodeHello(body)
	require.NoError(t, err)
	require.Equal(t, hello, gotHello)
	for text, want := range map[string]HelloReply{goldenOK: ok, goldenRefusal: refusal} {
		body, err := readGreeting(bytes.NewReader(golden.Hex(text)), kindReply, maxReplySize)
		require.NoError(t, err)
		got, err := decodeReply(body)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	stream := golden.Hex(goldenBulk + goldenAlive + goldenControl)
	stream = appendFrame(stream, kindBulk, true, []byte(" of it"))
	in := newPayloads(bytes.NewReader(stream), 100, func() {})
	for _, want := range []string{"urgent", "part of it"} {
		got, err := in.next()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err = in.next()
	require.ErrorIs(t, err, io.EOF)
}

func TestEachFlippedByteOfAFrameIsFound(t *testing.T) {
	frame := golden.Hex(goldenControl)
	for i := range frame {
		for bit := range 8 {
			bad := bytes.Clone(frame)
			bad[i] ^= 1 << bit
			_, err := newPayloads(bytes.NewReader(bad), 100, func() {}).next()
			require.Error(t, err, "byte %d, bit %d", i, bit)
		}
	}
	for n := range frame {
		_, err := newPayloads(bytes.NewReader(frame[:n]), 100, func() {}).next()
		require.Error(t, err, "cut to %d bytes", n)
	}
}

func TestGreetingIsChecked(t *testing.T) {
	hello := func(change func(b []byte)) []byte {
		b := golden.Hex(goldenHello)[len(Magic)+frameHeadSize:]
		change(b)
		return b
	}
	for name, body := range map[string][]byte{
		"too short":        hello(func([]byte) {})[:helloSize-1],
		"too long":         append(hello(func([]byte) {}), 0),
		"reserved":         hello(func(b []byte) { b[20] = 1 }),
		"version 0":        hello(func(b []byte) { b[19] = 0 }),
		"from outside":     hello(func(b []byte) { b[16] = 3 }),
		"to outside":       hello(func(b []byte) { b[17] = 3 }),
		"to oneself":       hello(func(b []byte) { b[17] = 1 }),
		"group of nobody":  hello(func(b []byte) { b[18] = 0 }),
		"nothing, at last": {},
	} {
		_, err := decodeHello(body)
		require.Error(t, err, name)
	}

	reply := func(change func(b []byte)) []byte {
		b := golden.Hex(goldenRefusal)[frameHeadSize:]
		change(b)
		return b
	}
	for name, body := range map[string][]byte{
		"status 0":             reply(func(b []byte) { b[0] = 0 }),
		"status 3":             reply(func(b []byte) { b[0] = 3 }),
		"accepted, no version": reply(func(b []byte) { b[0] = 1 }),
		"refused in version 1": reply(func(b []byte) { b[1] = 1 }),
		"reserved":             reply(func(b []byte) { b[2] = 1 }),
		"length":               reply(func(b []byte) { b[12] = 5 }),
		"refused, no reason":   reply(func(b []byte) { b[12] = 0 })[:16:16],
		"accepted, reason":     reply(func(b []byte) { b[0], b[1] = 1, 1 }),
		"cut":                  reply(func([]byte) {})[:15],
	} {
		_, err := decodeReply(body)
		require.Error(t, err, name)
	}
}

func TestLongReasonIsCut(t *testing.T) {
	b := encodeReply(HelloReply{Reason: strings.Repeat("x", 2*maxReason)})
	body, err := readGreeting(bytes.NewReader(b), kindReply, maxReplySize)
	require.NoError(t, err)
	reply, err := decodeReply(body)
	require.NoError(t, err)
	require.Len(t, reply.Reason, maxReason)
}

func TestPayloadTakesMemoryForWhatArrives(t *testing.T) {
	// The head of a frame of the longest payload, and then nothing.
	b := appendFrame(nil, kindBulk, true, make([]byte, maxBody))
	in := newPayloads(bytes.NewReader(b[:frameHeadSize]), LargestPayload, func() {})
	_, err := in.next()
	require.ErrorIs(t, err, io.EOF)
	require.LessOrEqual(t, cap(in.parts[1]), maxBody)

	b = binary.LittleEndian.AppendUint32(nil, maxBody+1)
	b = append(b, 1, byte(kindBulk), 0, 0, 0, 0, 0, 0)
	_, err = newPayloads(bytes.NewReader(b), LargestPayload, func() {}).next()
	require.ErrorIs(t, err, wire.ErrTooLong)
}

// resum makes the checksum of each frame of a stream right.
func resum(b []byte) []byte {
	b = bytes.Clone(b)
	for at := 0; at+frameHeadSize <= len(b); {
		n := int(binary.LittleEndian.Uint32(b[at:]))
		if n > len(b)-at-frameHeadSize {
			break
		}
		end := at + frameHeadSize + n
		binary.LittleEndian.PutUint32(b[at+8:], frameSum(b[at:], b[at+frameHeadSize:end]))
		at = end
	}
	return b
}

// FuzzPayloads reads any bytes as what comes after the greeting.
func FuzzPayloads(f *testing.F) {
	f.Add(golden.Hex(goldenBulk + goldenAlive + goldenControl))
	f.Add(appendFrame(appendFrame(nil, kindBulk, false, make([]byte, 300)), kindBulk, true, make([]byte, 300)))
	f.Add(appendFrame(nil, kindBulk, true, make([]byte, 1001)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 4, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1000
		b = resum(b)
		in := newPayloads(bytes.NewReader(b), limit, func() {})
		slow := newPayloads(iotest.OneByteReader(bytes.NewReader(b)), limit, func() {})
		total := 0
		for {
			payload, err := in.next()
			again, slowErr := slow.next()
			require.Equal(t, payload, again)
			require.Equal(t, err == nil, slowErr == nil)
			if err != nil {
				return
			}
			require.LessOrEqual(t, len(payload), limit)
			require.LessOrEqual(t, cap(payload), 2*limit)
			total += len(payload)
			require.LessOrEqual(t, total, len(b))
		}
	})
}

// FuzzGreeting reads any bytes as a hello and as a reply.
func FuzzGreeting(f *testing.F) {
	for _, text := range []string{goldenHello, goldenOK, goldenRefusal, goldenAlive} {
		f.Add(golden.Hex(strings.TrimPrefix(text, "006469736b76 ")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resum(b)
		if body, err := readGreeting(bytes.NewReader(b), kindHello, helloSize); err == nil {
			if h, err := decodeHello(body); err == nil {
				require.Equal(t, b[:frameHeadSize+len(body)], appendHello(nil, h))
			}
		}
		if body, err := readGreeting(bytes.NewReader(b), kindReply, maxReplySize); err == nil {
			if r, err := decodeReply(body); err == nil {
				require.Equal(t, b[:frameHeadSize+len(body)], encodeReply(r))
			}
		}
	})
}
