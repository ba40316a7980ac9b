package compat

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/tests/proc"
)

// newPages returns a group of three that runs, and the status page of each of its
// members.
func newPages(t *testing.T) (*proc.Group, []*page) {
	t.Helper()
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: 3})
	require.NoError(t, err)
	t.Cleanup(g.Close)
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	b := startBrowser(t)
	var pages []*page
	for _, m := range g.Members {
		pages = append(pages, b.open("http://"+m.HTTP+"/"))
	}
	for _, p := range pages {
		p.awaitText("#fresh", "live")
	}
	return g, pages
}

// load writes and reads until the test ends.
func load(t *testing.T, addrs []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c, err := client.Open(patiently(t), addrs...)
	require.NoError(t, err)
	var busy sync.WaitGroup
	for i := range 2 {
		busy.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = c.Append(ctx, fmt.Sprintf("key-%d-%d", i, n%100), []byte("x"))
				_, _, _ = c.Get(ctx, "key-0-0")
			}
		})
	}
	t.Cleanup(func() {
		stop()
		busy.Wait()
		c.Close()
	})
}

// TestStatusPageFollowsTheGroup: the page shows the members and draws its charts; when the
// leader is killed its page says since when it has not answered, another one leads, and
// everything is as before when it is back.
func TestStatusPageFollowsTheGroup(t *testing.T) {
	g, pages := newPages(t)
	load(t, g.Public)
	leader, err := g.Leader(patiently(t))
	require.NoError(t, err)
	p := pages[leader.Index]
	p.awaitText("#what", "leader")
	p.awaitText("#outlook", "The group can lose a member. 3 of 3 members vote")
	require.Equal(t, "3", p.eval("document.querySelectorAll('#members tbody tr').length"))
	for _, m := range g.Members {
		require.Contains(t, p.text("#members"), m.Addr)
	}
	require.Equal(t, "6", p.eval("document.querySelectorAll('#charts figure').length"))
	p.await("[...document.querySelectorAll('#charts figure')].every(f => f.querySelector('path.two').getAttribute('d').length > 20)")
	p.await("[...document.querySelectorAll('#charts .empty')].every(e => e.textContent === '')")
	require.Regexp(t, `append\s+[0-9,]+\s+0\s+0\s+[0-9.]+ (µs|ms)`, p.text("#commands"))
	require.Equal(t, fmt.Sprintf("group 1, member %d · leader · diskv", leader.Index), p.eval("document.title"))
	other := pages[(leader.Index+1)%3]
	other.awaitText("#outlook", fmt.Sprintf("Member %d leads, at %s", leader.Index, leader.Addr))
	for _, p := range pages {
		for _, width := range []int{320, 390, 1100} {
			p.resize(width)
			p.await("document.documentElement.scrollWidth <= innerWidth")
		}
		p.requireQuiet()
	}
	p.shoot("leader-light")
	p.dark(true)
	p.shoot("leader-dark")
	p.resize(390)
	p.shoot("leader-narrow-dark")
	p.dark(false)
	p.shoot("leader-narrow-light")
	p.resize(1100)
	other.shoot("follower-light")

	require.NoError(t, leader.Kill())
	p.awaitText("#gone", "has not answered since")
	require.Equal(t, "stale", p.text("#fresh"))
	require.Contains(t, p.text("#members"), leader.Addr, "what was known stays")
	p.shoot("stale-light")
	next, err := g.Leader(patiently(t))
	require.NoError(t, err)
	require.NotEqual(t, leader.Index, next.Index)
	after := pages[next.Index]
	after.awaitText("#what", "leader")
	after.awaitText("#outlook", "The group can lose no other member. 2 of 3 members vote")
	after.awaitText("#outlook", fmt.Sprintf("Member %d has not been heard", leader.Index))
	after.shoot("at-risk-light")
	after.dark(true)
	after.shoot("at-risk-dark")
	after.requireQuiet()

	require.NoError(t, leader.Start())
	p.awaitText("#fresh", "live")
	require.Equal(t, "true", p.eval("document.querySelector('#gone').hidden"))
	after.awaitText("#outlook", "The group can lose a member. 3 of 3 members vote")
}

// TestStatusPageOfAGroupThatHasStopped: two of three have lost their disks, and nobody may
// let them back.
func TestStatusPageOfAGroupThatHasStopped(t *testing.T) {
	g, pages := newPages(t)
	for _, m := range g.Members[1:] {
		require.NoError(t, m.Kill())
		require.NoError(t, m.LoseDisk())
	}
	for _, m := range g.Members[1:] {
		require.NoError(t, m.Start())
	}
	pages[0].awaitText("#outlook", "The group does not serve. Stopped: nothing is answered.")
	pages[0].awaitText("#outlook", "lost their disks: 1,2")
	pages[1].awaitText("#outlook", "lost their disks: 1,2")
	pages[1].awaitText("#members", "recovering")
	require.Contains(t, pages[0].eval("document.title"), "stopped")
	pages[0].shoot("stopped-light")
	pages[1].shoot("recovering-light")
}

// TestStatusPageShowsTextAsText: what comes from outside is never markup. The name of the
// directory is in the warning of a full disk.
func TestStatusPageShowsTextAsText(t *testing.T) {
	const evil = `<b onclick=alert(1)>&amp;'"`
	g, err := proc.NewGroup(proc.Options{
		Binary: binary, Dir: filepath.Join(t.TempDir(), evil), Size: 1, Args: []string{"--min-free-bytes", "4611686018427387904"},
	})
	require.NoError(t, err)
	t.Cleanup(g.Close)
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	p := startBrowser(t).open("http://" + g.Members[0].HTTP + "/")
	p.awaitText("#problems", evil)
	p.awaitText("#problems", "is nearly full")
	require.Equal(t, "0", p.eval("document.querySelectorAll('#problems b').length"))
	require.Contains(t, p.text("#outlook"), "No copy elsewhere. A single node")
	p.requireQuiet()
	p.shoot("low-disk-light")
}

// TestStatusPagesOfACluster: a group says which shards it has and what is on its way, and
// a shardmaster where everybody is.
func TestStatusPagesOfACluster(t *testing.T) {
	c := startCluster(t)
	b := startBrowser(t)
	group, master := b.open("http://"+c.Groups[0].Members[0].HTTP+"/"), b.open("http://"+c.Shardmasters.Members[0].HTTP+"/")
	group.awaitText("#shards", "This group serves 8,192 shards of 16,384.")
	group.awaitText("#groups", c.Groups[1].Public[0])
	master.awaitText("#who", "shardmaster 0")
	master.awaitText("#groups", "8,192")
	master.awaitText("#groups", c.Groups[0].Public[2])
	_, err := c.masters.Leave(patiently(t), 2)
	require.NoError(t, err)
	group.awaitText("#shards", "This group serves 16,384 shards of 16,384.")
	master.await("document.querySelectorAll('#groups tbody tr').length === 1")
	for name, p := range map[string]*page{"group-light": group, "shardmaster-light": master} {
		p.resize(390)
		p.await("document.documentElement.scrollWidth <= innerWidth")
		p.resize(1100)
		p.requireQuiet()
		p.shoot(name)
	}
}
