package resp_test

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
)

func str(kind resp.Kind, s string) resp.Value { return resp.Value{Kind: kind, Str: []byte(s)} }

func number(n int64) resp.Value { return resp.Value{Kind: resp.KindInt, Int: n} }

// frames are replies with the bytes they have in RESP3 and in RESP2.
var frames = map[string]struct {
	value        resp.Value
	resp3, resp2 string
}{
	"simple":   {str(resp.KindSimple, "OK"), "+OK\r\n", "+OK\r\n"},
	"error":    {str(resp.KindError, "ERR no"), "-ERR no\r\n", "-ERR no\r\n"},
	"integer":  {number(-42), ":-42\r\n", ":-42\r\n"},
	"bulk":     {str(resp.KindBulk, "a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
	"empty":    {str(resp.KindBulk, ""), "$0\r\n\r\n", "$0\r\n\r\n"},
	"null":     {resp.Value{Kind: resp.KindNull}, "_\r\n", "$-1\r\n"},
	"true":     {resp.Value{Kind: resp.KindBool, Int: 1}, "#t\r\n", ":1\r\n"},
	"false":    {resp.Value{Kind: resp.KindBool}, "#f\r\n", ":0\r\n"},
	"double":   {resp.Value{Kind: resp.KindDouble, Double: 1.5}, ",1.5\r\n", "$3\r\n1.5\r\n"},
	"infinity": {resp.Value{Kind: resp.KindDouble, Double: math.Inf(-1)}, ",-inf\r\n", "$4\r\n-inf\r\n"},
	"big":      {str(resp.KindBigNumber, "123456789012345678901234567890"), "(123456789012345678901234567890\r\n", "$30\r\n123456789012345678901234567890\r\n"},
	"verbatim": {resp.Value{Kind: resp.KindVerbatim, Format: "txt", Str: []byte("hi")}, "=6\r\ntxt:hi\r\n", "$2\r\nhi\r\n"},
	"array":    {resp.Value{Kind: resp.KindArray, Elems: []resp.Value{number(1), str(resp.KindBulk, "x")}}, "*2\r\n:1\r\n$1\r\nx\r\n", "*2\r\n:1\r\n$1\r\nx\r\n"},
	"no array": {resp.Value{Kind: resp.KindArray}, "*0\r\n", "*0\r\n"},
	"set":      {resp.Value{Kind: resp.KindSet, Elems: []resp.Value{number(1)}}, "~1\r\n:1\r\n", "*1\r\n:1\r\n"},
	"push":     {resp.Value{Kind: resp.KindPush, Elems: []resp.Value{number(1)}}, ">1\r\n:1\r\n", "*1\r\n:1\r\n"},
	"map": {
		resp.Value{Kind: resp.KindMap, Elems: []resp.Value{str(resp.KindBulk, "k"), {Kind: resp.KindNull}}},
		"%1\r\n$1\r\nk\r\n_\r\n", "*2\r\n$1\r\nk\r\n$-1\r\n",
	},
	"nested": {
		resp.Value{Kind: resp.KindArray, Elems: []resp.Value{
			{Kind: resp.KindMap, Elems: []resp.Value{number(1), {Kind: resp.KindArray, Elems: []resp.Value{{Kind: resp.KindNull}}}}},
			{Kind: resp.KindBool, Int: 1},
		}},
		"*2\r\n%1\r\n:1\r\n*1\r\n_\r\n#t\r\n", "*2\r\n*2\r\n:1\r\n*1\r\n$-1\r\n:1\r\n",
	},
}

func TestFramesAreWrittenAndReadBack(t *testing.T) {
	for name, tc := range frames {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.resp3, string(resp.AppendValue(nil, tc.value)))
			require.Equal(t, "+x\r\n"+tc.resp2, string(resp.AppendRESP2([]byte("+x\r\n"), []byte(tc.resp3))))
			for _, src := range []io.Reader{strings.NewReader(tc.resp3), iotest.OneByteReader(strings.NewReader(tc.resp3))} {
				r := resp.NewReplyReader(src, resp.ReplyOptions{})
				v, err := r.ReadReply()
				require.NoError(t, err)
				require.Equal(t, tc.resp3, string(resp.AppendValue(nil, v)))
				require.Equal(t, tc.value.Kind, v.Kind)
				require.Zero(t, r.Buffered())
				_, err = r.ReadReply()
				require.ErrorIs(t, err, io.EOF)
			}
		})
	}
}

