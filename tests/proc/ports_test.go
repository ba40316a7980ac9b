package proc

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPortsAreGivenOutOnce: nobody else gives them out either, though nobody listens.
func TestPortsAreGivenOutOnce(t *testing.T) {
	seen := make(map[string]bool)
	for range 3 * blockPorts {
		a, err := FreePorts(1)
		require.NoError(t, err)
		require.False(t, seen[a[0]], a[0])
		seen[a[0]] = true
		_, port, err := net.SplitHostPort(a[0])
		require.NoError(t, err)
		n, err := strconv.Atoi(port)
		require.NoError(t, err)
		_, err = net.Listen("tcp", local(n-(n-lowestPort)%blockPorts))
		require.Error(t, err, "another process would see that the block is taken")
	}
}
