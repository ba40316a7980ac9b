package shardmaster

import (
	"errors"
	"fmt"
	"slices"

	"diskv/internal/record"
	"diskv/internal/wire"
	"diskv/shard"
)

// ErrRecord is wrapped by the errors of [Restore] that mean a record is wrong: the
// image was damaged, or is none of a shardmaster's. One of another release is not.
var ErrRecord = errors.New("record of a shardmaster's image is not valid")

// Restore makes a machine from the records of an [Image]. next returns one after the
// other and io.EOF behind the last; a record is not used after the next call.
func Restore(next func() ([]byte, error)) (*Machine, error) {
	r := restorer{m: &Machine{}}
	if err := record.Each(next, ErrRecord, r.record); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return r.finish()
}

var (
	errKind      = errors.New("unknown kind")
	errOrder     = errors.New("out of order")
	errIncorrect = errors.New("not as many configs or groups as the end record says")
	errCount     = errors.New("count not allowed here")
)

// restorer builds a machine from records.
type restorer struct {
	m    *Machine
	kind byte // of the record before
}

func (r *restorer) record(b []byte) error {
	in := wire.NewReader(b)
	kind, count := record.ReadHead(in)
	if in.Err() == nil && !r.follows(kind) {
		in.Fail(errOrder)
	}
	if in.Err() != nil {
		return in.Err()
	}
	r.kind = kind
	switch kind {
	case recordState:
		if count != imageFormat {
			in.Fail(record.ErrFormat)
		}
		r.m.slot, r.m.logTime = in.Uint64(), in.Int64()
	case recordConfig:
		if count != 1 {
			in.Fail(errCount)
		}
		if err := r.config(in.Fixed(in.Len())); err != nil {
			in.Fail(err)
		}
	case recordGroups:
		if count > shard.MaxGroups {
			in.Fail(errCount)
		}
		for range count {
			if !r.group(in) {
				break
			}
		}
	case recordEnd:
		if count != 0 {
			in.Fail(errCount)
		}
		configs, groups := in.Uint64(), in.Uint64()
		if in.Err() == nil && (configs != uint64(len(r.m.kept)) || groups != uint64(len(r.m.groups))) {
			in.Fail(errIncorrect)
		}
	default:
		in.Fail(errKind)
	}
	return in.Close()
}

// follows tells whether a record of a kind may come now.
func (r *restorer) follows(kind byte) bool {
	switch kind {
	case recordState:
		return r.kind == 0
	case recordConfig:
		return r.kind == recordState || r.kind == recordConfig
	case recordGroups:
		return r.kind == recordConfig
	case recordEnd:
		return r.kind == recordGroups
	}
	return r.kind != 0 // it is unknown, which is told
}

// config takes the next config.
func (r *restorer) config(b []byte) error {
	c, err := shard.DecodeConfig(b)
	switch {
	case err != nil:
		return err
	case r.m.newest == nil:
		r.m.first = c.Num
	case c.Num != r.m.newest.Num+1:
		return errOrder
	}
	r.m.newest = c
	r.m.kept = append(r.m.kept, slices.Clone(b))
	r.m.bytes += keptSize(b)
	return nil
}

// group takes one entry of a groups record and returns false on a fault.
func (r *restorer) group(in *wire.Reader) bool {
	g := group{id: shard.GroupID(in.Uint64()), joined: in.Uint64(), left: in.Uint64(), settled: in.Uint64(), drained: in.Bool()}
	if in.Uint8() != 0 {
		in.Fail(wire.ErrReserved)
	}
	g.servers = readServers(in)
	if in.Err() == nil {
		if err := shard.CheckServers(g.servers); err != nil {
			in.Fail(err)
		}
	}
	if in.Err() != nil {
		return false
	}
	r.m.groups = append(r.m.groups, g)
	r.m.bytes += g.size()
	return true
}

// finish returns the machine, if it is whole.
func (r *restorer) finish() (*Machine, error) {
	if r.kind != recordEnd {
		return nil, fmt.Errorf("restore: %w: the end record is missing", ErrRecord)
	}
	if err := r.m.fault(); err != nil {
		return nil, fmt.Errorf("restore: %w: %w", ErrRecord, err)
	}
	return r.m, nil
}
