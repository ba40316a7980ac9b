package resp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
)

// readAll reads commands until an error, as strings.
func readAll(r *resp.CommandReader) ([][]string, error) {
	var all [][]string
	for {
		args, err := r.ReadCommand()
		if err != nil {
			return all, err
		}
		var command []string
		for _, arg := range args {
			command = append(command, string(arg))
		}
		all = append(all, command)
	}
}

func TestReadCommandReadsWhatClientsSend(t *testing.T) {
	tests := map[string]struct {
		in   string
		want [][]string
	}{
		"one command":           {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [][]string{{"GET", "k"}}},
		"empty argument":        {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [][]string{{"ECHO", ""}}},
		"any bytes":             {"*1\r\n$4\r\n\r\n$\x00\r\n", [][]string{{"\r\n$\x00"}}},
		"pipeline":              {"*1\r\n$4\r\nPING\r\n*1\r\n$1\r\nx\r\n", [][]string{{"PING"}, {"x"}}},
		"empty arrays pass":     {"*0\r\n*-1\r\n*1\r\n$1\r\nx\r\n", [][]string{{"x"}}},
		"inline":                {"SET  k\tv \r\n", [][]string{{"SET", "k", "v"}}},
		"inline without CR":     {"PING\nPING\n", [][]string{{"PING"}, {"PING"}}},
		"empty lines pass":      {"\r\n\n  \r\nPING\r\n", [][]string{{"PING"}}},
		"inline and array":      {"PING\r\n*1\r\n$1\r\nx\r\n", [][]string{{"PING"}, {"x"}}},
		"double quotes":         {`SET "a b" "\x41\n\"\\\q"` + "\n", [][]string{{"SET", "a b", "A\n\"\\q"}}},
		"unfinished hex escape": {`ECHO "\x4" "\xzz"` + "\n", [][]string{{"ECHO", "x4", "xzz"}}},
		"single quotes":         {`SET 'a "b' 'it\'s' '\n'` + "\n", [][]string{{"SET", `a "b`, "it's", `\n`}}},
		"empty quotes":          {`SET k ""` + "\n", [][]string{{"SET", "k", ""}}},
		"quotes within a word":  {`SET k a"b c"` + "\n", [][]string{{"SET", "k", "ab c"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := map[string]io.Reader{
				"at once":      strings.NewReader(tc.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tc.in)),
				"data and EOF": iotest.DataErrReader(strings.NewReader(tc.in)),
			}
			for how, src := range sources {
				got, err := readAll(resp.NewCommandReader(src, resp.Options{Buffer: 1}))
				require.ErrorIs(t, err, io.EOF, how)
				require.Equal(t, tc.want, got, how)
			}
		})
	}
}

func TestReadCommandNamesWhatIsWrongAsRedisDoes(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"no number":             {"*x\r\n", "invalid multibulk length"},
		"huge count":            {"*1048577\r\n", "invalid multibulk length"},
		"count overflow":        {"*99999999999999999999\r\n", "invalid multibulk length"},
		"endless count":         {"*" + strings.Repeat("1", 100), "invalid multibulk length"},
		"count without CR":      {"*1\n$1\r\nx\r\n", "invalid multibulk length"},
		"empty count":           {"*\r\n", "invalid multibulk length"},
		"no bulk":               {"*1\r\n:1\r\n", "expected '$', got ':'"},
		"no printable bulk":     {"*1\r\n\x00", `expected '$', got '\x00'`},
		"null bulk":             {"*1\r\n$-1\r\n", "invalid bulk length"},
		"no length":             {"*1\r\n$a\r\n", "invalid bulk length"},
		"endless length":        {"*1\r\n$" + strings.Repeat("9", 100), "invalid bulk length"},
		"length above Redis'":   {"*1\r\n$536870913\r\n", "invalid bulk length"},
		"no CRLF behind a bulk": {"*1\r\n$1\r\nxyz", "expected CRLF behind a bulk string"},
		"open double quote":     {"SET \"a\r\n", "unbalanced quotes in request"},
		"open single quote":     {"SET 'a\r\n", "unbalanced quotes in request"},
		"text behind a quote":   {"SET \"a\"b\r\n", "unbalanced quotes in request"},
		"endless inline":        {strings.Repeat("a", 70_000), "too big inline request"},
		"long inline":           {strings.Repeat("a", 70_000) + "\n", "too big inline request"},
		"too many inline":       {strings.Repeat("a ", 6) + "\n", "too big inline request"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			opt := resp.Options{}
			if name == "too many inline" {
				opt.MaxArgs = 5
			}
			// What was right before the fault is still read.
			r := resp.NewCommandReader(strings.NewReader("PING\r\n"+tc.in), opt)
			got, err := readAll(r)
			var protocol *resp.ProtocolError
			require.ErrorAs(t, err, &protocol)
			require.Equal(t, "Protocol error: "+tc.want, protocol.Error())
			require.Equal(t, [][]string{{"PING"}}, got)
			_, again := r.ReadCommand()
			require.Equal(t, err, again, "a protocol error stays")
			require.True(t, r.Ready())
		})
	}
}

