package resp

import "fmt"

// ProtocolError is returned for bytes that are not RESP. The stream cannot be
// followed any further: the reader returns the same error from then on, and the
// connection should be closed once the client has been told.
type ProtocolError struct {
	Reason string // in Redis' words, for instance "invalid bulk length"
}

// Error returns "Protocol error: " and the reason, which is what Redis answers
// behind "-ERR ".
func (e *ProtocolError) Error() string { return "Protocol error: " + e.Reason }

// LimitError is returned for a well-formed command or reply that is larger than
// this reader takes. Nothing of it was kept in memory. A [CommandReader] stays
// usable: its next call skips what is left of the command.
type LimitError struct {
	What  string // "argument", "command" or "reply"
	Size  int64  // bytes that were announced, or read so far
	Limit int64  // bytes allowed
}

// Error says what was too large, how large, and the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%s of %d bytes exceeds the limit of %d bytes", e.What, e.Size, e.Limit)
}
