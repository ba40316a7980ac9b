package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A goroutine that connects holds a slot's lock and then takes the network's. One
// that looks for connections to close must not do it the other way round.
func TestUnwantedNodesAreLookedAtWithoutTheNetworksLock(t *testing.T) {
	n := newNetwork(Options{Connections: 1})
	t.Cleanup(n.close)
	s := &n.node("unwanted").lanes[0].slots[0]
	s.mu.Lock()
	asked, kept := make(chan struct{}), make(chan struct{})
	go func() {
		n.keep(func(string) bool { close(asked); return false })
		close(kept)
	}()
	<-asked
	started := make(chan struct{})
	go n.start(func() { close(started) })
	select {
	case <-started:
	case <-time.After(10 * time.Second):
		t.Error("nothing can be started while a slot is looked at")
	}
	s.mu.Unlock()
	<-kept
	require.Empty(t, n.nodes)
}
