package kv

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"diskv/internal/wire"
)

// SessionLifetime is how long, from its birth, a session is remembered: exactly
// that long, so that an unknown session can only be a new one. Every replica has
// to agree: changing it is a new format.
const SessionLifetime = time.Hour

// sessionAhead is how far ahead of log time a birth may be, for a leader's clock
// that is not the next leader's. Without a bound a client could make the group
// remember it for ever.
const sessionAhead = time.Minute

// SessionID names a session of a client, which numbers its operations 1, 2, 3, ...
// and has one of them under way at a time. The group remembers the number and the
// reply of the last one: a retry gets the same reply and is not applied again, an
// older number is refused, and so is the whole session when its lifetime is over.
// A number may be left out, never used twice for different operations.
//
// The id is the birth of the session in log time and 64 random bits. The zero
// SessionID is invalid.
type SessionID struct {
	birth  uint64 // ms since the Unix epoch
	random uint64
}

// NewSessionID returns the id of a session that is born at the given log time, in
// ns since the Unix epoch, with 64 bits that nobody else has.
func NewSessionID(birth int64, random uint64) SessionID {
	return SessionID{birth: uint64(max(birth, 0)) / nanosPerMilli, random: random}
}

// IsValid tells whether id names a session.
func (id SessionID) IsValid() bool { return id != SessionID{} }

// Birth returns when the session was born, in ns since the Unix epoch of log time.
func (id SessionID) Birth() int64 { return int64(id.birth) * nanosPerMilli }

// Compare orders by birth, then by the random bits.
func (id SessionID) Compare(other SessionID) int {
	return cmp.Or(cmp.Compare(id.birth, other.birth), cmp.Compare(id.random, other.random))
}

// String returns the id as 32 hex digits.
func (id SessionID) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], id.birth)
	binary.BigEndian.PutUint64(b[8:], id.random)
	return hex.EncodeToString(b[:])
}

// ParseSessionID is the inverse of [SessionID.String].
func ParseSessionID(s []byte) (SessionID, error) {
	var b [16]byte
	if len(s) != hex.EncodedLen(len(b)) {
		return SessionID{}, fmt.Errorf("session id has %d characters instead of %d", len(s), hex.EncodedLen(len(b)))
	}
	if _, err := hex.Decode(b[:], s); err != nil {
		return SessionID{}, fmt.Errorf("session id: %w", err)
	}
	id := SessionID{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
	if !id.IsValid() || id.birth > maxBirth {
		return SessionID{}, fmt.Errorf("session id %s was never given out", id)
	}
	return id, nil
}

// maxBirth is the last ms that log time can reach.
const maxBirth = (1<<63 - 1) / nanosPerMilli

// end returns the ms of log time from which on the session is forgotten.
func (id SessionID) end() int64 { return int64(id.birth) + SessionLifetime.Milliseconds() }

// expired tells whether the session is over at a log time in ms.
func (id SessionID) expired(now int64) bool { return now >= id.end() }

// append appends the 16 bytes that id has in the log and in snapshots.
func (id SessionID) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, id.birth)
	return binary.LittleEndian.AppendUint64(dst, id.random)
}

func readSessionID(r *wire.Reader) SessionID {
	id := SessionID{r.Uint64(), r.Uint64()}
	if id.birth > maxBirth {
		r.Fail(wire.ErrBadValue)
	}
	return id
}
