package loop

import (
	"context"
	"math/rand/v2"
	"time"
)

// store is what the load is put on.
type store interface {
	// connect returns what client number i asks through.
	connect(ctx context.Context, i int) (asker, error)
	close()
}

// asker asks on behalf of one client.
type asker interface {
	// ask sends the requests and fills in an answer for each. An error says that the
	// rest of the answers, whose at is zero, will not come; the asker can be used
	// all the same.
	ask(ctx context.Context, rs []request, as []answer) error
	close()
}

// request is a GET or a SET of a key.
type request struct {
	read bool
	key  []byte
	set  []byte // what it is set to
}

// answer says how a request ended.
type answer struct {
	at         time.Time // when it was read
	failed     string    // the first word of the error; empty: none
	missing    bool      // a GET of a key that is not there
	redirected bool      // not executed: another member leads
}

// Keys have this form: 16 bytes.
const (
	keyPrefix = "key:"
	keyDigits = 12
	maxKeys   = 1_000_000_000_000
)

// putKey makes k the name of key n.
func putKey(k []byte, n int) []byte {
	k = append(k[:0], keyPrefix+"000000000000"...)
	for i := len(k) - 1; n > 0; i-- {
		k[i] = byte('0' + n%10)
		n /= 10
	}
	return k
}

// choice makes a client's requests. Values are random bytes that no compression
// makes smaller, and each differs from the last.
type choice struct {
	o      Options
	random *rand.Rand
	next   int // with Fill: the next key
}

func newChoice(o Options, client int) *choice {
	return &choice{o: o, random: rand.New(rand.NewPCG(uint64(client), 7)), next: client}
}

// buffers returns requests whose memory is used again and again.
func (c *choice) buffers() []request {
	rs := make([]request, c.o.Pipeline)
	for i := range rs {
		v := make([]byte, c.o.ValueBytes)
		for j := range v {
			v[j] = byte(c.random.Uint32())
		}
		rs[i].set = v
	}
	return rs
}

// fill makes rs the next requests, at most limit of them, and returns them: fewer or none when
// every key is set.
func (c *choice) fill(rs []request, limit int64) []request {
	rs = rs[:min(int64(len(rs)), limit)]
	for i := range rs {
		r := &rs[i]
		if c.o.Fill {
			if c.next >= c.o.Keys {
				return rs[:i]
			}
			r.read, r.key = false, putKey(r.key, c.next)
			c.next += c.o.Clients
		} else {
			r.read = c.o.Reads > 0 && c.random.Float64() < c.o.Reads
			r.key = putKey(r.key, c.random.IntN(c.o.Keys))
		}
		if !r.read {
			for j, n := 0, c.random.Uint64(); j < min(8, len(r.set)); j++ {
				r.set[j] = byte(n >> (8 * j))
			}
		}
	}
	return rs
}