func TestReadCommandWithinACommandAtTheEnd(t *testing.T) {
	whole := "*2\r\n$3\r\nGET\r\n$200\r\n" + strings.Repeat("k", 200) + "\r\n"
	for n := 1; n < len(whole); n++ {
		_, err := resp.NewCommandReader(strings.NewReader(whole[:n]), resp.Options{Buffer: 64}).ReadCommand()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", n)
	}
}

func TestReadCommandGoesOnBehindAnArgumentThatIsTooLarge(t *testing.T) {
	big := strings.Repeat("v", 5000)
	in := fmt.Sprintf("*1\r\n$4\r\nPING\r\n*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n$2\r\nNX\r\n*1\r\n$4\r\nECHO\r\n", len(big), big)
	for _, src := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		r := resp.NewCommandReader(src, resp.Options{MaxBulk: 4999, Buffer: 64})
		got, err := readAll(r)
		require.Equal(t, [][]string{{"PING"}}, got)
		var limit *resp.LimitError
		require.ErrorAs(t, err, &limit)
		require.Equal(t, resp.LimitError{What: "argument", Size: 5000, Limit: 4999}, *limit)
		require.EqualError(t, err, "argument of 5000 bytes exceeds the limit of 4999 bytes")
		got, err = readAll(r)
		require.Equal(t, [][]string{{"ECHO"}}, got)
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestReadCommandLimitsTheWholeCommand(t *testing.T) {
	in := "*3\r\n$4\r\nMGET\r\n$3\r\naaa\r\n$3\r\nbbb\r\n*1\r\n$4\r\nPING\r\n"
	r := resp.NewCommandReader(strings.NewReader(in), resp.Options{MaxCommand: 9})
	_, err := r.ReadCommand()
	var limit *resp.LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, "command", limit.What)
	args, err := r.ReadCommand()
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("PING")}, args)
}

func TestReadCommandKeepsItsLimitsWhileItSkips(t *testing.T) {
	in := "*3\r\n$3\r\nSET\r\n$9\r\n123456789\r\n:1\r\n"
	r := resp.NewCommandReader(strings.NewReader(in), resp.Options{MaxBulk: 8})
	_, err := r.ReadCommand()
	var limit *resp.LimitError
	require.ErrorAs(t, err, &limit)
	_, err = r.ReadCommand()
	var protocol *resp.ProtocolError
	require.ErrorAs(t, err, &protocol)
}

// hostile announces much and sends little. It remembers the most memory that a
// reader offered it.
type hostile struct {
	head    string
	largest int
}

func (h *hostile) Read(b []byte) (int, error) {
	h.largest = max(h.largest, len(b))
	if h.head == "" {
		return 0, io.EOF
	}
	n := copy(b, h.head)
	h.head = h.head[n:]
	return n, nil
}

func TestALengthTakesNoMemory(t *testing.T) {
	h := &hostile{head: "*1048576\r\n$536870912\r\nx"}
	_, err := resp.NewCommandReader(h, resp.Options{}).ReadCommand()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, h.largest, 64<<10)

	h = &hostile{head: "*1048576\r\n$536870912\r\nx"}
	_, err = resp.NewReplyReader(h, resp.ReplyOptions{}).ReadReply()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, h.largest, 64<<10)
}

func TestArgumentsAreNotTouchedAgain(t *testing.T) {
	var in []byte
	for i := range 200 {
		in = resp.AppendCommand(in, []byte("SET"), []byte(fmt.Sprint("key", i)), bytes.Repeat([]byte{byte(i)}, i*7))
	}
	r := resp.NewCommandReader(bytes.NewReader(in), resp.Options{Buffer: 256})
	var all [][][]byte
	for range 200 {
		args, err := r.ReadCommand()
		require.NoError(t, err)
		for i := range args {
			// Appending to one argument must not reach its neighbour either.
			_ = append(args[i], '!')
		}
		all = append(all, args)
	}
	for i, args := range all {
		require.Equal(t, "SET", string(args[0]))
		require.Equal(t, fmt.Sprint("key", i), string(args[1]))
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, i*7), append([]byte{}, args[2]...))
	}
}

func TestReadyTellsWhetherAWholeCommandIsThere(t *testing.T) {
	in, out := io.Pipe()
	defer in.Close()
	r := resp.NewCommandReader(in, resp.Options{})
	require.False(t, r.Ready(), "nothing has arrived")
	write := func(s string) {
		go func() { _, _ = io.WriteString(out, s) }()
	}

	write("*1\r\n$1\r\na\r\n\r\n*0\r\n*1\r\n$1\r\nb\r\n*1\r\n$1\r\n")
	args, err := r.ReadCommand()
	require.NoError(t, err)
	require.Equal(t, "a", string(args[0]))
	require.True(t, r.Ready())
	require.True(t, r.Ready(), "asking changes nothing")
	args, err = r.ReadCommand()
	require.NoError(t, err)
	require.Equal(t, "b", string(args[0]))
	require.False(t, r.Ready(), "the third is not whole")

	write("c\r\n*x\r\n")
	args, err = r.ReadCommand()
	require.NoError(t, err)
	require.Equal(t, "c", string(args[0]))
	require.True(t, r.Ready(), "an error can be had without waiting too")
	_, err = r.ReadCommand()
	require.Error(t, err)
}

