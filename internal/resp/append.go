package resp

import (
	"math"
	"strconv"
)

// AppendSimple appends a simple string. A line break in it becomes a space.
func AppendSimple(dst []byte, s string) []byte {
	return appendLine(append(dst, '+'), s)
}

// AppendError appends an error, such as "ERR syntax error": its first word is
// the code that clients branch on. A line break in it becomes a space.
func AppendError(dst []byte, s string) []byte {
	return appendLine(append(dst, '-'), s)
}

func appendLine(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	for i := start; i < len(dst); i++ {
		if dst[i] == '\r' || dst[i] == '\n' {
			dst[i] = ' '
		}
	}
	return append(dst, '\r', '\n')
}

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte { return appendHead(dst, KindInt, n) }

// appendHead appends a type byte, a number and CRLF.
func appendHead(dst []byte, kind Kind, n int64) []byte {
	dst = append(dst, byte(kind))
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// AppendBulk appends a bulk string: any bytes.
func AppendBulk(dst, b []byte) []byte {
	dst = appendHead(dst, KindBulk, int64(len(b)))
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

// AppendBulkString appends s as a bulk string.
func AppendBulkString(dst []byte, s string) []byte {
	dst = appendHead(dst, KindBulk, int64(len(s)))
	dst = append(dst, s...)
	return append(dst, '\r', '\n')
}

// AppendArray appends the head of an array of n elements, which follow.
func AppendArray(dst []byte, n int) []byte { return appendHead(dst, KindArray, int64(n)) }

// AppendSet appends the head of a set of n elements, which follow.
func AppendSet(dst []byte, n int) []byte { return appendHead(dst, KindSet, int64(n)) }

// AppendPush appends the head of a push message of n elements, which follow.
func AppendPush(dst []byte, n int) []byte { return appendHead(dst, KindPush, int64(n)) }

// AppendMap appends the head of a map of n pairs; n times a key and its value
// follow.
func AppendMap(dst []byte, n int) []byte { return appendHead(dst, KindMap, int64(n)) }

// AppendNull appends the null of RESP3.
func AppendNull(dst []byte) []byte { return append(dst, "_\r\n"...) }

// AppendNullArray appends the null array of RESP2, for the replies, such as
// that of an EXEC that did not happen, that RESP2 clients expect to be one.
func AppendNullArray(dst []byte) []byte { return append(dst, "*-1\r\n"...) }

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, "#t\r\n"...)
	}
	return append(dst, "#f\r\n"...)
}

// AppendDouble appends a floating-point number: the shortest decimal that reads
// back the same, or inf, -inf, nan.
func AppendDouble(dst []byte, f float64) []byte {
	dst = append(dst, ',')
	switch {
	case math.IsInf(f, 1):
		dst = append(dst, "inf"...)
	case math.IsInf(f, -1):
		dst = append(dst, "-inf"...)
	case math.IsNaN(f):
		dst = append(dst, "nan"...)
	default:
		dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	}
	return append(dst, '\r', '\n')
}

// AppendBigNumber appends an integer of any size, given in decimal.
func AppendBigNumber(dst []byte, decimal string) []byte {
	return appendLine(append(dst, '('), decimal)
}

// AppendVerbatim appends a text for people, whose format is three letters: "txt"
// or "mkd".
func AppendVerbatim(dst []byte, format, text string) []byte {
	dst = appendHead(dst, KindVerbatim, int64(len(format)+1+len(text)))
	dst = append(dst, format...)
	dst = append(dst, ':')
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// AppendCommand appends a command as a client sends it: an array of bulk
// strings.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = AppendArray(dst, len(args))
	for _, arg := range args {
		dst = AppendBulk(dst, arg)
	}
	return dst
}
