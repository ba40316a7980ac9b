package golden_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

func TestScriptsAreReadAsTheyAreWritten(t *testing.T) {
	const text = "== first\nSET k v\n\t+OK\n~ TTL k\n\t:10\n\n== second\n? KEYS *\n\t*0\n"
	scripts := golden.ParseScripts(text)
	require.Equal(t, []golden.Script{
		{Name: "first", Steps: []golden.Step{{Line: "SET k v", Reply: "+OK"}, {Mark: '~', Line: "TTL k", Reply: ":10"}}},
		{Name: "second", Steps: []golden.Step{{Mark: '?', Line: "KEYS *", Reply: "*0"}}},
	}, scripts)
	require.Equal(t, text, golden.FormatScripts(scripts))
	require.Panics(t, func() { golden.ParseScripts("SET k v\n") })
	require.Equal(t, `$3|\x00"|*1`, golden.OneLine("$3\r\n\x00\"\r\n*1\r\n"))
}