// flaky fails every other read, as a connection with a deadline does.
type flaky struct {
	src  io.Reader
	fail bool
}

var errFlaky = errors.New("deadline exceeded")

func (f *flaky) Read(b []byte) (int, error) {
	f.fail = !f.fail
	if f.fail {
		return 0, errFlaky
	}
	return f.src.Read(b[:1])
}

func TestReadCommandGoesOnAfterAnErrorThatPasses(t *testing.T) {
	in := resp.AppendCommand(nil, []byte("SET"), []byte("k"), bytes.Repeat([]byte("v"), 300))
	r := resp.NewCommandReader(&flaky{src: bytes.NewReader(in)}, resp.Options{Buffer: 64})
	for {
		args, err := r.ReadCommand()
		if err == nil {
			require.Len(t, args[2], 300)
			return
		}
		require.ErrorIs(t, err, errFlaky)
	}
}

// chunks reads at most a few random bytes at a time.
type chunks struct {
	src io.Reader
	rnd *rand.Rand
	max int
}

func (c *chunks) Read(b []byte) (int, error) {
	return c.src.Read(b[:min(len(b), 1+c.rnd.IntN(c.max))])
}

func TestCommandsOfAnySizeRoundTripHoweverTheyArrive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var in []byte
	var want [][][]byte
	for range 300 {
		var args [][]byte
		for range 1 + rnd.IntN(5) {
			arg := make([]byte, rnd.IntN(1<<rnd.IntN(19)))
			for i := range arg {
				arg[i] = byte(rnd.Uint32())
			}
			args = append(args, arg)
		}
		want = append(want, args)
		in = resp.AppendCommand(in, args...)
	}
	for _, most := range []int{7, 100, 5000, 100_000} {
		r := resp.NewCommandReader(&chunks{bytes.NewReader(in), rnd, most}, resp.Options{})
		for i, args := range want {
			if rnd.IntN(2) == 0 {
				r.Ready()
			}
			got, err := r.ReadCommand()
			require.NoError(t, err)
			require.Len(t, got, len(args), "command %d", i)
			for j := range args {
				require.True(t, bytes.Equal(args[j], got[j]), "command %d argument %d", i, j)
			}
		}
		_, err := r.ReadCommand()
		require.ErrorIs(t, err, io.EOF)
	}
}

func FuzzReadCommand(f *testing.F) {
	for _, seed := range []string{
		"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "SET \"a\\x41\" 'b'\r\n", "*1\r\n$-1\r\n", "*0\r\n\r\n*1\r\n$200\r\n",
		"*2\r\n$90\r\n", "*99999999\r\n", "$3\r\nabc\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const maxArgs = 8
		strict := resp.Options{MaxBulk: 100, MaxCommand: 150, MaxArgs: maxArgs, MaxInline: 200, Buffer: 64}
		read := func(src io.Reader, opt resp.Options) (all [][][]byte, errs []string) {
			r := resp.NewCommandReader(src, opt)
			for {
				args, err := r.ReadCommand()
				var limit *resp.LimitError
				switch {
				case errors.As(err, &limit):
					errs = append(errs, err.Error())
				case err != nil:
					return all, append(errs, err.Error())
				default:
					require.NotEmpty(t, args)
					require.LessOrEqual(t, len(args), maxArgs)
					all = append(all, args)
				}
			}
		}
		commands, errs := read(bytes.NewReader(in), strict)
		slow, slowErrs := read(iotest.OneByteReader(bytes.NewReader(in)), strict)
		require.Equal(t, commands, slow, "how bytes arrive changes nothing")
		require.Equal(t, errs, slowErrs)

		// What was read means the same when it is sent again.
		var again []byte
		for _, args := range commands {
			again = resp.AppendCommand(again, args...)
		}
		reread, _ := read(bytes.NewReader(again), resp.Options{})
		require.Len(t, reread, len(commands))
	})
}

func BenchmarkReadCommand(b *testing.B) {
	for _, size := range []int{100, 1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			one := resp.AppendCommand(nil, []byte("SET"), []byte("key:000000000042"), make([]byte, size))
			in := bytes.Repeat(one, 64)
			src := bytes.NewReader(in)
			r := resp.NewCommandReader(src, resp.Options{})
			b.SetBytes(int64(len(one)))
			b.ReportAllocs()
			for b.Loop() {
				if src.Len() == 0 && !r.Ready() {
					src.Reset(in)
				}
				if _, err := r.ReadCommand(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
