package kv

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWordsAreWhatWasPrepared: a command that is sent on says the same.
func TestWordsAreWhatWasPrepared(t *testing.T) {
	id := NewSessionID(1_000_000_000, 7)
	for _, words := range [][]string{
		{"SET", "k", "v"},
		{"DISKV.ONCE", "k", id.String(), "12", "APPEND", "k", "v"},
	} {
		var args [][]byte
		for _, w := range words {
			args = append(args, []byte(w))
		}
		p, refusal := Prepare(args)
		require.Nil(t, refusal)
		sent, err := DecodeCommand(p.Command.Append(nil))
		require.NoError(t, err)
		require.Equal(t, args, sent.Words())
	}
}
