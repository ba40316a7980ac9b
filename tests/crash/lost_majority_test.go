package crash

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// notLeft is how a member says that no Rejoin can be chosen any more.
const notLeft = "2 members whose disks are intact are needed, and that many are not left"

func TestTwoOfThreeLoseTheirDisks(t *testing.T) {
	for _, c := range []struct {
		name string
		once bool // without --bootstrap
		up   bool // the survivor, when the others start
	}{
		{name: "without --bootstrap, the survivor up", once: true, up: true},
		{name: "without --bootstrap, the survivor down", once: true, up: false},
		{name: "with --bootstrap, the survivor up", once: false, up: true},
		{name: "with --bootstrap, the survivor down", once: false, up: false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: c.once})
			r := router(t, g)
			_, err := r.Write(patiently(t), "key", "SET", "key", "value")
			require.NoError(t, err)
			survivor, lost := g.Members[2], g.Members[:2]
			require.NoError(t, g.Converged(patiently(t)))
			loseAll(t, lost...)
			if !c.up {
				require.NoError(t, survivor.Kill())
			} else {
				awaitReason(t, survivor, "no leader", "not heard: 0,1")
			}
			startAll(t, lost...)
			if !c.up {
				for _, m := range lost {
					if c.once {
						awaitReason(t, m, "intact: none; lost their disks: 0,1; not heard: 2", notLeft)
					} else {
						awaitReason(t, m, "waiting for all 3 members")
					}
				}
				requireSilence(t, g)
				require.NoError(t, survivor.Start())
			}

			awaitReason(t, survivor, "intact: 2; lost their disks: 0,1; not heard: none", notLeft)
			for _, m := range lost {
				awaitReason(t, m, "intact: 2; lost their disks: 0,1; not heard: none", notLeft)
			}
			requireSilence(t, g)
			for _, m := range lost {
				require.NotEqual(t, "member", phaseOf(t, m), "no group has formed")
			}
			require.Equal(t, "member", phaseOf(t, survivor))
		})
	}
}

func TestAllLoseTheirDisks(t *testing.T) {
	t.Parallel()
	g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true})
	loseAll(t, g.Members...)
	startAll(t, g.Members...)
	for _, m := range g.Members {
		awaitReason(t, m, "lost its disk", "intact: none; lost their disks: 0,1,2; not heard: none", notLeft)
	}
	requireSilence(t, g)
	for _, m := range g.Members {
		require.Equal(t, "recovering", phaseOf(t, m))
		require.Contains(t, m.Output(), "this member has lost its disk")
		require.Contains(t, m.Output(), "--bootstrap was not given")
	}
}
