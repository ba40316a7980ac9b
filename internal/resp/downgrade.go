package resp

import "bytes"

// AppendRESP2 appends, as RESP2, the replies that resp3 holds: whole frames, any
// number of them. Null becomes $-1, a map a flat array, a set and a push an
// array, a boolean :1 or :0, a double, a big number and a verbatim string a bulk
// string, a bulk error a plain one, and attributes go. What is RESP2 already,
// the null array *-1 with it, passes unchanged.
//
// The input is what diskv itself made; should it be malformed all the same, an
// error reply takes its place, so that the client stays in step.
func AppendRESP2(dst, resp3 []byte) []byte {
	if plain(resp3) {
		return append(dst, resp3...)
	}
	start := len(dst)
	d := downgrade{in: resp3}
	for d.off < len(resp3) {
		if dst = d.frame(dst); d.bad {
			return AppendError(dst[:start], "ERR internal error: malformed reply")
		}
	}
	return dst
}

// plain tells, for the most frequent replies at the least cost, whether b is one
// frame that both versions have.
func plain(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	switch Kind(b[0]) {
	case KindSimple, KindError, KindInt:
		return bytes.IndexByte(b, '\n') == len(b)-1
	case KindBulk:
		line := bytes.IndexByte(b, '\n')
		if line < 2 {
			return false
		}
		n, ok := ParseInt(b[1 : line-1])
		return ok && n >= 0 && int64(len(b)-line-3) == n
	}
	return false
}

// downgrade walks over replies. RESP is written head first, so that a frame can
// be turned into RESP2 without knowing in what it is nested; only what belongs
// to an attribute has to be counted.
type downgrade struct {
	in  []byte
	off int
	bad bool
}

// line takes the next line off the input, without its CRLF.
func (d *downgrade) line() []byte {
	i := bytes.IndexByte(d.in[d.off:], '\n')
	if i < 2 || d.in[d.off+i-1] != '\r' {
		d.bad = true
		return nil
	}
	line := d.in[d.off : d.off+i-1]
	d.off += i + 1
	return line
}

// payload takes n bytes and CRLF off the input.
func (d *downgrade) payload(n int64) []byte {
	rest := d.in[d.off:]
	if n < 0 || n > int64(len(rest))-2 || rest[n] != '\r' || rest[n+1] != '\n' {
		d.bad = true
		return nil
	}
	d.off += int(n) + 2
	return rest[:n]
}

// frame appends one frame with everything nested in it. On a fault it sets bad.
func (d *downgrade) frame(dst []byte) []byte {
	pending := int64(1) // frames still to be taken for this one to be whole
	skipped := int64(0) // of those, frames that belong to attributes
	for pending+skipped > 0 {
		line := d.line()
		if d.bad {
			return dst
		}
		kind, rest := Kind(line[0]), line[1:]
		mark := len(dst)
		children := int64(0)
		switch kind {
		case KindSimple, KindError, KindInt:
			dst = append(append(dst, line...), '\r', '\n')
		case KindNull:
			dst = append(dst, "$-1\r\n"...)
		case KindBool:
			dst = appendHead(dst, KindInt, boolNumber(rest))
		case KindDouble, KindBigNumber:
			dst = AppendBulk(dst, rest)
		case KindBulk, KindVerbatim, KindBulkError:
			dst = d.bulk(dst, kind, rest)
		default:
			dst, children = d.aggregate(dst, kind, rest)
		}
		if d.bad {
			return dst
		}
		if kind != KindAttribute {
			children-- // this frame itself; attributes only come before one
		}
		if skipped > 0 || kind == KindAttribute {
			dst = dst[:mark]
			skipped += children
		} else {
			pending += children
		}
		// A frame is never empty: a count that the rest of the input cannot hold
		// ends here and not in an overflow.
		if pending+skipped > int64(len(d.in)-d.off) {
			d.bad = true
			return dst
		}
	}
	return dst
}

func boolNumber(b []byte) int64 {
	if len(b) == 1 && b[0] == 't' {
		return 1
	}
	return 0
}

// bulk appends what follows the head of a frame with a payload.
func (d *downgrade) bulk(dst []byte, kind Kind, head []byte) []byte {
	n, ok := ParseInt(head)
	if ok && n == -1 && kind == KindBulk {
		return append(dst, "$-1\r\n"...)
	}
	if !ok {
		n = -1
	}
	b := d.payload(n)
	switch {
	case d.bad:
		return dst
	case kind == KindBulkError:
		return AppendError(dst, string(b))
	case kind == KindVerbatim:
		if len(b) < 4 {
			d.bad = true
			return dst
		}
		b = b[4:] // three letters of format and a colon
	}
	return AppendBulk(dst, b)
}

// aggregate appends the head of an aggregate and returns how many frames are in
// it.
func (d *downgrade) aggregate(dst []byte, kind Kind, head []byte) ([]byte, int64) {
	n, ok := ParseInt(head)
	if ok && n == -1 && kind == KindArray {
		return append(dst, "*-1\r\n"...), 0
	}
	if !ok || n < 0 || n > int64(len(d.in)) {
		d.bad = true
		return dst, 0
	}
	switch kind {
	case KindArray, KindSet, KindPush:
		return appendHead(dst, KindArray, n), n
	case KindMap, KindAttribute:
		return appendHead(dst, KindArray, 2*n), 2 * n
	}
	d.bad = true
	return dst, 0
}
