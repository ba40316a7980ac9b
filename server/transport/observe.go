package transport

import (
	"bytes"
	"fmt"
	"io"
)

// Frame is one frame as it is on the wire, for what stands between two members:
// proxies that tests put there.
type Frame struct {
	Bytes   []byte // the whole frame; it belongs to the caller
	Payload bool   // it is a part of a payload; else a greeting or a sign of life
	Lane    Lane   // of the payload
	Last    bool   // it is the last part of its payload
}

// ReadFrame reads one frame. Its checksum is not looked at: whoever it is for does that.
func ReadFrame(in io.Reader) (Frame, error) {
	head := make([]byte, frameHeadSize)
	if _, err := io.ReadFull(in, head); err != nil {
		return Frame{}, err
	}
	h, err := decodeFrameHead(head)
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Bytes: make([]byte, frameHeadSize+h.length), Last: h.last}
	copy(f.Bytes, head)
	if _, err := io.ReadFull(in, f.Bytes[frameHeadSize:]); err != nil {
		return Frame{}, err
	}
	switch h.kind {
	case kindControl:
		f.Payload, f.Lane = true, LaneControl
	case kindBulk:
		f.Payload, f.Lane = true, LaneBulk
	case kindHello, kindReply, kindAlive:
	}
	return f, nil
}

// ReadHello reads what the one who dials says first. The bytes are what was read.
func ReadHello(in io.Reader) (Hello, []byte, error) {
	first := make([]byte, len(Magic))
	if _, err := io.ReadFull(in, first); err != nil {
		return Hello{}, nil, err
	}
	if string(first) != Magic {
		return Hello{}, nil, fmt.Errorf("connection starts with %q: %w", first, errProtocol)
	}
	var read bytes.Buffer
	read.Write(first)
	body, err := readGreeting(io.TeeReader(in, &read), kindHello, helloSize)
	if err != nil {
		return Hello{}, nil, err
	}
	h, err := decodeHello(body)
	return h, read.Bytes(), err
}

// AppendHello returns what the one who dials says first, and AppendFrame appends a payload
// of one frame: they are for tests of what stands between two members.
func AppendHello(h Hello) []byte { return appendHello([]byte(Magic), h) }

// AppendFrame is described at [AppendHello].
func AppendFrame(dst []byte, lane Lane, body []byte) []byte {
	return appendFrame(dst, kindOf(lane), true, body)
}
