package transport

import (
	"net"

	"golang.org/x/sys/unix"
)

// limitUnsent keeps the system from taking megabytes of bulk frames that it
// cannot send yet, which no control frame could overtake.
func limitUnsent(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // closed already; whoever writes will hear of it
	}
	// Without it everything works, only with longer queues.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxFrame)
	})
}
