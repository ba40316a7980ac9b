package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/bench/load/loop"
	"diskv/tests/inproc"
)

func TestItPrintsWhatItHasSeen(t *testing.T) {
	g := inproc.Start(t, 1)
	args := []string{"--addr", strings.Join(g.Addrs, ", "), "--clients", "2", "--keys", "50", "--requests", "200", "--warmup", "0", "--reads", "0.5"}
	var out, errs bytes.Buffer
	require.NoError(t, run(t.Context(), append(args, "--json"), &out, &errs))
	var r loop.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.EqualValues(t, 200, r.Requests)
	require.Empty(t, errs.String())

	out.Reset()
	require.NoError(t, run(t.Context(), args, &out, &errs))
	for _, want := range []string{"requests/s: 200 in ", "p50", "p99.9", "writes", "failed 0"} {
		require.Contains(t, out.String(), want)
	}
}

func TestWrongFlagsAreToldInOneLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--clients", "0"}, "0 clients: must be above 0"},
		{[]string{"--addr", ","}, "no address"},
		{[]string{"5"}, `unexpected argument "5"`},
	} {
		err := run(t.Context(), c.args, &bytes.Buffer{}, &bytes.Buffer{})
		require.ErrorContains(t, err, c.want)
	}
}
