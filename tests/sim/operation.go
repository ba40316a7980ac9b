package sim

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"diskv/kv"
	"diskv/shard"
)

// verb is what an operation does.
type verb int

// The verbs. Each kind of key has its own.
const (
	verbGet verb = iota
	verbPut
	verbPutFor // with a time to live
	verbAppend
	verbDelete
	verbIncr
	verbTransact // watch, get, and set to one more if nobody has changed it
)

// operation is one operation of a client, as the history keeps it.
type operation struct {
	number int // in the history
	client int
	verb   verb
	key    string
	arg    string
	ttl    time.Duration // of verbPutFor
	token  string        // of verbTransact; arg is what was read
	phase  int           // of verbTransact

	once    bool // in a session
	session kv.SessionID
	seq     uint64

	call, ret time.Duration // ret is never if what became of it is not known
	reply     string        // RESP3
	tries     int
	applied   time.Duration    // when the first member did, or zero
	by        *group           // that it was of
	outcome   string           // reply then
	tenure    uint64           // config with which that of the shard's owner began when this was called
	unsure    bool             // an attempt may have been executed
	then      func(*operation) // called at the end, in place of the client's next one
}

// never is when something returned that did not.
const never = time.Duration(math.MaxInt64)

func (o *operation) reads() bool { return o.verb == verbGet }

// phaseReads tells whether a phase of the operation changes nothing.
func (o *operation) phaseReads(phase int) bool {
	return o.reads() || o.verb == verbTransact && phase < phaseExec
}

func (o *operation) shard() shard.ID { return shard.Of([]byte(o.key)) }

// The phases of verbTransact: two reads, and then the write. Other operations have
// the first alone.
const (
	phaseWatch = iota
	phaseGet
	phaseExec
)

// args returns a phase of the operation as a Redis command.
func (o *operation) args(phase int) []string {
	switch o.verb {
	case verbTransact:
		if phase == phaseGet {
			break
		}
		if phase == phaseWatch {
			return []string{"DISKV.WATCH", o.key}
		}
		n, _ := strconv.ParseInt(o.arg, 10, 64) // what was read
		return []string{"DISKV.EXEC", o.key, "1", o.token, o.key, "3", "SET", o.key, strconv.FormatInt(n+1, 10), "2", "GET", o.key}
	case verbPut:
		return []string{"SET", o.key, o.arg}
	case verbPutFor:
		return []string{"SET", o.key, o.arg, "PX", strconv.FormatInt(o.ttl.Milliseconds(), 10)}
	case verbAppend:
		return []string{"APPEND", o.key, o.arg}
	case verbDelete:
		return []string{"DEL", o.key}
	case verbIncr:
		return []string{"INCR", o.key}
	}
	return []string{"GET", o.key}
}

// minLimit is the limit on a value's size that the first operation carries. The
// next one carries a higher one, and so on: this tells an observer of the log
// which operation a command is of.
const minLimit = 1 << 20

// encode returns a phase of the operation as it goes through the log, or into a query.
func (o *operation) encode(phase int) []byte {
	cmd := kv.Command{MaxValue: minLimit + uint32(o.number)}
	if o.once && !o.phaseReads(phase) {
		cmd.Session, cmd.Seq = o.session, o.seq
	}
	for _, a := range o.args(phase) {
		cmd.Args = append(cmd.Args, []byte(a))
	}
	return cmd.Append(nil)
}

func (o *operation) String() string {
	s := fmt.Sprint(o.args(o.phase))
	if o.once {
		s += fmt.Sprintf(" as operation %d of session %v", o.seq, o.session)
	}
	return s
}

// Kinds of keys, by their first letter. The checks know what can happen to each.
const (
	keyRegister = 'r' // put, append, delete, get
	keyCounter  = 'c' // incr, transact, delete, get
	keyList     = 'l' // append of unique markers, get
	keyVolatile = 'v' // put with a time to live, get
)

// maxPerKey is how many operations are done on a key before a fresh one takes its
// place: the check of a history takes time that grows faster than their number.
const maxPerKey = 120

// keyUse counts what happens to one key.
type keyUse struct {
	kind   byte
	number int // of the key in use
	name   string
	used   int
}

func (k *keyUse) renew() {
	k.number++
	k.name = fmt.Sprintf("%c%d", k.kind, k.number)
	k.used = 0
}

// nextOperation draws the next operation of a client, or returns nil if all are
// done.
func (w *world) nextOperation(c *client) *operation {
	if w.issued >= w.ops {
		return nil
	}
	w.issued++
	d := c.dice
	use := &w.keys[0]
	if !d.chance(w.load.hot) {
		use = &w.keys[d.IntN(len(w.keys))]
	}
	if use.used >= maxPerKey {
		use.renew()
	}
	use.used++
	op := &operation{client: c.id, key: use.name}
	p := d.Float64()
	if d.chance(c.reads) {
		p = 1
	}
	switch use.kind {
	case keyRegister:
		switch {
		case p < 0.35:
			op.verb = verbPut
		case p < 0.5:
			op.verb = verbAppend
		case p < 0.6:
			op.verb = verbDelete
		}
	case keyCounter:
		switch {
		case p < 0.25:
			op.verb = verbIncr
		case p < 0.65:
			op.verb = verbTransact
		case p < 0.7:
			op.verb = verbDelete
		}
	case keyList:
		if p < 0.7 {
			op.verb = verbAppend
		}
	case keyVolatile:
		if p < 0.3 {
			op.verb, op.ttl = verbPutFor, d.between(time.Millisecond, 400*time.Millisecond)
		}
	}
	if !op.reads() {
		op.arg = w.marker(d)
		if d.chance(0.4) {
			c.once(op)
		}
	}
	w.record(op)
	return op
}

// record puts an operation into the history.
func (w *world) record(op *operation) {
	op.number = len(w.history)
	w.history = append(w.history, op)
}

// marker returns a value that no other operation uses.
func (w *world) marker(d dice) string {
	w.markers++
	b := strconv.AppendInt(nil, int64(w.markers), 36)
	b = append(b, '.')
	if d.chance(0.5) {
		for range d.IntN(w.load.value) {
			b = append(b, 'x')
		}
	}
	return string(append(b, ','))
}

// once makes an operation one of the client's session. Sessions are counted in
// log time, which a client learns from answers.
func (c *client) once(op *operation) {
	if !c.session.IsValid() {
		if c.logTime == 0 {
			return
		}
		c.session = kv.NewSessionID(c.logTime, c.dice.Uint64())
	}
	c.seq++
	op.once, op.session, op.seq = true, c.session, c.seq
}
