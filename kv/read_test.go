package kv

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/shard"
)

func TestReadHandover(t *testing.T) {
	one := &shard.Config{Num: 1, Groups: []shard.Group{{ID: 1, Servers: []string{"a:1"}}}}
	for i := range one.Owner {
		one.Owner[i] = 1
	}
	zero := &shard.Config{}
	take := AppendTakeConfig(nil, one, zero)
	require.True(t, IsHandover(take))
	h, err := ReadHandover(take)
	require.NoError(t, err)
	require.Equal(t, HandoverCommand{Name: "take", Config: 1, Taken: one, Previous: zero}, h)
	h, err = ReadHandover(AppendTakeConfig(nil, one, nil))
	require.NoError(t, err)
	require.Nil(t, h.Previous)

	head := ChunkHead{Config: 3, From: 2, To: 1, LogTime: 5, Start: []byte{}, Next: []byte{}, Last: true}
	chunk := appendChunk(nil, &head, []byte("x"))
	h, err = ReadHandover(AppendInstall(nil, 3, 2, chunk))
	require.NoError(t, err)
	require.Equal(t, HandoverCommand{Name: "install", Config: 3, Group: 2, Chunk: &head, ChunkBytes: len(chunk)}, h)
	h, err = ReadHandover(AppendInstall(nil, 3, 2, []byte("no chunk")))
	require.NoError(t, err, "it is refused when it is executed, by everybody alike")
	require.Nil(t, h.Chunk)

	h, err = ReadHandover(AppendRelease(nil, 3, 2))
	require.NoError(t, err)
	require.Equal(t, HandoverCommand{Name: "release", Config: 3, Group: 2}, h)
	h, err = ReadHandover(AppendFreeze(nil, 3, 2, 5, 1<<20))
	require.NoError(t, err)
	require.Equal(t, HandoverCommand{Name: "freeze", Config: 3, Group: 2, Batch: 5, BatchBytes: 1 << 20}, h)
	h, err = ReadHandover([]byte{handoverVersion, 99, 0, 0, 1, 2})
	require.NoError(t, err)
	require.Equal(t, "kind 99", h.Name)

	for _, bad := range [][]byte{nil, {handoverVersion}, take[:len(take)-1], append(take[:len(take):len(take)], 0), {1, 1, 0, 0}} {
		_, err := ReadHandover(bad)
		require.Error(t, err)
	}
	cmd := Command{Args: [][]byte{[]byte("get")}}
	require.False(t, IsHandover(cmd.Append(nil)))
}

func TestReadImageRecord(t *testing.T) {
	s := New()
	s.Begin(7, 9e9)
	set := Command{Args: [][]byte{[]byte("set"), []byte("k"), []byte("v"), []byte("px"), []byte("500")}}
	s.Apply(nil, set.Append(nil))
	once := Command{Session: NewSessionID(8e9, 5), Seq: 2, Args: [][]byte{[]byte("append"), []byte("k"), []byte("w")}}
	s.Apply(nil, once.Append(nil))
	var got []ImageRecord
	require.NoError(t, s.Image().Records(func(b []byte) error {
		rec, err := ReadImageRecord(append([]byte(nil), b...))
		got = append(got, rec)
		return err
	}))
	require.Equal(t, []ImageRecord{
		{Kind: "state", Count: imageFormat, Slot: 7, LogTime: 9e9},
		{Kind: "keys", Count: 1, Items: []ImageItem{{Key: []byte("k"), Value: []byte("vw"), Changed: 7, Expiry: 9500}}},
		{Kind: "sessions", Count: 1, Sessions: []ImageSession{{ID: once.Session, Seq: 2, Shard: shard.Of([]byte("k")), Reply: []byte(":2\r\n")}}},
		{Kind: "end"},
	}, got)
	for _, bad := range [][]byte{nil, {99, 0, 0, 0, 0, 0, 0, 0}, {recordKeys, 0, 0, 0, 9, 0, 0, 0}, {recordState, 0, 0, 0, 1, 0, 0, 0}} {
		_, err := ReadImageRecord(bad)
		require.Error(t, err)
	}
}

func FuzzReadForTools(f *testing.F) {
	f.Add(AppendRelease(nil, 3, 2))
	f.Add(AppendFreeze(nil, 3, 2, 5, 1<<20))
	f.Add(AppendInstall(nil, 3, 2, []byte("chunk")))
	f.Add(AppendTakeConfig(nil, &shard.Config{}, nil))
	require.NoError(f, New().Image().Records(func(b []byte) error {
		f.Add(append([]byte(nil), b...))
		return nil
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ReadHandover(b); err == nil {
			require.NotEmpty(t, h.Name)
		}
		if r, err := ReadImageRecord(b); err == nil {
			require.NotEmpty(t, r.Kind)
			require.LessOrEqual(t, len(r.Items)+len(r.Sessions), len(b))
		}
	})
}
