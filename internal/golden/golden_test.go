package golden_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
)

func TestHex(t *testing.T) {
	require.Equal(t, []byte{1, 2, 0xff}, golden.Hex("01 // one\n\t 02 | two\nff"))
	require.Panics(t, func() { golden.Hex("0g") })
}
