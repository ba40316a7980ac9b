package handover

import (
	"errors"
	"strconv"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// Options are the settings of a [Mover]. Zero values stand for the defaults.
type Options struct {
	Group shard.GroupID
	// ChunkBytes is the aimed-at size of a chunk, in bytes. It is what a group that
	// receives shards puts into one command of its log. Default 256 KiB.
	ChunkBytes int
	// BatchBytes is how many bytes the shards have, about, that are frozen together, in
	// bytes: the larger, the longer each of them is served by nobody; the smaller, the
	// longer all take. Default 1 MiB.
	BatchBytes int64
	// Rate is how many bytes of shards are frozen in a second, about, so that a large
	// move leaves the disks and processors to those who use other shards. What a move
	// begins with does not wait. Default 8 MiB.
	Rate int64
	// Window is how many chunks of a stream may be proposed and not applied yet.
	// Default 4.
	Window int
	// PollInterval is the time between two questions for the next config. Default
	// 100 ms.
	PollInterval time.Duration
}

func (o *Options) setDefaults() {
	if o.ChunkBytes == 0 {
		o.ChunkBytes = 256 << 10
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = 1 << 20
	}
	if o.Rate == 0 {
		o.Rate = 8 << 20
	}
	if o.Window == 0 {
		o.Window = 4
	}
	if o.PollInterval == 0 {
		o.PollInterval = 100 * time.Millisecond
	}
}

// Request is a command for another group, or for the shardmasters. It is carried
// out by any member that answers; one that answers MOVED names the right one.
type Request struct {
	ID      uint64
	Servers []string // of the group; nil: the shardmasters
	Args    [][]byte
}

// Output is what a [Mover] wants done.
type Output struct {
	Requests []Request
	Propose  [][]byte // commands for the group's own log
}

// answerTimeout is how long a request may stay without an answer before it is
// made again, and how long a proposal may stay without an effect.
const answerTimeout = 2 * time.Second

// Codes of the errors with which others say that something is not there.
const (
	// CodeNotYet: the config has not been applied there yet, or the batch is not frozen.
	CodeNotYet = "NOTYET"
	// CodeGone: what was asked for was there, and has been let go of.
	CodeGone = "GONE"
)

// Mover is the part of a leader that moves shards.
type Mover struct {
	opts  Options
	now   time.Duration
	state kv.Handover

	lastID uint64
	asked  map[uint64]*ask

	config   ask    // the next config
	missed   uint64 // one that was asked for and is no longer kept
	own      uint64 // the last one of the group that the shardmasters have shown to have
	problem  string
	first    first
	passed   ask
	told     passed // what the shardmasters have been told
	streams  []*stream
	frozenBy time.Duration // when what was frozen so far should have been, at the rate
	freezes  []*freeze
	releases []*release

	out Output
}

// New returns a mover that has asked nothing yet.
func New(o Options) *Mover {
	o.setDefaults()
	return &Mover{opts: o, asked: make(map[uint64]*ask)}
}

// Step says what time it is, whether the replica leads its group, and where the
// group stands, and returns what is to be done. One that does not lead does
// nothing, and knows nothing any more when it leads again. Time never goes back.
func (m *Mover) Step(now time.Duration, leading bool, state kv.Handover) Output {
	if !leading {
		*m = Mover{opts: m.opts, lastID: m.lastID, asked: make(map[uint64]*ask)}
		return Output{}
	}
	m.now, m.state = now, state
	m.stepConfig()
	m.stepStreams()
	m.stepFreezes()
	m.stepReleases()
	m.stepPassed()
	out := m.out
	m.out = Output{}
	return out
}

// Answered brings the reply to a request, or says that there is none. A reply that
// comes late, or to another leader's request, is of no use and does no harm.
func (m *Mover) Answered(id uint64, reply resp.Value, err error) {
	a := m.asked[id]
	if a == nil || a.id != id {
		return
	}
	delete(m.asked, id)
	a.id = 0
	if err == nil {
		err = reply.Err()
	}
	a.answer(reply, err)
}

// ask is a question that is put again and again, one at a time.
type ask struct {
	id     uint64        // of the request under way, or zero
	at     time.Duration // when it was sent; without one, when the next may be
	delay  time.Duration // before the next, after an answer that did not help
	answer func(resp.Value, error)
}

// due reports whether the question may be put now.
func (m *Mover) due(a *ask) bool {
	if a.id != 0 && m.now >= a.at+answerTimeout {
		m.forget(a)
	}
	return a.id == 0 && m.now >= a.at
}

// put sends the question. Answer is called when the reply comes.
func (m *Mover) put(a *ask, servers []string, answer func(resp.Value, error), args ...[]byte) {
	m.lastID++
	a.id, a.at, a.answer = m.lastID, m.now, answer
	m.asked[a.id] = a
	m.out.Requests = append(m.out.Requests, Request{ID: a.id, Servers: servers, Args: args})
}

// forget gives up waiting for an answer.
func (m *Mover) forget(a *ask) {
	if a.id != 0 {
		delete(m.asked, a.id)
		a.id = 0
	}
}

// again has the question put again after a while.
func (m *Mover) again(a *ask, after time.Duration) { a.at, a.delay = m.now+after, 0 }

// backOff has the question put again later and later.
func (m *Mover) backOff(a *ask, least, most time.Duration) {
	a.delay = min(max(2*a.delay, least), most)
	a.at = m.now + a.delay
}

// propose has a command put through the group's log.
func (m *Mover) propose(command []byte) { m.out.Propose = append(m.out.Propose, command) }

// hasCode tells whether an error is an error reply of that code.
func hasCode(err error, code string) bool {
	var reply resp.ErrorReply
	return errors.As(err, &reply) && reply.Code() == code
}

func word(s string) []byte { return []byte(s) }

func number[T ~uint64 | ~int](n T) []byte {
	return strconv.AppendUint(nil, uint64(n), 10)
}
