package explore

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"diskv/paxos"
)

// fingerprint is a digest of all that decides what a member will do. Members
// with equal fingerprints are taken for the same.
//
// The Core is read with its unexported fields, so a field that is added to it is
// part of the digest without anyone having to think of it. What is left out is
// named here, with the reason: see skipped.
func (w *world) fingerprint(m *member) [sha256.Size]byte {
	d := &dumper{out: make([]byte, 0, 4096), plans: w.plans}
	d.durable = m.durable
	d.put(reflect.ValueOf(m.core).Elem())
	d.number(m.life.Epoch, m.life.Nonce, bit(m.recovering), uint64(m.kept), bit(m.letBack != nil))
	if m.letBack != nil {
		d.sync(m.letBack.sync)
	}
	for _, b := range m.pending {
		d.sync(b.sync)
		d.records(b.records)
		d.number(uint64(len(b.after)))
		for _, n := range b.after {
			d.number(uint64(n))
		}
	}
	d.number(1 << 63)
	if m.recovering {
		// IDENTITY will change, and the same log is then read in another way.
		d.records(m.log)
	} else {
		// Logs that are replayed to the same Core are the same: what is appended
		// to both is replayed on top of that.
		d.durable, d.restoring = 0, true
		d.put(reflect.ValueOf(w.restored(m, &effects{})).Elem())
	}
	return sha256.Sum256(d.out)
}

// skipped are fields of Core, and of what it holds, that do not decide what a
// member will do here. All times are left out too (see member), and so is the
// backoff before a resend, which is shorter than the time between two inputs.
var skipped = map[string]bool{
	"Core.cfg":  true, // the same for the member's whole life, but for what is in IDENTITY
	"Core.wall": true, // always zero
	// There are no reads, and the rounds of messages are zero: see carried.
	"leadership.round": true, "leadership.confirmed": true, "leadership.rounds": true,
	"leadership.readRounds": true, "progress.sentRound": true,
}

// onlyRestoring are fields that are read until Start only.
var onlyRestoring = map[string]bool{"Core.logged": true}

// syncNumbers are fields that number a sync. How many there were before does not
// matter: one that has ended is as good as another.
var syncNumbers = map[string]bool{
	"Core.issued": true, "Core.durable": true, "heldEntry.sync": true, "election.sync": true, "Ready.Sync": true,
}

type dumper struct {
	out       []byte
	durable   uint64
	restoring bool
	plans     map[reflect.Type][]treatment
}

// treatment is what is done with a field.
type treatment uint8

const (
	whole treatment = iota
	leaveOut
	whileRestoring
	asSync
)

// plan says what to do with the fields of a struct.
func plan(t reflect.Type) []treatment {
	out := make([]treatment, t.NumField())
	for i := range out {
		switch name := t.Name() + "." + t.Field(i).Name; {
		case skipped[name]:
			out[i] = leaveOut
		case onlyRestoring[name]:
			out[i] = whileRestoring
		case syncNumbers[name]:
			out[i] = asSync
		}
	}
	return out
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (d *dumper) number(ns ...uint64) {
	for _, n := range ns {
		d.out = binary.LittleEndian.AppendUint64(d.out, n)
	}
}

func (d *dumper) sync(n uint64) { d.number(max(n, d.durable) - d.durable) }

func (d *dumper) records(rs []record) {
	d.number(uint64(len(rs)))
	for _, r := range rs {
		var b []byte
		if r.state != nil {
			b = paxos.AppendHardState(b, *r.state)
		} else {
			b = paxos.AppendEntry(binary.LittleEndian.AppendUint64([]byte{0}, uint64(r.commit)), r.entry)
		}
		d.number(uint64(len(b)))
		d.out = append(d.out, b...)
	}
}

// put appends v. Every variable part has its length before it, so two values
// that differ are never written alike.
func (d *dumper) put(v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[*rand.Rand]():
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		d.out = append(d.out, byte(bit(v.Bool())))
	case reflect.Int, reflect.Int64:
		d.number(uint64(v.Int()))
	case reflect.Uint8:
		d.out = append(d.out, byte(v.Uint()))
	case reflect.Uint64:
		d.number(v.Uint())
	case reflect.String:
		d.number(uint64(v.Len()))
		d.out = append(d.out, v.String()...)
	case reflect.Array:
		// Most are: of members that there are not, of votes not yet given.
		zero := v.IsZero()
		d.out = append(d.out, byte(bit(zero)))
		if zero {
			return
		}
		for i := range v.Len() {
			d.put(v.Index(i))
		}
	case reflect.Slice:
		d.number(uint64(v.Len()))
		for i := range v.Len() {
			d.put(v.Index(i))
		}
	case reflect.Map:
		d.number(uint64(v.Len()))
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.Uint(), b.Uint()) })
		for _, k := range keys {
			d.put(k)
			d.put(v.MapIndex(k))
		}
	case reflect.Pointer:
		d.number(bit(!v.IsNil()))
		if !v.IsNil() {
			d.put(v.Elem())
		}
	case reflect.Struct:
		d.fields(v)
	case reflect.Interface:
		if !v.IsNil() {
			panic("explore: a message is left in a Core whose Ready was taken")
		}
	default:
		panic(fmt.Sprintf("explore: a Core holds a %v: teach fingerprint what it means", v.Type()))
	}
}

func (d *dumper) fields(v reflect.Value) {
	p, ok := d.plans[v.Type()]
	if !ok {
		p = plan(v.Type())
		d.plans[v.Type()] = p
	}
	for i, t := range p {
		switch {
		case t == leaveOut, t == whileRestoring && !d.restoring:
		case t == asSync:
			d.sync(v.Field(i).Uint())
		default:
			d.put(v.Field(i))
		}
	}
}
