package crashstates

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"diskv/paxos"
	"diskv/server/transport"
)

// frameHead is how many bytes stand before the body of a frame between peers; see
// docs/format.md, connections between peers.
const frameHead = 12

// tap is a socket in front of a member's: what its peers send it passes through, and
// each message of theirs is seen before the member gets it.
type tap struct {
	listener net.Listener
	to       string // path of the member's socket
	see      func(paxos.Envelope)

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
	err   error // what could not be understood
}

// newTap listens on a path.
func newTap(path, to string, see func(paxos.Envelope)) (*tap, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	t := &tap{listener: l, to: to, see: see}
	t.wg.Go(t.accept)
	return t, nil
}

func (t *tap) accept() {
	for {
		in, err := t.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", t.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		t.mu.Lock()
		t.conns = append(t.conns, in, out)
		t.mu.Unlock()
		t.wg.Go(func() {
			_, _ = io.Copy(in, out)
			_ = in.Close()
		})
		t.wg.Go(func() {
			if err := t.carry(in, out); err != nil {
				t.mu.Lock()
				t.err = errors.Join(t.err, err)
				t.mu.Unlock()
			}
			_ = out.Close()
		})
	}
}

// carry copies what the one who dialled sends, and looks into it if it is a peer.
func (t *tap) carry(in, out net.Conn) error {
	s := &stream{see: t.see}
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return nil
		}
		if err := s.take(buf[:n]); err != nil {
			return err
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return nil
		}
	}
}

// close ends everything that passes, and returns what could not be understood.
func (t *tap) close() error {
	_ = t.listener.Close()
	t.mu.Lock()
	for _, c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return t.err
}

// stream takes one direction of a connection apart.
type stream struct {
	see   func(paxos.Envelope)
	begun bool
	other bool // it is not a peer's
	buf   []byte
	parts [2][]byte // of the payload of each lane
}

func (s *stream) take(b []byte) error {
	if s.other {
		return nil
	}
	s.buf = append(s.buf, b...)
	if !s.begun {
		if len(s.buf) < len(transport.Magic) {
			return nil
		}
		if s.other = !bytes.HasPrefix(s.buf, []byte(transport.Magic)); s.other {
			return nil
		}
		s.begun, s.buf = true, s.buf[len(transport.Magic):]
	}
	for len(s.buf) >= frameHead {
		n := frameHead + int(binary.LittleEndian.Uint32(s.buf))
		if len(s.buf) < n {
			break
		}
		if err := s.frame(s.buf[5], s.buf[6]&1 != 0, s.buf[frameHead:n]); err != nil {
			return err
		}
		s.buf = s.buf[n:]
	}
	return nil
}

// frame takes a frame; kinds 4 and 5 are parts of payloads.
func (s *stream) frame(kind byte, last bool, body []byte) error {
	if kind != 4 && kind != 5 {
		return nil
	}
	part := &s.parts[kind-4]
	*part = append(*part, body...)
	if !last {
		return nil
	}
	e, err := paxos.DecodeEnvelope(bytes.Clone(*part))
	*part = nil
	if err == nil {
		s.see(e)
	}
	return err
}
