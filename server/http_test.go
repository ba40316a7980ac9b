package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

func TestMetricsParseAndHaveTheirNames(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	for range 5 {
		require.Equal(t, "OK", c.do("SET k v"))
	}
	require.Contains(t, c.do("SET k v nonsense"), "-ERR")
	require.Contains(t, c.do("INCR k"), "-ERR")
	require.Equal(t, "1", c.do("DISKV.ONCE n "+strings.Trim(c.do("DISKV.SESSION"), `"`)+" 1 INCR n"))
	status, text := g.get(0, "/metrics")
	require.Equal(t, 200, status)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err, "it parses")
	require.Empty(t, problems)
	for _, name := range strings.Fields("commands_total command_failures_total command_rejections_total command_seconds" +
		" log_sync_seconds log_sync_records log_written_bytes_total commit_seconds batch_commands batch_bytes ready leading" +
		" slot_commit slot_applied slot_last ballot_round epoch keys sessions data_bytes snapshot_bytes snapshot_slot" +
		" commands_queued slots_undecided log_bytes client_connections disk_low disk_free_bytes boot members shards_leaving" +
		" build_info elections_total leader_changes_total can_lose_members log_slow_syncs_total") {
		require.Contains(t, text, "# TYPE diskv_"+name+" ")
	}
	require.NotContains(t, text, "diskv_log_sync_seconds_count 0\n")
	for _, line := range []string{
		`diskv_commands_total{command="set"} 6`,
		`diskv_command_rejections_total{command="set"} 1`,
		`diskv_command_seconds_count{command="set"} 5`,
		`diskv_commands_total{command="incr"} 2`, // what is in DISKV.ONCE counts as itself
		`diskv_command_failures_total{command="incr"} 1`,
		`diskv_commands_total{command="del"} 0`,
		`diskv_commit_seconds_count 7`,
		`diskv_batch_commands_sum 7`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, `diskv_command_seconds_count{command="del"}`)
	const want = `
# HELP diskv_ready 1 if the member leads or follows a leader.
# TYPE diskv_ready gauge
diskv_ready 1
# HELP diskv_keys Keys held.
# TYPE diskv_keys gauge
diskv_keys 2
# HELP diskv_sessions Client sessions remembered.
# TYPE diskv_sessions gauge
diskv_sessions 1
# HELP diskv_client_connections Open connections of clients.
# TYPE diskv_client_connections gauge
diskv_client_connections 1
`
	require.NoError(t, testutil.ScrapeAndCompare("http://"+g.nodes[0].HTTPAddr()+"/metrics", strings.NewReader(want),
		"diskv_ready", "diskv_keys", "diskv_sessions", "diskv_client_connections"))
	http.DefaultClient.CloseIdleConnections() // which that call has used
}

func TestMetricsOfPeers(t *testing.T) {
	g := steadyGroup(t, 3)
	lead, follower := g.leader(), g.follower()
	require.Equal(t, "OK", g.dial(lead).do("SET k v"))
	metrics := func(i int) string {
		status, text := g.get(i, "/metrics")
		require.Equal(t, 200, status)
		return text
	}
	require.Eventually(t, func() bool {
		text := metrics(lead)
		return strings.Contains(text, fmt.Sprintf("diskv_peer_lag_slots{peer=\"%d\"} 0\n", follower)) && strings.Contains(text, "diskv_can_lose_members 1\n")
	}, patience, 20*time.Millisecond)
	text := metrics(lead)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	for _, name := range strings.Fields("silence_seconds votes connected queue_bytes sent_bytes_total received_bytes_total") {
		require.Contains(t, text, fmt.Sprintf("diskv_peer_%s{peer=\"%d\"} ", name, follower))
	}
	require.NotContains(t, text, fmt.Sprintf("{peer=\"%d\"}", lead), "the leader is no peer of itself")
	text = metrics(follower)
	require.NotContains(t, text, "diskv_peer_lag_slots{", "the leader knows")
	require.NotContains(t, text, "diskv_can_lose_members ")
	require.Contains(t, text, fmt.Sprintf("diskv_peer_connected{peer=\"%d\"} 1\n", lead))
}

func TestHealthChecks(t *testing.T) {
	g := startGroup(t, 1)
	for path, want := range map[string]string{"/livez": "ok\n", "/healthz": "ok\n", "/readyz": "ready\n"} {
		status, text := g.get(0, path)
		require.Equal(t, 200, status, path)
		require.Equal(t, want, text)
	}
	status, _ := g.get(0, "/nosuch")
	require.Equal(t, 404, status)
}
