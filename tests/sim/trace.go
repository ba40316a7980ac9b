package sim

import (
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// trace is the fingerprint of everything that happened, in order, and, if
// wanted, its account in words.
type trace struct {
	sum uint64
	out io.Writer
}

// What a trace is made of.
const (
	noteStep uint64 = iota + 1
	noteSend
	noteDeliver
	noteDurable
	noteCrash
	noteStart
	noteCall
	noteReturn
	noteFault
	noteLost
	noteAsk
	noteReply
)

// note adds an event to the fingerprint.
func (t *trace) note(at time.Duration, kind, who, what uint64) {
	for _, v := range [...]uint64{uint64(at), kind, who, what} {
		t.sum = scramble(t.sum, v)
	}
}

// printf writes a line of the account.
func (w *world) printf(format string, args ...any) {
	if w.trace.out != nil {
		fmt.Fprintf(w.trace.out, "%12v  ", w.now)
		fmt.Fprintf(w.trace.out, format+"\n", args...)
	}
}

// verbose reports whether anybody reads the account, so that the words need not
// be made for nobody.
func (w *world) verbose() bool { return w.trace.out != nil }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fingerprint is the same for the same bytes in every process.
func fingerprint(b []byte) uint64 {
	return uint64(crc32.Checksum(b, castagnoli)) | uint64(len(b))<<32
}
