package kv

import (
	"fmt"

	"github.com/google/btree"

	"diskv/internal/resp"
	"diskv/shard"
)

// Codes of the errors that only sessions have: the first word of the reply. A
// client branches on them.
const (
	// CodeSessionExpired: the session's lifetime is over. Whether the operation was
	// executed is not known.
	CodeSessionExpired = "SESSIONEXPIRED"
	// CodeStaleSeq: a later operation of the session was executed.
	CodeStaleSeq = "STALESEQ"
	// CodeSessionInvalid: the id is from the future. Not executed.
	CodeSessionInvalid = "SESSIONINVALID"
	// CodeSessionLimit: the group remembers as many sessions as it can. Not executed.
	CodeSessionLimit = "SESSIONLIMIT"
	// CodeReplyNotKept: the operation was executed, once; its reply, which was sent
	// when it was, is too large to be remembered.
	CodeReplyNotKept = "REPLYNOTKEPT"
)

// What is remembered at most. Every replica has to agree: changing the numbers is
// a new format.
const (
	// MaxSessions is how many sessions are remembered. Further ones are refused
	// until old ones are over: an id costs a client nothing.
	MaxSessions = 1 << 20
	// MaxSessionReply is how many bytes of a reply are remembered for a retry.
	MaxSessionReply = 64 << 10
)

// session is what is remembered of one. It is never changed once it is in the
// tree: a new one replaces it.
type session struct {
	id    SessionID
	seq   uint64   // of the last operation that was executed
	reply []byte   // its reply, in RESP3; nil: not kept
	shard shard.ID // of its keys: when that moves, the reply goes along
}

func sessionLess(a, b session) bool { return a.id.Compare(b.id) < 0 }

func newSessions() *btree.BTreeG[session] { return btree.NewG(degree, sessionLess) }

// size is what the session takes in the records of an image.
func (e *session) size() int64 { return int64(len(e.reply)) + sessionOverhead }

// remember stores a session in place of what was known of it.
func (s *Store) remember(e session) {
	old, replaced := s.sessions.ReplaceOrInsert(e)
	if replaced {
		s.sessionBytes -= old.size()
		s.bytes -= old.size()
	}
	s.sessionBytes += e.size()
	s.bytes += e.size()
	s.due = min(s.due, e.id.end())
}

// applyOnce executes an operation of a session unless it was executed before.
//
// The order is part of the promise. A session that is over comes first, since it
// may be forgotten; then what is remembered, before anything that could refuse
// the operation now but did not when it was executed; then the operation itself,
// which is remembered only if it was not refused.
func (s *Store) applyOnce(dst []byte, cmd *Command, a admission, refusal string) []byte {
	now := s.now()
	if cmd.Session.expired(now) {
		return resp.AppendError(dst, fmt.Sprintf("%s session %s is older than %s: begin another one",
			CodeSessionExpired, cmd.Session, SessionLifetime))
	}
	if int64(cmd.Session.birth) > now+sessionAhead.Milliseconds() {
		return resp.AppendError(dst, fmt.Sprintf("%s session %s was born more than %s ahead of the group's time",
			CodeSessionInvalid, cmd.Session, sessionAhead))
	}
	last, known := s.sessions.Get(session{id: cmd.Session})
	switch {
	case known && cmd.Seq < last.seq:
		return resp.AppendError(dst, fmt.Sprintf("%s operation %d is older than the last of session %s, %d",
			CodeStaleSeq, cmd.Seq, cmd.Session, last.seq))
	case known && cmd.Seq == last.seq && last.reply == nil:
		return resp.AppendError(dst, fmt.Sprintf("%s operation %d of session %s was executed; its reply was larger than %d bytes",
			CodeReplyNotKept, cmd.Seq, cmd.Session, MaxSessionReply))
	case known && cmd.Seq == last.seq:
		return append(dst, last.reply...)
	case !known && s.sessions.Len() >= MaxSessions:
		return resp.AppendError(dst, fmt.Sprintf("%s the group remembers %d sessions: try later, or use fewer",
			CodeSessionLimit, MaxSessions))
	}
	start := len(dst)
	dst, executed := s.execute(dst, cmd, a, refusal)
	if !executed {
		return dst
	}
	e := session{id: cmd.Session, seq: cmd.Seq, shard: a.shard}
	if reply := dst[start:]; len(reply) <= MaxSessionReply {
		e.reply = append(make([]byte, 0, len(reply)), reply...)
	}
	s.remember(e)
	return dst
}
