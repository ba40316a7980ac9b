package server

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/replica"
)

// TestWhatWasSeenIsWhatClientsGet: who has seen on the loop that the member leads finds
// clients served, and not sent away for another moment.
func TestWhatWasSeenIsWhatClientsGet(t *testing.T) {
	for range 30 {
		n, err := Open(Options{
			Dir: filepath.Join(t.TempDir(), "d"), Listen: "127.0.0.1:0", Group: 1, MinFreeBytes: 1,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		for leading := false; !leading; {
			require.NoError(t, n.do(func(r *replica.Replica) { _, _, leading = r.Leader() }))
		}
		require.True(t, n.route.Load().leading)
		stop()
		require.NoError(t, <-ended)
	}
}
