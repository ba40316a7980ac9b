// Package resp reads and writes the Redis protocol, RESP2 and RESP3, as bytes:
// it has no connections and no commands of its own.
//
// It serves both sides. A server reads commands and appends replies:
//
//	r := resp.NewCommandReader(conn, resp.Options{MaxBulk: 8 << 20})
//	for {
//		args, err := r.ReadCommand()
//		if err != nil {
//			break // a *ProtocolError and a *LimitError have words for the client
//		}
//		out = resp.AppendBulk(out, args[0])
//		if !r.Ready() { // nothing more is pipelined: time to flush
//			conn.Write(out)
//			out = out[:0]
//		}
//	}
//
// A client appends commands with [AppendCommand] and reads replies with a
// [ReplyReader].
//
// Guarantees: no length is believed before its bytes have arrived, so a hostile
// peer can make a reader hold no more than a small multiple of what it sent and
// never more than the limits in [Options]; malformed input gives a typed error,
// never a panic; what a reader returns belongs to the caller for as long as it
// likes.
//
// Inside diskv every reply is made in RESP3, the richer of the two.
// [AppendRESP2] turns one into RESP2 for a client that did not ask for RESP3.
//
// What a frame looks like is told by its first byte ([Kind]); a number in
// decimal and CRLF follow:
//
//	+OK\r\n            simple string      :42\r\n             integer
//	-ERR text\r\n      error              $3\r\nabc\r\n       bulk string
//	*2\r\n ...         array              _\r\n               null
//	%1\r\n k v         map                ~2\r\n ...          set
//	>2\r\n ...         push               |1\r\n k v          attributes of what follows
//	,1.5\r\n           double             #t\r\n              boolean
//	(123\r\n           big number         =7\r\ntxt:abc\r\n   verbatim string
//	!5\r\nERR x\r\n    error as a bulk    $-1\r\n and *-1\r\n null in RESP2
package resp
