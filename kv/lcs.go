package kv

import (
	"diskv/internal/resp"
)

// maxTable is how many bytes the table of an LCS has at most, whatever values may have:
// all other commands of the group wait while it is filled. Every replica has to agree:
// changing the number is a new format.
const maxTable = 64 << 20

// lcs is LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]: the longest common
// subsequence of two values.
func lcs(c *call) {
	o, ok := c.lcsOptions()
	if !ok || c.checking() {
		return
	}
	first, _ := c.get(c.args[1])
	second, _ := c.get(c.args[2])
	t := lcsTable{a: first.value(), b: second.value()}
	// Values have at most 512 MiB: the product does not overflow.
	if cells := int64(len(t.a)+1) * int64(len(t.b)+1); cells > int64(min(c.maxValue, maxTable))/4 {
		c.fail(errLCSMemory)
		return
	}
	t.fill()
	switch {
	case o.ranges:
		c.lcsRanges(&t, o)
	case o.length:
		c.out = resp.AppendInt(c.out, int64(t.length()))
	default:
		c.out = resp.AppendBulk(c.out, t.common())
	}
}

type lcsOptions struct {
	ranges, length, withLength bool
	shortest                   int64 // of the ranges that are answered
}

// lcsOptions reads the options of LCS. If they are wrong it fails and returns false.
func (c *call) lcsOptions() (o lcsOptions, ok bool) {
	for i := 3; i < len(c.args); i++ {
		switch {
		case is(c.args[i], "IDX"):
			o.ranges = true
		case is(c.args[i], "LEN"):
			o.length = true
		case is(c.args[i], "WITHMATCHLEN"):
			o.withLength = true
		case is(c.args[i], "MINMATCHLEN") && i+1 < len(c.args):
			i++
			if o.shortest, ok = c.integer(i); !ok {
				return o, false
			}
		default:
			c.fail(errSyntax)
			return o, false
		}
	}
	if o.ranges && o.length {
		c.fail(errLCSOptions)
		return o, false
	}
	return o, true
}

// lcsTable has for every beginning of a and of b the length of what they have in common.
type lcsTable struct {
	a, b  []byte
	cells []uint32
}

func (t *lcsTable) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }
func (t *lcsTable) length() uint32     { return t.at(len(t.a), len(t.b)) }

func (t *lcsTable) fill() {
	width := len(t.b) + 1
	t.cells = make([]uint32, (len(t.a)+1)*width)
	for i := 1; i <= len(t.a); i++ {
		above, row := t.cells[(i-1)*width:i*width], t.cells[i*width:(i+1)*width]
		for j := 1; j < width; j++ {
			if t.a[i-1] == t.b[j-1] {
				row[j] = above[j-1] + 1
			} else {
				row[j] = max(above[j], row[j-1])
			}
		}
	}
}

// walk calls visit with the positions in a and in b of each byte that they have in
// common, from the last one on. Of several ways it goes the one that Redis goes.
func (t *lcsTable) walk(visit func(i, j int)) {
	i, j := len(t.a), len(t.b)
	for i > 0 && j > 0 {
		switch {
		case t.a[i-1] == t.b[j-1]:
			i--
			j--
			visit(i, j)
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

// common returns the bytes that a and b have in common.
func (t *lcsTable) common() []byte {
	out := make([]byte, t.length())
	n := len(out)
	t.walk(func(i, _ int) {
		n--
		out[n] = t.a[i]
	})
	return out
}

// lcsRange is a piece that both values have: n bytes from a and b on.
type lcsRange struct{ a, b, n int }

// lcsRanges answers where in the two values the common pieces are, the last one first.
func (c *call) lcsRanges(t *lcsTable, o lcsOptions) {
	var all []lcsRange
	t.walk(func(i, j int) {
		if n := len(all); n > 0 && all[n-1].a == i+1 && all[n-1].b == j+1 {
			all[n-1] = lcsRange{i, j, all[n-1].n + 1}
			return
		}
		all = append(all, lcsRange{i, j, 1})
	})
	matches, n := []byte(nil), 0
	for _, r := range all {
		if int64(r.n) < o.shortest {
			continue
		}
		n++
		if o.withLength {
			matches = resp.AppendArray(matches, 3)
		} else {
			matches = resp.AppendArray(matches, 2)
		}
		for _, from := range []int{r.a, r.b} {
			matches = resp.AppendArray(matches, 2)
			matches = resp.AppendInt(matches, int64(from))
			matches = resp.AppendInt(matches, int64(from+r.n-1))
		}
		if o.withLength {
			matches = resp.AppendInt(matches, int64(r.n))
		}
	}
	c.out = resp.AppendMap(c.out, 2)
	c.out = resp.AppendBulkString(c.out, "matches")
	c.out = append(resp.AppendArray(c.out, n), matches...)
	c.out = resp.AppendBulkString(c.out, "len")
	c.out = resp.AppendInt(c.out, int64(t.length()))
}
