package transport

import "sync"

// queue holds what waits to be sent to one peer.
type queue struct {
	ready    chan struct{} // there may be something to send; capacity 1
	overflow chan struct{} // something was dropped for want of room; capacity 1

	mu      sync.Mutex
	lanes   [2]lane
	dropped bool // something was dropped since the last takeDropped
	writing bool // what next returned has not been written yet
	waiting []chan struct{}

	// atOnce, if it is set, writes as much of some frames as the connection takes without
	// waiting, and returns how much that was. What it began is the writer's to end.
	atOnce func(frames []byte) int
	rest   []byte  // of what was begun at once
	frames []byte  // scratch
	pieces []piece // scratch
}

// lane is one ordered queue of payloads.
type lane struct {
	waiting []outgoing
	bytes   int // of them that were not cut yet, and perPayload for each
	limit   int
}

// perPayload is what a payload is counted for besides its bytes, so that many
// empty ones have an end as well.
const perPayload = 64

// outgoing is a payload of which the first cut bytes are in frames already.
type outgoing struct {
	payload []byte
	cut     int
}

// piece is the body of one frame.
type piece struct {
	lane Lane
	body []byte
	last bool
}

func newQueue(controlBytes, bulkBytes int) *queue {
	return &queue{
		ready:    make(chan struct{}, 1),
		overflow: make(chan struct{}, 1),
		lanes:    [2]lane{{limit: controlBytes}, {limit: bulkBytes}},
	}
}

// add appends a payload, which [queue.dispatch] has written. If there is no room the lane is emptied instead, of
// the payload as well: a gap is a gap, and what comes after it is of less use
// than the room.
func (q *queue) add(to Lane, payload []byte) {
	q.mu.Lock()
	l := &q.lanes[to-LaneControl]
	full := len(l.waiting) > 0 && l.bytes+len(payload)+perPayload > l.limit
	if full {
		l.dropUncut()
		q.dropped = true
	} else {
		l.waiting = append(l.waiting, outgoing{payload: payload})
		l.bytes += len(payload) + perPayload
	}
	q.mu.Unlock()
	if full {
		poke(q.overflow)
	}
}

// maxAtOnce is how much may be written by who sends it.
const maxAtOnce = 64 << 10

// dispatch has written what was added. If nothing is before it, and it is not much, it
// is written here, as far as the connection takes it without waiting: that spares it one
// wait for a processor. The rest is the writer's.
func (q *queue) dispatch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.lanes[0].bytes + q.lanes[1].bytes
	if q.atOnce != nil && !q.writing && len(q.rest) == 0 && waiting > 0 && waiting <= maxAtOnce {
		q.pieces = q.take(q.pieces[:0])
		q.frames = appendFrames(q.frames[:0], q.pieces)
		clear(q.pieces)
		q.rest = append(q.rest, q.frames[q.atOnce(q.frames):]...)
		q.wakeIfIdle()
	}
	if q.busy() {
		poke(q.ready)
	}
}

// writeAtOnce sets how payloads may be written without the writer; nil: not at all.
func (q *queue) writeAtOnce(write func(frames []byte) int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.atOnce = write
}

// busy tells whether something waits or is being written.
func (q *queue) busy() bool {
	return q.writing || len(q.rest) > 0 || len(q.lanes[0].waiting) > 0 || len(q.lanes[1].waiting) > 0
}

// dropUncut drops everything but a payload that was begun: its other frames are
// under way.
func (l *lane) dropUncut() {
	keep := 0
	if len(l.waiting) > 0 && l.waiting[0].cut > 0 {
		keep = 1
	}
	clear(l.waiting[keep:])
	l.waiting = l.waiting[:keep]
	l.bytes = 0
	if keep == 1 {
		l.bytes = len(l.waiting[0].payload) - l.waiting[0].cut + perPayload
	}
}

// next takes what is to be written next: the rest of a frame that was begun, appended
// to dst; what waits on LaneControl, up to about a frame in all; and then what waits on
// LaneBulk up to the same measure, at least one piece. [queue.wrote] is to be called when
// it is written.
func (q *queue) next(dst []byte, pieces []piece) ([]byte, []piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	dst = append(dst, q.rest...)
	q.rest = q.rest[:0]
	pieces = q.take(pieces)
	q.writing = len(dst) > 0 || len(pieces) > 0
	return dst, pieces
}

// take takes pieces out of the lanes, as next says.
func (q *queue) take(pieces []piece) []piece {
	size := 0
	for i := range q.lanes {
		l := &q.lanes[i]
		for n := 0; len(l.waiting) > 0 && (n == 0 || size < maxFrame); n++ {
			o := &l.waiting[0]
			end := min(o.cut+maxBody, len(o.payload))
			p := piece{lane: LaneControl + Lane(i), body: o.payload[o.cut:end], last: end == len(o.payload)}
			pieces = append(pieces, p)
			size += frameHeadSize + len(p.body)
			l.bytes -= len(p.body)
			o.cut = end
			if p.last {
				l.bytes -= perPayload
				*o = outgoing{}
				l.waiting = l.waiting[1:]
			}
		}
	}
	return pieces
}

// appendFrames appends the frames of pieces.
func appendFrames(dst []byte, pieces []piece) []byte {
	for _, p := range pieces {
		dst = appendFrame(dst, kindOf(p.lane), p.last, p.body)
	}
	return dst
}

// claim has everybody wait for the writer, unless something is there for it already.
func (q *queue) claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy() {
		return false
	}
	q.writing = true
	return true
}

// wrote says that what next returned, or was claimed for, was written.
func (q *queue) wrote() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = false
	q.wakeIfIdle()
}

// clear drops everything.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = false
	q.dropped = q.dropped || len(q.rest) > 0
	q.rest = nil
	for i := range q.lanes {
		l := &q.lanes[i]
		q.dropped = q.dropped || len(l.waiting) > 0
		l.waiting, l.bytes = nil, 0
	}
	q.wakeIfIdle()
}

// takeDropped says whether anything was dropped since the last call.
func (q *queue) takeDropped() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped := q.dropped
	q.dropped = false
	return dropped
}

// bytes returns how many bytes wait.
func (q *queue) bytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.rest) + q.lanes[0].bytes + q.lanes[1].bytes
}

// idle returns a channel that is closed when nothing waits and nothing is being
// written.
func (q *queue) idle() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := make(chan struct{})
	q.waiting = append(q.waiting, c)
	q.wakeIfIdle()
	return c
}

func (q *queue) wakeIfIdle() {
	if q.busy() {
		return
	}
	for _, c := range q.waiting {
		close(c)
	}
	q.waiting = nil
}

// poke makes sure that a channel of capacity 1 holds something.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
