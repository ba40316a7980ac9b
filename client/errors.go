package client

import (
	"errors"
	"fmt"
	"strings"

	"diskv/internal/resp"
)

// ErrorReply is an error that the cluster answered: its first word is the code.
// It is found with errors.As.
type ErrorReply = resp.ErrorReply

// What a caller branches on, with errors.Is.
var (
	// ErrUnknownOutcome: the write may have been executed, once, or may yet be, or
	// never will. The error that wraps it says what happened. Every other error of
	// a write but [ErrReplyNotKept] means that it was not executed and will not be,
	// or, if it is an [ErrorReply] such as that of INCR on a text, that this is what
	// its execution answered.
	ErrUnknownOutcome = errors.New("outcome unknown: the write may have been executed, or may yet be")
	// ErrReplyNotKept: the write was executed, once. Its reply was lost on the way
	// and is too large (64 KiB) to be kept for a retry.
	ErrReplyNotKept = errors.New("the write was executed, but its reply is lost")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the client is closed")
)

// Causes that are no replies.
var (
	errNoRoute     = errors.New("nobody is known to serve it yet: no member leads (diskvctl status says why), or no group has its shard")
	errUnwanted    = errors.New("the connection was not needed any more")
	errSlow        = errors.New("no reply, and another member leads by now")
	errStalled     = errors.New("nothing was heard on the connection")
	errUnasked     = errors.New("a reply that nobody asked for")
	errSessionOver = errors.New("its session is about to expire")
)

// Codes of error replies: see docs/commands.md and docs/protocol.md.
const (
	codeMoved          = "MOVED"
	codeTryAgain       = "TRYAGAIN"
	codeClusterDown    = "CLUSTERDOWN"
	codeLoading        = "LOADING"
	codeUnknownResult  = "UNKNOWNRESULT"
	codeMisconf        = "MISCONF"
	codeSessionExpired = "SESSIONEXPIRED"
	codeSessionInvalid = "SESSIONINVALID"
	codeSessionLimit   = "SESSIONLIMIT"
	codeStaleSeq       = "STALESEQ"
	codeReplyNotKept   = "REPLYNOTKEPT"
	codeConfigChanged  = "CONFIGCHANGED"
)

// codeOf returns the code of the error reply in err, or nothing.
func codeOf(err error) string {
	var reply ErrorReply
	if errors.As(err, &reply) {
		return reply.Code()
	}
	return ""
}

// unexpected is the error for a reply that the command does not have.
func unexpected(what string, v Value) error {
	return fmt.Errorf("%s: unexpected reply of kind %q", what, byte(v.Kind))
}

// several is more than one error, in one line.
type several []error

func allOf(errs []error) error { return several(errs) }

func (s several) Error() string {
	texts := make([]string, len(s))
	for i, err := range s {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (s several) Unwrap() []error { return s }
