package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

func TestSlowlogKeepsTheNewestSlowCommands(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, func(o *server.Options) { o.Listen = "127.0.0.1:0" })
	c := g.dial(0)
	require.Equal(t, "OK", c.do("CONFIG SET slowlog-max-len 2 slowlog-log-slower-than 0"))
	require.Equal(t, "OK", c.do("CLIENT SETNAME me"))
	require.Equal(t, "OK", c.args("SET", "k", strings.Repeat("v", 200)))
	require.Equal(t, "OK", c.args(append([]string{"MSET"}, strings.Fields(strings.Repeat("{k} v ", 20))...)...))
	require.Equal(t, "OK", c.do("CONFIG SET slowlog-log-slower-than -1"))
	require.Equal(t, "2", c.do("SLOWLOG LEN"))
	v, err := c.Do("SLOWLOG", "GET")
	require.NoError(t, err)
	require.Len(t, v.Elems, 2)
	words := v.Elems[0].Elems[3]
	require.Len(t, words.Elems, 32)
	require.Equal(t, "... (10 more arguments)", string(words.Elems[31].Str))
	require.Equal(t, "me", string(v.Elems[1].Elems[5].Str))
	require.Equal(t, clientField(t, c.text("CLIENT INFO"), "addr"), string(v.Elems[1].Elems[4].Str))
	require.InDelta(t, time.Now().Unix(), v.Elems[1].Elems[1].Int, 60)
	require.Positive(t, v.Elems[1].Elems[2].Int)
	require.Equal(t, `"SET"`, show(v.Elems[1].Elems[3].Elems[0]))
	require.Equal(t, "OK", c.do("SLOWLOG RESET"))
	require.Equal(t, "[]", c.do("SLOWLOG GET -1"))

	require.Equal(t, "OK", c.do("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 100"))
	require.Equal(t, "OK", c.args("SET", "k", strings.Repeat("v", 200)))
	require.Contains(t, c.do("SLOWLOG GET 1"), `["SET" "k" "`+strings.Repeat("v", 128)+`... (72 more bytes)"]`)
}
