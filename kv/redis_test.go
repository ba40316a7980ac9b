package kv_test

import (
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/resp"
)

//go:embed testdata/redis.txt
var redisScripts string

// TestRepliesAreThoseThatRedisGave holds every command to replies that were recorded of
// Redis 7.0.15. To compare with a real one, or to record again after a change:
//
//	cd tests/compat && go test -run TestRepliesAreThoseOfARealRedis [-compat.record]
func TestRepliesAreThoseThatRedisGave(t *testing.T) {
	for _, script := range golden.ParseScripts(redisScripts) {
		t.Run(script.Name, func(t *testing.T) {
			m := newMachine(t)
			m.maxValue = 8 << 20 // as that Redis was told
			for _, step := range script.Steps {
				reply := m.do(step.Line)
				switch step.Mark {
				case '~':
					require.Equal(t, resp.KindInt, read(t, []byte(reply)).Kind, step.Line)
				case '?':
					v := read(t, []byte(reply))
					slices.SortFunc(v.Elems, func(a, b resp.Value) int { return strings.Compare(string(a.Str), string(b.Str)) })
					require.Equal(t, step.Reply, golden.OneLine(string(resp.AppendValue(nil, v))), step.Line)
				default:
					require.Equal(t, step.Reply, golden.OneLine(reply), step.Line)
				}
			}
		})
	}
}
