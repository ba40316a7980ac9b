package kv

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMatchIsTheGlobOfRedis(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "abc", true}, {"", "", true}, {"", "a", false}, {"**", "a", true}, {"***", "", true},
		{"abc", "abc", true}, {"abc", "abcd", false}, {"abcd", "abc", false}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"?", "", false}, {"a*c", "abcbc", true}, {"a*c", "abcb", false}, {"*b*", "abc", true}, {"*b*d", "abcbcd", true},
		{"a*b*c*", "a__b__c__", true}, {"h[ae]llo", "hello", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true},
		{"h[^e]llo", "hello", false}, {"h[a-c]llo", "hbllo", true}, {"h[c-a]llo", "hbllo", true}, {"h[a-c]llo", "hdllo", false},
		{"[a-]", "-", false}, {"[a-", "-", true}, {"[a-", "a", true}, {"[]a]", "a]", false}, {"[^]a]", "xa]", true}, {"[\\]]", "]", true},
		{"[\\-a]", "-", true}, {"[abc", "b", true}, {"[abc", "d", false}, {"[", "[", false}, {"[^", "x", true},
		{"\\*", "*", true}, {"\\*", "a", false}, {"a\\", "a\\", true}, {"\\\\", "\\", true}, {"\\a", "a", true},
		{"user:*:name", "user:17:name", true}, {"user:*:name", "user:17:nam", false}, {"*\x00*", "a\x00b", true}, {"[\x00-\xff]", "\x80", true},
	}
	for _, tc := range tests {
		require.Equal(t, tc.want, match([]byte(tc.pattern), []byte(tc.s)), "%q against %q", tc.pattern, tc.s)
	}
}

func TestMatchDoesNotRunAway(t *testing.T) {
	pattern := []byte(strings.Repeat("a*", 100) + "b")
	s := []byte(strings.Repeat("a", 20_000))
	start := time.Now()
	require.False(t, match(pattern, s))
	require.Less(t, time.Since(start), 2*time.Second)
}

// slowMatch is what match means, without thought of time.
func slowMatch(pattern, s []byte) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	if pattern[0] == '*' {
		return slowMatch(pattern[1:], s) || len(s) > 0 && slowMatch(pattern, s[1:])
	}
	if len(s) == 0 {
		return false
	}
	ok, next := matchOne(pattern, 0, s[0])
	return ok && slowMatch(pattern[next:], s[1:])
}

func FuzzMatch(f *testing.F) {
	f.Add([]byte("a*[b-d]?\\*"), []byte("axxcy*"))
	f.Add([]byte("*a*a*"), []byte("bab"))
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		if len(pattern) > 12 || len(s) > 12 {
			return
		}
		require.Equal(t, slowMatch(pattern, s), match(pattern, s), "%q against %q", pattern, s)
	})
}
