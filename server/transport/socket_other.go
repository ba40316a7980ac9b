//go:build !linux

package transport

import "net"

// limitUnsent has nothing to set here: control frames wait behind what the
// system has taken.
func limitUnsent(*net.TCPConn) {}
