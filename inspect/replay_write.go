package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/snapshot"
)

// Genesis makes a snapshot the beginning of a new group.
type Genesis struct {
	Cluster uint64
	State   []byte
}

// Identity is whose state it is.
func (r *Reached) Identity() replica.Identity { return r.id }

// WriteSnapshot writes the state to a snapshot file, whole or not at all: as the member
// would have, or, with a genesis, as the beginning of a new group. A file that is there
// is replaced only if it is to be; else the error is a fs.ErrExist.
func (r *Reached) WriteSnapshot(file string, replace bool, g *Genesis) (Snapshot, error) {
	h := snapshot.Header{
		Cluster: uint64(r.id.Cluster), Group: uint64(r.id.Group), Slot: r.Slot, Config: r.image.Config(),
		LogTime: r.LogTime.UnixNano(), State: paxos.AppendHardState(nil, r.state),
	}
	if g != nil {
		h.Cluster, h.State = g.Cluster, g.State
	}
	info, err := snapshot.CreateAs(file, replace, h, r.image.Records)
	if err != nil {
		return Snapshot{}, err
	}
	return snapshotOf(info), nil
}

// Selection says which keys are written. The zero Selection is all of them.
type Selection struct {
	// Keys and Prefixes: a key that is one of them, or begins with one. Both empty: all.
	Keys, Prefixes [][]byte
	// Missing leaves alone what is there: SET ... NX.
	Missing bool
	// Now, in ms since the Unix epoch: what has expired by then is left out.
	Now int64
}

func (s *Selection) has(key []byte) bool {
	return len(s.Keys)+len(s.Prefixes) == 0 ||
		slices.ContainsFunc(s.Keys, func(k []byte) bool { return bytes.Equal(k, key) }) ||
		slices.ContainsFunc(s.Prefixes, func(p []byte) bool { return bytes.HasPrefix(key, p) })
}

// Written is what WriteCommands has written and left out.
type Written struct {
	Keys    int `json:"keys"`
	Expired int `json:"expired"` // were alive at the moment, and have expired since
}

// ErrNoKeys says that a state has no keys that clients could write.
var ErrNoKeys = errors.New("a shardmaster holds no keys: only a snapshot can be made of it")

// WriteCommands writes the keys that clients could read at the moment as commands of
// clients: SET key value, with PXAT where it expires, one RESP array each. What a session
// remembers cannot be written so, nor what was on its way to another group, which the
// other group has.
func (r *Reached) WriteCommands(w io.Writer, s Selection) (Written, error) {
	var out Written
	if r.id.Service == paxos.ServiceShardmaster {
		return out, ErrNoKeys
	}
	at := r.LogTime.UnixMilli()
	own := true // not yet at what comes from or goes to other groups
	var buf []byte
	err := r.image.Records(func(b []byte) error {
		rec, err := kv.ReadImageRecord(b)
		if err != nil {
			return err
		}
		own = own && (rec.Kind == "state" || rec.Kind == "keys")
		if !own {
			return nil
		}
		for _, it := range rec.Items {
			switch {
			case !s.has(it.Key), it.Expiry != 0 && it.Expiry <= at:
				continue
			case it.Expiry != 0 && it.Expiry <= s.Now:
				out.Expired++
				continue
			}
			out.Keys++
			buf = appendSet(buf[:0], &it, s.Missing)
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func appendSet(dst []byte, it *kv.ImageItem, missing bool) []byte {
	args := [][]byte{[]byte("SET"), it.Key, it.Value}
	if it.Expiry != 0 {
		args = append(args, []byte("PXAT"), strconv.AppendInt(nil, it.Expiry, 10))
	}
	if missing {
		args = append(args, []byte("NX"))
	}
	return resp.AppendCommand(dst, args...)
}

// Since says what has expired since, to be put behind a number of keys; empty: nothing.
func (w Written) Since() string {
	if w.Expired == 0 {
		return ""
	}
	return fmt.Sprintf(", but for %d that expired since", w.Expired)
}
