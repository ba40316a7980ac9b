package transport

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestObserved: who stands between two members sees who speaks and where payloads begin
// and end, and passes on every byte.
func TestObserved(t *testing.T) {
	said := Hello{Cluster: 7, Group: 1, From: 2, To: 0, Size: 3, Version: Version}
	greeting := appendHello([]byte(Magic), said)
	frames := appendFrame(nil, kindControl, true, []byte("short"))
	frames = appendFrame(frames, kindBulk, false, []byte("the first part"))
	frames = appendFrame(frames, kindAlive, true, nil)
	frames = appendFrame(frames, kindBulk, true, []byte("the last part"))
	in := bytes.NewReader(append(bytes.Clone(greeting), frames...))

	h, passed, err := ReadHello(in)
	require.NoError(t, err)
	require.Equal(t, said, h)
	require.Equal(t, greeting, passed)

	var seen []byte
	for _, want := range []Frame{
		{Payload: true, Lane: LaneControl, Last: true}, {Payload: true, Lane: LaneBulk}, {Last: true}, {Payload: true, Lane: LaneBulk, Last: true},
	} {
		f, err := ReadFrame(in)
		require.NoError(t, err)
		seen = append(seen, f.Bytes...)
		f.Bytes = nil
		require.Equal(t, want, f)
	}
	require.Equal(t, frames, seen)
	_, err = ReadFrame(in)
	require.ErrorIs(t, err, io.EOF)

	_, _, err = ReadHello(bytes.NewReader([]byte("*1\r\n$4\r\nPING\r\n")))
	require.ErrorIs(t, err, errProtocol)
}