func TestAppendersWriteGoldenBytes(t *testing.T) {
	tests := map[string]struct {
		got  []byte
		want string
	}{
		"line break in a simple string": {resp.AppendSimple(nil, "a\r\nb"), "+a  b\r\n"},
		"line break in an error":        {resp.AppendError(nil, "ERR a\nb"), "-ERR a b\r\n"},
		"bulk from a string":            {resp.AppendBulkString(nil, "abc"), "$3\r\nabc\r\n"},
		"null array":                    {resp.AppendNullArray(nil), "*-1\r\n"},
		"null":                          {resp.AppendNull(nil), "_\r\n"},
		"map head":                      {resp.AppendMap(nil, 2), "%2\r\n"},
		"set head":                      {resp.AppendSet(nil, 2), "~2\r\n"},
		"push head":                     {resp.AppendPush(nil, 2), ">2\r\n"},
		"infinity":                      {resp.AppendDouble(nil, math.Inf(1)), ",inf\r\n"},
		"not a number":                  {resp.AppendDouble(nil, math.NaN()), ",nan\r\n"},
		"large double":                  {resp.AppendDouble(nil, 1e300), ",1e+300\r\n"},
		"verbatim":                      {resp.AppendVerbatim(nil, "txt", "a"), "=5\r\ntxt:a\r\n"},
		"big number":                    {resp.AppendBigNumber(nil, "-7"), "(-7\r\n"},
		"command":                       {resp.AppendCommand(nil, []byte("GET"), []byte("k")), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"},
	}
	for name, tc := range tests {
		require.Equal(t, tc.want, string(tc.got), name)
	}
}

func TestReadReplyTakesWhatOnlyServersSend(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"null bulk of RESP2":    {"$-1\r\n", "_\r\n"},
		"null array of RESP2":   {"*-1\r\n", "_\r\n"},
		"bulk error":            {"!5\r\nERR x\r\n", "-ERR x\r\n"},
		"attributes":            {"|1\r\n+ttl\r\n*1\r\n:5\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n", "*2\r\n:1\r\n:2\r\n"},
		"integer with plus":     {":+7\r\n", ":7\r\n"},
		"exponent":              {",1e3\r\n", ",1000\r\n"},
		"not a number":          {",nan\r\n", ",nan\r\n"},
		"line over the buffer":  {"+" + strings.Repeat("a", 9000) + "\r\n", "+" + strings.Repeat("a", 9000) + "\r\n"},
		"error over the buffer": {"-" + strings.Repeat("a", 60000) + "\r\n", "-" + strings.Repeat("a", 60000) + "\r\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := resp.NewReplyReader(strings.NewReader(tc.in), resp.ReplyOptions{Buffer: 64}).ReadReply()
			require.NoError(t, err)
			require.Equal(t, tc.want, string(resp.AppendValue(nil, v)))
		})
	}
}

func TestReadReplyRefusesWhatIsMalformed(t *testing.T) {
	for name, in := range map[string]string{
		"unknown type":      "?1\r\n",
		"no CR":             "+OK\n",
		"empty line":        "\r\n",
		"no integer":        ":1a\r\n",
		"no double":         ",x\r\n",
		"no bool":           "#x\r\n",
		"null with text":    "_x\r\n",
		"negative bulk":     "$-2\r\n",
		"negative array":    "*-2\r\n",
		"null map":          "%-1\r\n",
		"bulk without CRLF": "$1\r\nabcd",
		"verbatim":          "=2\r\nab\r\n",
		"too many":          "*5000000\r\n",
		"endless line":      "+" + strings.Repeat("a", 100_000),
		"too deep":          strings.Repeat("*1\r\n", 40) + ":1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := resp.NewReplyReader(strings.NewReader(in), resp.ReplyOptions{})
			_, err := r.ReadReply()
			var protocol *resp.ProtocolError
			require.ErrorAs(t, err, &protocol)
			_, again := r.ReadReply()
			require.Equal(t, err, again, "any error is final")
		})
	}
}

func TestReadReplyKeepsItsLimits(t *testing.T) {
	_, err := resp.NewReplyReader(strings.NewReader("*3\r\n$4\r\naaaa\r\n"), resp.ReplyOptions{MaxReply: 3}).ReadReply()
	var limit *resp.LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, "reply", limit.What)

	_, err = resp.NewReplyReader(strings.NewReader("*2\r\n*2\r\n:1\r\n:1\r\n:1\r\n"), resp.ReplyOptions{MaxElems: 4}).ReadReply()
	var protocol *resp.ProtocolError
	require.ErrorAs(t, err, &protocol)
}

