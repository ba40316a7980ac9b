package resp

// Kind says what a [Value] is: the first byte of its frame. The zero Kind is
// invalid.
type Kind byte

// The kinds. The numbers are on the wire.
const (
	KindSimple    Kind = '+'
	KindError     Kind = '-' // and '!', an error that may hold line breaks
	KindInt       Kind = ':'
	KindBulk      Kind = '$'
	KindArray     Kind = '*'
	KindNull      Kind = '_' // and the $-1 and *-1 of RESP2
	KindDouble    Kind = ','
	KindBool      Kind = '#'
	KindBulkError Kind = '!' // only on the wire: a Value says KindError
	KindVerbatim  Kind = '='
	KindBigNumber Kind = '('
	KindMap       Kind = '%'
	KindSet       Kind = '~'
	KindPush      Kind = '>'
	KindAttribute Kind = '|' // only on the wire: attributes are read and dropped
)

// Value is one reply. Which fields hold something is told by its kind.
type Value struct {
	Kind   Kind
	Int    int64   // KindInt; KindBool: 1 or 0
	Double float64 // KindDouble
	// Str is the text of KindSimple, KindError, KindBulk, KindVerbatim (without
	// its format) and KindBigNumber. The Value owns it.
	Str []byte
	// Format is the three letters in front of a KindVerbatim.
	Format string
	// Elems are the elements of KindArray, KindSet and KindPush, and of KindMap:
	// key, value, key, value.
	Elems []Value
}

// IsNull tells whether v is null.
func (v Value) IsNull() bool { return v.Kind == KindNull }

// Err returns the error reply that v is, or nil. The caller may use it with
// errors.As: its type is [ErrorReply].
func (v Value) Err() error {
	if v.Kind == KindError {
		return ErrorReply(v.Str)
	}
	return nil
}

// ErrorReply is the text of an error that the other side answered.
type ErrorReply string

// Error returns the text, its code first.
func (e ErrorReply) Error() string { return string(e) }

// Code returns the first word of the error, such as "MOVED".
func (e ErrorReply) Code() string {
	for i := range len(e) {
		if e[i] == ' ' {
			return string(e[:i])
		}
	}
	return string(e)
}

// AppendValue appends v as RESP3.
func AppendValue(dst []byte, v Value) []byte {
	switch v.Kind {
	case KindSimple:
		return AppendSimple(dst, string(v.Str))
	case KindError, KindBulkError:
		return AppendError(dst, string(v.Str))
	case KindInt:
		return AppendInt(dst, v.Int)
	case KindBulk:
		return AppendBulk(dst, v.Str)
	case KindDouble:
		return AppendDouble(dst, v.Double)
	case KindBool:
		return AppendBool(dst, v.Int != 0)
	case KindVerbatim:
		return AppendVerbatim(dst, v.Format, string(v.Str))
	case KindBigNumber:
		return AppendBigNumber(dst, string(v.Str))
	case KindArray, KindSet, KindPush, KindMap, KindAttribute:
		n := len(v.Elems)
		if v.Kind == KindMap || v.Kind == KindAttribute {
			n /= 2
		}
		dst = appendHead(dst, v.Kind, int64(n))
		for _, e := range v.Elems {
			dst = AppendValue(dst, e)
		}
		return dst
	case KindNull:
	}
	return AppendNull(dst)
}
