package record_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/record"
	"diskv/internal/wire"
)

// TestHeadsHaveGoldenBytes: they are on disk and can never change.
func TestHeadsHaveGoldenBytes(t *testing.T) {
	want := golden.Hex("07 000000 2a010000")
	b := record.AppendHead(nil, 7, 298)
	require.Equal(t, want, b)
	require.Len(t, b, record.HeadBytes)
	kind, count := record.ReadHead(wire.NewReader(b))
	require.EqualValues(t, 7, kind)
	require.EqualValues(t, 298, count)
	record.SetCount(b, 3)
	require.Equal(t, golden.Hex("07 000000 03000000"), b)

	for _, bad := range []string{"07", "07 000000 000000", "07 000100 00000000"} {
		r := wire.NewReader(golden.Hex(bad))
		record.ReadHead(r)
		require.Error(t, r.Err(), bad)
	}
	r := wire.NewReader(golden.Hex("07 000100 00000000"))
	record.ReadHead(r)
	require.ErrorIs(t, r.Err(), wire.ErrReserved)
}

// TestEachSaysWhichRecord: an error of the source is told from one of a record.
func TestEachSaysWhichRecord(t *testing.T) {
	invalid, broken := errors.New("invalid"), errors.New("broken")
	source := func(records ...string) func() ([]byte, error) {
		return func() ([]byte, error) {
			if len(records) == 0 {
				return nil, io.EOF
			}
			b := records[0]
			records = records[1:]
			if b == "" {
				return nil, broken
			}
			return []byte(b), nil
		}
	}
	var seen []string
	take := func(b []byte) error {
		if string(b) == "bad" {
			return errors.New("why")
		}
		seen = append(seen, string(b))
		return nil
	}
	require.NoError(t, record.Each(source("a", "b"), invalid, take))
	require.Equal(t, []string{"a", "b"}, seen)

	err := record.Each(source("a", "bad", "c"), invalid, take)
	require.EqualError(t, err, "record 1: invalid: why")
	require.ErrorIs(t, err, invalid)
	err = record.Each(source("a", ""), invalid, take)
	require.EqualError(t, err, "record 1: broken")
	require.NotErrorIs(t, err, invalid)
	require.ErrorIs(t, err, broken)
	require.Equal(t, []string{"a", "b", "a", "a"}, seen)
}

func TestDigestIsOfAllRecords(t *testing.T) {
	got := record.Digest(func(add func([]byte) error) error {
		return errors.Join(add([]byte("ab")), add([]byte("c")))
	})
	require.Equal(t, sha256.Sum256([]byte("abc")), got)
}
