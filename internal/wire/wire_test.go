package wire_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/wire"
)

func TestReaderReadsBackWhatWasAppended(t *testing.T) {
	b := []byte{7}
	b = binary.LittleEndian.AppendUint16(b, 0x1234)
	b = binary.LittleEndian.AppendUint32(b, 0xdeadbeef)
	b = binary.LittleEndian.AppendUint64(b, 1<<63)
	b = wire.AppendBool(b, true)
	b = wire.AppendBytes(b, []byte("value"))
	b = append(b, "raw"...)

	r := wire.NewReader(b)
	require.EqualValues(t, 7, r.Uint8())
	require.EqualValues(t, 0x1234, r.Uint16())
	require.Equal(t, uint32(0xdeadbeef), r.Uint32())
	require.Equal(t, uint64(1)<<63, r.Uint64())
	require.True(t, r.Bool())
	require.Equal(t, "value", string(r.Bytes(5)))
	require.Equal(t, "raw", string(r.Fixed(3)))
	require.NoError(t, r.Close())
}

func TestReaderNamesTheFirstFault(t *testing.T) {
	tests := map[string]struct {
		in   []byte
		read func(r *wire.Reader)
		want error
	}{
		"short field":     {[]byte{1, 2, 3}, func(r *wire.Reader) { r.Uint32() }, wire.ErrShort},
		"short bytes":     {[]byte{9, 0, 0, 0, 1}, func(r *wire.Reader) { r.Bytes(100) }, wire.ErrShort},
		"length too long": {[]byte{9, 0, 0, 0, 1}, func(r *wire.Reader) { r.Bytes(8) }, wire.ErrTooLong},
		"left over":       {[]byte{1, 2}, func(r *wire.Reader) { r.Uint8() }, wire.ErrTrailing},
		"no bool":         {[]byte{2}, func(r *wire.Reader) { r.Bool() }, wire.ErrBadValue},
		"count too large": {[]byte{255, 255, 255, 255, 0}, func(r *wire.Reader) { r.Count(1) }, wire.ErrShort},
		"first one stays": {[]byte{2}, func(r *wire.Reader) { r.Bool(); r.Uint64() }, wire.ErrBadValue},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := wire.NewReader(tc.in)
			tc.read(r)
			require.ErrorIs(t, r.Close(), tc.want)
		})
	}
}
