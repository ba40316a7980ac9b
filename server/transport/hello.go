package transport

import (
	"encoding/binary"
	"fmt"
	"io"

	"diskv/internal/wire"
)

// The greeting. The one who dials sends Magic and a hello; the other one
// answers with a reply. Both are frames of version 1 for ever, whatever version
// is agreed on for what follows.
//
//	hello                                   reply
//	 0  8  cluster, 0 while forming          0  1  status: 1 accepted, 2 refused
//	 8  8  group                             1  1  version to be used; 0 if refused
//	16  1  index of the one who dials        2  2  reserved, zero
//	17  1  index of the one who is dialled   4  8  cluster of the one who answers
//	18  1  size of the group                12  4  length n of the reason, at most 512
//	19  1  highest version of frames        16  n  reason, UTF-8; empty if accepted
//	20  4  reserved, zero
const (
	helloSize    = 24  // on the wire
	maxReason    = 512 // on the wire
	maxReplySize = 16 + maxReason
)

// Reply status. On the wire; 0 is invalid.
const (
	statusAccepted = 1
	statusRefused  = 2
)

// Hello is what the one who dials says of itself and of whom it takes the other
// to be.
type Hello struct {
	Cluster uint64 // 0 while the group is forming
	Group   uint64
	From    uint8 // index of the one who dials
	To      uint8 // index of the one whom it means to reach
	Size    uint8 // members of the group
	Version uint8 // highest version of frames that it speaks
}

func appendHello(dst []byte, h Hello) []byte {
	body := binary.LittleEndian.AppendUint64(nil, h.Cluster)
	body = binary.LittleEndian.AppendUint64(body, h.Group)
	body = append(body, h.From, h.To, h.Size, h.Version, 0, 0, 0, 0)
	return appendFrame(dst, kindHello, true, body)
}

func decodeHello(body []byte) (Hello, error) {
	r := wire.NewReader(body)
	h := Hello{
		Cluster: r.Uint64(), Group: r.Uint64(),
		From: r.Uint8(), To: r.Uint8(), Size: r.Uint8(), Version: r.Uint8(),
	}
	if reserved := r.Uint32(); reserved != 0 {
		r.Fail(wire.ErrBadValue)
	}
	if h.From >= h.Size || h.To >= h.Size || h.From == h.To || h.Version == 0 {
		r.Fail(wire.ErrBadValue)
	}
	if err := r.Close(); err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	return h, nil
}

// HelloReply is the answer to a [Hello].
type HelloReply struct {
	Accepted bool
	Version  uint8  // of the frames that follow; 0 if refused
	Cluster  uint64 // of the one who answers; 0 while the group is forming
	Reason   string // why it was refused, at most 512 bytes; empty if it was not
}

func encodeReply(r HelloReply) []byte {
	status := byte(statusRefused)
	if r.Accepted {
		status = statusAccepted
	}
	body := []byte{status, r.Version, 0, 0}
	body = binary.LittleEndian.AppendUint64(body, r.Cluster)
	body = wire.AppendBytes(body, []byte(r.Reason[:min(len(r.Reason), maxReason)]))
	return appendFrame(nil, kindReply, true, body)
}

func decodeReply(body []byte) (HelloReply, error) {
	r := wire.NewReader(body)
	status := r.Uint8()
	v := HelloReply{Accepted: status == statusAccepted, Version: r.Uint8()}
	reserved := r.Uint16()
	v.Cluster = r.Uint64()
	v.Reason = string(r.Bytes(maxReason))
	if reserved != 0 || (status != statusAccepted && status != statusRefused) ||
		v.Accepted != (v.Version != 0) || v.Accepted != (v.Reason == "") {
		r.Fail(wire.ErrBadValue)
	}
	if err := r.Close(); err != nil {
		return HelloReply{}, fmt.Errorf("reply to hello: %w", err)
	}
	return v, nil
}

// readGreeting reads one frame of the greeting and not a byte more.
func readGreeting(in io.Reader, want kind, limit int) ([]byte, error) {
	var head [frameHeadSize]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	h, err := decodeFrameHead(head[:])
	if err != nil {
		return nil, err
	}
	if h.kind != want || !h.last || h.length > limit {
		return nil, fmt.Errorf("frame of kind %d with %d bytes in the place of the greeting: %w", h.kind, h.length, errProtocol)
	}
	body := make([]byte, h.length)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	if frameSum(head[:], body) != h.sum {
		return nil, fmt.Errorf("greeting: %w", errChecksum)
	}
	return body, nil
}

// hello is what this process says to a peer.
func (t *Transport) hello(to uint8) Hello {
	return Hello{
		Cluster: t.o.Cluster(), Group: t.o.Group,
		From: t.o.Self, To: to, Size: uint8(t.o.Size), Version: Version,
	}
}

// refusal says why this process will not listen to who says h, or nothing.
func (t *Transport) refusal(h Hello, cluster uint64) string {
	switch {
	case h.Group != t.o.Group:
		return fmt.Sprintf("this is a member of group %d, not of group %d; check --peers and --group", t.o.Group, h.Group)
	case int(h.Size) != t.o.Size:
		return fmt.Sprintf("this group has %d members, not %d; check --peers", t.o.Size, h.Size)
	case h.To != t.o.Self:
		return fmt.Sprintf("this is member %d, not %d; check the order of --peers and --index", t.o.Self, h.To)
	case !sameCluster(h.Cluster, cluster):
		return fmt.Sprintf("this is a member of cluster %016x, not of cluster %016x; one of the two has another group's data directory or address", cluster, h.Cluster)
	}
	return ""
}
