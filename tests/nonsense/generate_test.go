package nonsense

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"diskv/internal/resp"
	"diskv/server/transport"
)

// command is what the server says of one of its commands.
type command struct {
	name        string
	arity       int
	subcommands []string
}

// commandsOf reads the reply of COMMAND. Left out is what rightly changes keys that are
// not named.
func commandsOf(v resp.Value) []command {
	var all []command
	for _, e := range v.Elems {
		c := command{name: string(e.Elems[0].Str), arity: int(e.Elems[1].Int)}
		if strings.HasPrefix(c.name, "flush") {
			continue
		}
		for _, sub := range e.Elems[9].Elems {
			_, word, _ := strings.Cut(string(sub.Elems[0].Str), "|")
			c.subcommands = append(c.subcommands, word)
		}
		all = append(all, c)
	}
	return all
}

// generator makes nonsense.
type generator struct {
	rng      *rand.Rand
	commands []command
	// wellFormed: every frame is a command, as RESP has it, so that the connection lasts.
	wellFormed bool
}

// words are arguments that mean something somewhere.
var words = strings.Fields("NX XX GT LT EX PX EXAT PXAT KEEPTTL GET COUNT MATCH TYPE LIMIT REV REPLACE DB LEN IDX MINMATCHLEN WITHMATCHLEN " +
	"ON OFF SKIP ID ADDR LADDR USER SKIPME yes no normal string AUTH SETNAME OPTIN NOLOOP FILTERBY PATTERN ACLCAT default all everything " +
	"0 1 -1 2 3 16383 16384 9223372036854775807 -9223372036854775808 18446744073709551616 1e400 nan inf 0x10 1.5 * ? [ \\ [^a-z]* {} {")

func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

// bytes returns n random bytes.
func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rng.Uint32())
	}
	return b
}

// key returns one of some keys; most have one of a few tags.
func (g *generator) key() string {
	return "{n" + strconv.Itoa(g.rng.IntN(3)) + "}k" + strconv.Itoa(g.rng.IntN(12))
}

func (g *generator) argument() []byte {
	switch g.rng.IntN(12) {
	case 0, 1, 2, 3, 4:
		return []byte(g.key())
	case 5, 6:
		return []byte(words[g.rng.IntN(len(words))])
	case 7:
		return strconv.AppendInt(nil, g.rng.Int64N(2000)-1000, 10)
	case 8:
		return strconv.AppendInt(nil, int64(g.rng.Uint64()), 10)
	case 9:
		return g.bytes(g.rng.IntN(40))
	case 10:
		if g.oneIn(20) {
			return g.bytes(g.rng.IntN(2 * maxValue))
		}
		return nil
	default:
		return []byte("v" + strconv.Itoa(g.rng.IntN(100)))
	}
}

// command returns a command of the table with random arguments, of about the number that
// it wants.
func (g *generator) command() [][]byte {
	c := g.commands[g.rng.IntN(len(g.commands))]
	args := [][]byte{[]byte(c.name)}
	if len(c.subcommands) > 0 && !g.oneIn(10) {
		args = append(args, []byte(c.subcommands[g.rng.IntN(len(c.subcommands))]))
	}
	want := max(c.arity, -c.arity)
	if c.arity < 0 || g.oneIn(10) {
		want += g.rng.IntN(5)
	}
	for len(args) < want {
		args = append(args, g.argument())
	}
	return args
}

// frame returns a piece of what a client might send, or might not.
func (g *generator) frame() []byte {
	whole := resp.AppendCommand(nil, g.command()...)
	if g.wellFormed {
		return whole
	}
	switch g.rng.IntN(20) {
	case 0: // bytes are wrong
		for range 1 + g.rng.IntN(4) {
			whole[g.rng.IntN(len(whole))] = byte(g.rng.Uint32())
		}
		return whole
	case 1: // it ends in the middle, and the next one follows
		return whole[:g.rng.IntN(len(whole))]
	case 2: // a part is missing
		i := g.rng.IntN(len(whole))
		return append(whole[:i:i], whole[min(i+1+g.rng.IntN(8), len(whole)):]...)
	case 3: // inline
		var line []byte
		for _, a := range g.command() {
			line = append(append(line, a...), ' ')
		}
		return append(line, "\r\n"...)
	case 4:
		return g.oversized()
	case 5:
		return g.bytes(1 + g.rng.IntN(200))
	default:
		return whole
	}
}

// oversized announces more than is allowed, or than comes.
func (g *generator) oversized() []byte {
	lengths := []string{"-1", "-2", "65537", "99999", "1048576", "536870912", "2147483648", "9223372036854775807", "99999999999999999999", "0x10", ""}
	length := lengths[g.rng.IntN(len(lengths))]
	if g.oneIn(2) {
		return []byte("*" + length + "\r\n$3\r\nSET\r\n$1\r\na\r\n")
	}
	b := []byte("*3\r\n$3\r\nSET\r\n$5\r\n{n0}x\r\n$" + length + "\r\n")
	return append(b, g.bytes(g.rng.IntN(4000))...)
}

// opening is what a connection begins with. Some say that they are a peer.
func (g *generator) opening() []byte {
	switch {
	case g.oneIn(8):
		return append([]byte(transport.Magic), g.bytes(g.rng.IntN(300))...)
	case g.oneIn(3):
		return []byte("HELLO 3\r\n")
	case g.oneIn(3):
		return []byte("READONLY\r\n")
	}
	return nil
}
