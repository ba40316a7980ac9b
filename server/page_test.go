package server_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/server"
	"diskv/tests/inproc"
)

// statusOf is what a test wants of /status.json.
type statusOf struct {
	Ready   bool
	Role    string
	Service string
	Group   int
	Member  int
	Leader  *int
	Outlook struct {
		State   string
		CanLose *int `json:"can_lose"`
		Text    string
	}
	Problems []string
	Members  []struct {
		Member    int
		Address   string
		Role      string
		Epoch     int
		Boot      int
		Slot, Lag *int
		Silence   *float64 `json:"silent_seconds"`
		Connected *bool
	}
	Keys   int
	Shards *struct{ Served, Awaited, Leaving int }
	Config *struct {
		Number  int
		Settled *int
		Groups  []struct {
			Group, Shards int
			Addresses     []string
			Settled       *int
		}
	}
	Commands []struct {
		Name            string
		Calls, Rejected int
	}
	History []struct {
		Time   int64
		Writes float64
		Commit *struct{ P50, P99 float64 }
	}
}

func status(t *testing.T, n *inproc.Node) (s statusOf) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Get("http://" + n.HTTPAddr() + "/status.json")
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.NoError(t, json.NewDecoder(r.Body).Decode(&s))
	return s
}

func TestStatusOfAGroup(t *testing.T) {
	g := startGroup(t, 3)
	lead := g.leader()
	require.Equal(t, "OK", g.dial(lead).do("SET k v"))
	var s statusOf
	require.Eventually(t, func() bool {
		s = status(t, g.nodes[lead])
		for i, m := range s.Members {
			if i != lead && (m.Lag == nil || *m.Lag > 0) || m.Boot == 0 {
				return false // members tell once a second how often they were started
			}
		}
		return s.Outlook.State == "safe" && len(s.History) > 0
	}, patience, 50*time.Millisecond)
	require.Equal(t, "leader", s.Role)
	require.Equal(t, 1, *s.Outlook.CanLose)
	require.Empty(t, s.Problems)
	require.Len(t, s.Members, 3)
	for i, m := range s.Members {
		require.Equal(t, i, m.Member)
		require.Equal(t, g.Addrs[i], m.Address)
		require.Equal(t, map[bool]string{true: "leader", false: "follower"}[i == lead], m.Role)
		require.Equal(t, 1, m.Boot)
		require.Equal(t, *s.Members[lead].Slot, *m.Slot)
		require.Equal(t, i == lead, m.Silence == nil)
	}
	require.Equal(t, 1, s.Keys)
	require.Equal(t, 16384, s.Shards.Served)
	require.Nil(t, s.Config)
	require.Equal(t, "set", s.Commands[0].Name)
	require.Equal(t, 1, s.Commands[0].Calls)

	f := status(t, g.nodes[g.follower()])
	require.Equal(t, "follower", f.Role)
	require.Equal(t, lead, *f.Leader)
	require.Equal(t, "unknown", f.Outlook.State)
	require.Contains(t, f.Outlook.Text, g.Addrs[lead])
	require.Equal(t, "leader", f.Members[lead].Role)

	g.stop((lead + 1) % 3)
	require.Eventually(t, func() bool {
		s = status(t, g.nodes[lead])
		return s.Outlook.State == "at-risk"
	}, patience, 50*time.Millisecond)
	require.Zero(t, *s.Outlook.CanLose)
	require.Equal(t, "silent", s.Members[(lead+1)%3].Role)
	g.stop((lead + 2) % 3)
	require.Eventually(t, func() bool {
		s = status(t, g.nodes[lead])
		return s.Outlook.State == "stopped" && !s.Ready
	}, patience, 50*time.Millisecond)
	require.Contains(t, s.Outlook.Text, "No leader")
	require.Nil(t, s.Leader)
	require.NotEmpty(t, s.Problems)
}

func TestStatusOfACluster(t *testing.T) {
	withHTTP := func(o *server.Options) { o.HTTP = "127.0.0.1:0" }
	masters := inproc.Start(t, 1, withHTTP, func(o *server.Options) { o.Service, o.Group = paxos.ServiceShardmaster, 0 })
	group := inproc.StartSharded(t, masters, 7, 1, withHTTP)
	s := status(t, group.Nodes[0])
	require.Equal(t, "sharded", s.Service)
	require.Zero(t, s.Shards.Served)
	require.Zero(t, s.Config.Number)

	require.Equal(t, "1", dial(t, masters.Addrs[0]).do("DISKV.SHARDS JOIN 7 "+group.Addrs[0]))
	require.Eventually(t, func() bool {
		s = status(t, group.Nodes[0])
		return s.Shards.Served == 16384
	}, patience, 50*time.Millisecond)
	require.Equal(t, 1, s.Config.Number)
	require.Equal(t, 1, *s.Config.Settled)
	require.Equal(t, group.Addrs, s.Config.Groups[0].Addresses)

	require.Eventually(t, func() bool {
		s = status(t, masters.Nodes[0])
		return len(s.Config.Groups) == 1 && *s.Config.Groups[0].Settled == 1
	}, patience, 50*time.Millisecond)
	require.Equal(t, "shardmaster", s.Service)
	require.Nil(t, s.Shards)
	require.Nil(t, s.Config.Settled)
	require.Equal(t, 7, s.Config.Groups[0].Group)
	require.Equal(t, 16384, s.Config.Groups[0].Shards)
}

func TestHistoryAfterATime(t *testing.T) {
	g := startGroup(t, 1)
	require.Eventually(t, func() bool { return len(status(t, g.nodes[0]).History) > 0 }, patience, 50*time.Millisecond)
	code, text := g.get(0, "/status.json?after=99999999999999")
	require.Equal(t, 200, code)
	require.Contains(t, text, `"history":[]`)
	code, _ = g.get(0, "/status.json?after=yesterday")
	require.Equal(t, 400, code)
}

// TestThePageNeedsNobodyElse: everything is in the page, and the browser is told to run
// nothing that is not.
func TestThePageNeedsNobodyElse(t *testing.T) {
	g := startGroup(t, 1)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Get("http://" + g.nodes[0].HTTPAddr() + "/")
	require.NoError(t, err)
	_ = r.Body.Close()
	require.Equal(t, "text/html; charset=utf-8", r.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
	require.Regexp(t, `^default-src 'none'; connect-src 'self'; .*script-src 'sha256-[^']{44}'; style-src 'sha256-[^']{44}'$`, r.Header.Get("Content-Security-Policy"))
	_, text := g.get(0, "/")
	text = regexp.MustCompile(`http://www\.w3\.org/2000/svg`).ReplaceAllString(text, "") // a name, not an address
	require.NotRegexp(t, `https?:|//[a-z]+\.[a-z]|@import|url\(`, text, "nothing of other servers")
	require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacent|document\.write|eval\(| style=| on[a-z]+=`, text, "nothing is put in as markup")
}

func TestPprofIsOffUnlessWanted(t *testing.T) {
	g := startGroup(t, 1)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap"} {
		code, text := g.get(0, path)
		require.Equal(t, 404, code)
		require.Contains(t, text, "start diskvd with --pprof")
	}
	on := startGroup(t, 1, func(o *server.Options) { o.Pprof = true })
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		code, _ := on.get(0, path)
		require.Equal(t, 200, code, path)
	}
}
