package nonsense

import (
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// attack sends nonsense to members, one connection after the other, until the end. It
// returns how many frames it has sent.
func attack(g *generator, addrs []string, end time.Time) int {
	sent := 0
	for time.Now().Before(end) {
		conn, err := net.DialTimeout("tcp", addrs[g.rng.IntN(len(addrs))], 2*time.Second)
		if err != nil {
			continue // CLIENT KILL, or a queue that is full
		}
		_ = conn.SetDeadline(end)
		gone := make(chan struct{})
		go func() { // replies are read, so that the server goes on
			_, _ = io.Copy(io.Discard, conn)
			close(gone)
		}()
		stream := g.opening()
		g.wellFormed = g.oneIn(2)
		for range 1 + g.rng.IntN(400) {
			stream = append(stream, g.frame()...)
			sent++
			if g.oneIn(4) {
				if err = inPieces(g.rng, conn, stream); err != nil {
					break
				}
				stream = stream[:0]
			}
		}
		if err == nil {
			_ = inPieces(g.rng, conn, stream)
		}
		if g.oneIn(2) { // it waits for what comes, for a moment
			select {
			case <-gone:
			case <-time.After(time.Duration(g.rng.IntN(20)) * time.Millisecond):
			}
		}
		_ = conn.Close()
		<-gone
	}
	return sent
}

// inPieces writes a stream in several packets.
func inPieces(rng *rand.Rand, conn net.Conn, stream []byte) error {
	for len(stream) > 0 {
		n := len(stream)
		if rng.IntN(3) > 0 {
			n = 1 + rng.IntN(n)
		}
		if _, err := conn.Write(stream[:n]); err != nil {
			return err
		}
		stream = stream[n:]
	}
	return nil
}

// halfOpen opens connections that begin a command and then say nothing more.
func halfOpen(g *generator, addrs []string, n int) []net.Conn {
	var conns []net.Conn
	for i := range n {
		conn, err := net.DialTimeout("tcp", addrs[i%len(addrs)], 2*time.Second)
		if err != nil {
			continue
		}
		begun := g.frame()
		_, _ = conn.Write(begun[:g.rng.IntN(len(begun)+1)])
		conns = append(conns, conn)
	}
	return conns
}
