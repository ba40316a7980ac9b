package kv

import (
	"bytes"
	"math/big"
	"strings"
)

// Numbers with a fraction are those of Redis on x86: 64 bits of mantissa, exponents of
// 15 bits. They are computed in decimals and big.Float here, which give the same bits
// on every machine.
const (
	floatMantissa    = 64
	floatMaxExponent = 16384  // of numbers 0.5 <= m < 1 times 2^exponent
	floatMinExponent = -16445 // 2^floatMinExponent is the smallest number
	floatDigits      = 17     // behind the point, as they are written

	maxFloatText = 5*1024 - 1 // bytes, as in Redis

	// No number has more digits in front of the point, or more zeros behind it: what
	// an exponent beyond asks for need not be computed.
	floatMaxDecimals = 5000
)

// parseFloat reads a number as C's strtold does: decimal or hexadecimal, with a
// fraction and an exponent or without, or an infinity. ok is false if b is none, or one
// that is too large or too small for the format.
func parseFloat(b []byte) (f *big.Float, ok bool) {
	if len(b) == 0 || len(b) > maxFloatText {
		return nil, false
	}
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	switch {
	case is(b, "INF"), is(b, "INFINITY"):
		return new(big.Float).SetInf(negative), true
	case len(b) > 2 && b[0] == '0' && (b[1] == 'x' || b[1] == 'X'):
		f, ok = parseHex(b[2:])
	default:
		f, ok = parseDecimal(b)
	}
	if !ok {
		return nil, false
	}
	if negative {
		f.Neg(f)
	}
	return f, true
}

// parseDecimal reads digits, with a point among them or not, and an exponent of ten.
func parseDecimal(b []byte) (*big.Float, bool) {
	digits, shift, ok := splitNumber(b, "eE", "0123456789")
	if !ok {
		return nil, false
	}
	if digits == "" {
		return new(big.Float).SetPrec(floatMantissa), true
	}
	if size := int64(len(digits)) + shift; size > floatMaxDecimals || size < -floatMaxDecimals {
		return nil, false
	}
	n, _ := new(big.Int).SetString(digits, 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(shift, -shift)), nil)
	// Both are exact, so that the result is rounded once.
	x, y := new(big.Float).SetInt(n), new(big.Float).SetInt(power)
	f := new(big.Float).SetPrec(floatMantissa)
	if shift < 0 {
		f.Quo(x, y)
	} else {
		f.Mul(x, y)
	}
	return f, inFormat(f)
}

// parseHex reads hexadecimal digits, with a point among them or not, and an exponent of
// two.
func parseHex(b []byte) (*big.Float, bool) {
	const hexDigits = "0123456789abcdefABCDEF"
	mantissa := b
	if i := bytes.IndexAny(b, "pP"); i >= 0 {
		mantissa = b[:i]
	}
	digits, shift, ok := splitNumber(mantissa, "", hexDigits)
	if !ok {
		return nil, false
	}
	exponent := int64(0)
	if len(mantissa) < len(b) {
		if exponent, ok = parseExponent(b[len(mantissa)+1:]); !ok {
			return nil, false
		}
	}
	f := new(big.Float).SetPrec(floatMantissa)
	if digits == "" {
		return f, true
	}
	n, _ := new(big.Int).SetString(digits, 16)
	f.SetMantExp(f.SetInt(n), int(4*shift+exponent))
	return f, inFormat(f)
}

// inFormat tells whether a number other than zero, of the right precision, is neither
// too large nor rounded to zero.
func inFormat(f *big.Float) bool {
	e := f.MantExp(nil)
	if e == floatMinExponent {
		return f.MinPrec() > 1 // half of the smallest number is rounded to zero
	}
	return e > floatMinExponent && e <= floatMaxExponent
}

// splitNumber takes a number apart: its digits, without zeros in front and without the
// point, and by how many digits they are shifted to the left. Zero has no digits.
func splitNumber(b []byte, exponentMarks, allowed string) (digits string, shift int64, ok bool) {
	if exponentMarks != "" {
		if i := bytes.IndexAny(b, exponentMarks); i >= 0 {
			if shift, ok = parseExponent(b[i+1:]); !ok {
				return "", 0, false
			}
			b = b[:i]
		}
	}
	whole, fraction, _ := strings.Cut(string(b), ".")
	digits = whole + fraction
	if digits == "" || strings.Trim(digits, allowed) != "" {
		return "", 0, false
	}
	return strings.TrimLeft(digits, "0"), shift - int64(len(fraction)), true
}

// parseExponent reads an exponent. One that is far out of range is cut to one that is
// just as much out of it, whatever the digits in front of it.
func parseExponent(b []byte) (int64, bool) {
	const far = 1_000_000
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), far)
	}
	if negative {
		n = -n
	}
	return n, true
}

// addFloats adds two numbers. ok is false if the sum is not finite.
func addFloats(a, b *big.Float) (sum *big.Float, ok bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum = new(big.Float).SetPrec(floatMantissa).Add(a, b)
	return sum, sum.MantExp(nil) <= floatMaxExponent
}

// appendFloat appends a finite number as Redis writes it: 17 digits behind the point,
// without zeros at their end, and never with an exponent.
func appendFloat(dst []byte, f *big.Float) []byte {
	start := len(dst)
	dst = f.Append(dst, 'f', floatDigits)
	dst = bytes.TrimRight(dst, "0")
	dst = bytes.TrimSuffix(dst, []byte("."))
	if string(dst[start:]) == "-0" {
		dst = append(dst[:start], '0')
	}
	return dst
}
