// Package golden reads the bytes that tests expect of a format, written as hex
// digits with spaces, line breaks and comments:
//
//	want := golden.Hex(`
//		0900000000000000 // slot
//		02               // kind`)
//
// and the replies that they expect of commands, written as [Script]s. [Tree] reads the
// files of a directory, to compare them.
//
// It is for tests only.
package golden

import (
	"encoding/hex"
	"strings"
)

// Hex returns the bytes that s spells. White space does not count, nor what
// stands behind // or | in a line. It panics if the rest is not hex: the test is
// wrong.
func Hex(s string) []byte {
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "//")
		line, _, _ = strings.Cut(line, "|")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		panic("golden: " + err.Error())
	}
	return b
}
