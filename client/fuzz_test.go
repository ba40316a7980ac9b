package client_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/internal/resp"
	"diskv/shard"
)

// FuzzReplies: what a member says of the cluster is never believed without a look.
func FuzzReplies(f *testing.F) {
	f.Add([]byte(slotsReply(slots{0, 8191, []string{"unix:/a", "unix:/b"}}, slots{8192, 16383, []string{"unix:/c"}})))
	f.Add([]byte("*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$2\r\n::\r\n:7379\r\n$1\r\nx\r\n*0\r\n"))
	f.Add([]byte("-MOVED 5 10.0.0.1:7379\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := resp.NewReplyReader(bytes.NewReader(in), resp.ReplyOptions{MaxReply: 1 << 16, MaxElems: 1 << 10}).ReadReply()
		if err != nil {
			return
		}
		if members, err := client.ParseSlots(v, "a:1"); err == nil {
			for _, m := range members {
				require.NoError(t, shard.CheckAddress(m))
			}
		}
		if addr, ok := client.ParseMoved(string(v.Str)); ok {
			require.NoError(t, shard.CheckAddress(addr))
		}
	})
}