func TestAReplyThatIsCut(t *testing.T) {
	in := "*2\r\n$3\r\nabc\r\n%1\r\n+a\r\n#t\r\n"
	for n := 1; n < len(in); n++ {
		_, err := resp.NewReplyReader(strings.NewReader(in[:n]), resp.ReplyOptions{}).ReadReply()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", n)
	}
}

func TestErrorsOfReplies(t *testing.T) {
	require.NoError(t, number(1).Err())
	err := str(resp.KindError, "MOVED 1 a:1").Err()
	var reply resp.ErrorReply
	require.ErrorAs(t, err, &reply)
	require.Equal(t, "MOVED", reply.Code())
	require.Equal(t, "OOPS", resp.ErrorReply("OOPS").Code())
	require.EqualError(t, err, "MOVED 1 a:1")
	require.True(t, resp.Value{Kind: resp.KindNull}.IsNull())
}

func TestAppendRESP2PassesAndDrops(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"null array":        {"*-1\r\n", "*-1\r\n"},
		"null bulk":         {"$-1\r\n", "$-1\r\n"},
		"several frames":    {"+a\r\n_\r\n:1\r\n", "+a\r\n$-1\r\n:1\r\n"},
		"bulk error":        {"!6\r\nERR\na\n\r\n", "-ERR a \r\n"},
		"attributes":        {"|1\r\n+k\r\n%1\r\n:1\r\n:2\r\n+v\r\n", "+v\r\n"},
		"nested attributes": {"*1\r\n|1\r\n|1\r\n:1\r\n:2\r\n+k\r\n*1\r\n_\r\n#t\r\n", "*1\r\n:1\r\n"},
		"nothing":           {"", ""},
	}
	for name, tc := range tests {
		require.Equal(t, tc.want, string(resp.AppendRESP2(nil, []byte(tc.in))), name)
	}
	for _, malformed := range []string{"x", "+a", "$5\r\nabc\r\n", "*2\r\n:1\r\n", "%-1\r\n", "*99999999\r\n", "?\r\n", "=1\r\na\r\n", "|1\r\n:1\r\n"} {
		require.Equal(t, "+x\r\n-ERR internal error: malformed reply\r\n",
			string(resp.AppendRESP2([]byte("+x\r\n"), []byte(malformed))), "%q", malformed)
	}
}

func TestParseIntHasOneSpellingPerNumber(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "7": 7, "-7": -7, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
	} {
		n, ok := resp.ParseInt([]byte(s))
		require.True(t, ok, s)
		require.Equal(t, want, n)
	}
	for _, s := range []string{
		"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "a", "9223372036854775808", "-9223372036854775809",
		"99999999999999999999",
	} {
		_, ok := resp.ParseInt([]byte(s))
		require.False(t, ok, s)
	}
}

func FuzzReadReply(f *testing.F) {
	for _, tc := range frames {
		f.Add([]byte(tc.resp3))
		f.Add([]byte(tc.resp2))
	}
	f.Add([]byte("|1\r\n+a\r\n+b\r\n:1\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := resp.NewReplyReader(bytes.NewReader(in), resp.ReplyOptions{MaxElems: 1000}).ReadReply()
		if err != nil {
			return
		}
		wire := resp.AppendValue(nil, v)
		again, err := resp.NewReplyReader(bytes.NewReader(wire), resp.ReplyOptions{}).ReadReply()
		require.NoError(t, err)
		require.Equal(t, wire, resp.AppendValue(nil, again))
	})
}

func FuzzAppendRESP2(f *testing.F) {
	for _, tc := range frames {
		f.Add([]byte(tc.resp3))
	}
	f.Add([]byte("|1\r\n+a\r\n+b\r\n:1\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := resp.AppendRESP2(nil, in)
		if len(in) == 0 || strings.HasPrefix(string(out), "-ERR internal error") {
			return
		}
		for _, kind := range "_,#!=(%~>|" {
			require.NotEqual(t, byte(kind), out[0], "only types of RESP2 come out")
		}
		require.Equal(t, out, resp.AppendRESP2(nil, out), "RESP2 passes unchanged")
	})
}

func BenchmarkAppendRESP2(b *testing.B) {
	reply := resp.AppendBulk(nil, make([]byte, 100))
	var out []byte
	for b.Loop() {
		out = resp.AppendRESP2(out[:0], reply)
	}
}
