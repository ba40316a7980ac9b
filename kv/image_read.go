package kv

import (
	"errors"
	"fmt"

	"diskv/internal/record"
	"diskv/internal/wire"
	"diskv/shard"
)

// ImageRecord is what one record of an [Image] says, for tools that look into a
// snapshot. [Restore] is what checks a whole image.
type ImageRecord struct {
	// Kind is "state", "keys", "sessions", "end", or, of what concerns the hand-over,
	// another word.
	Kind string
	// Count is the number in the record's head: of keys or sessions in it, say.
	Count uint32
	// Slot and LogTime (ns since the Unix epoch) are those of a state.
	Slot    uint64
	LogTime int64
	// Items are the keys of a record of keys, Sessions those of one of sessions.
	Items    []ImageItem
	Sessions []ImageSession
}

// ImageItem is a key with its value. They alias the record.
type ImageItem struct {
	Key, Value []byte
	Changed    uint64 // slot at which it became what it is
	Expiry     int64  // ms since the Unix epoch, 0: never
}

// ImageSession is what is remembered of a session. The reply aliases the record.
type ImageSession struct {
	ID    SessionID
	Seq   uint64
	Shard shard.ID
	Reply []byte // in RESP3; nil: not kept
}

var recordWords = map[byte]string{
	recordState: "state", recordKeys: "keys", recordSessions: "sessions", recordEnd: "end",
	recordRemovals: "removals",
	recordGroup:    "group", recordIncoming: "incoming", recordLeaving: "leaving", recordOutgoing: "outgoing",
}

var errNoSession = errors.New("session that cannot be")

// ReadImageRecord reads one record of an image. Of those of the hand-over it says
// only what they are.
func ReadImageRecord(b []byte) (ImageRecord, error) {
	in := wire.NewReader(b)
	kind, count := record.ReadHead(in)
	rec := ImageRecord{Kind: recordWords[kind], Count: count}
	if in.Err() == nil && rec.Kind == "" {
		in.Fail(errKind)
	}
	switch kind {
	case recordState:
		rec.Slot, rec.LogTime = in.Uint64(), in.Int64()
	case recordKeys:
		for range rec.Count {
			changed := in.Uint64()
			expiry, key, value := readItem(in)
			if in.Err() != nil {
				break
			}
			rec.Items = append(rec.Items, ImageItem{Key: key, Value: value, Changed: changed, Expiry: expiry})
		}
	case recordSessions:
		for range rec.Count {
			s := ImageSession{ID: readSessionID(in), Seq: in.Uint64(), Shard: shard.ID(in.Uint16())}
			in.Fixed(2)
			s.Reply = in.Bytes(MaxSessionReply)
			if in.Err() == nil && !s.ID.IsValid() {
				in.Fail(errNoSession)
			}
			if in.Err() != nil {
				break
			}
			rec.Sessions = append(rec.Sessions, s)
		}
	default:
		in.Fixed(in.Len())
	}
	if err := in.Close(); err != nil {
		return ImageRecord{}, fmt.Errorf("record of an image: %w", err)
	}
	return rec, nil
}
