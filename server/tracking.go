package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"diskv/kv"
	"diskv/replica"
)

// tracking knows which clients may have cached which keys (CLIENT TRACKING), so that
// they are told when one changes. It belongs to the loop.
//
// What a client reads is noted when the read is put before the replica, not when it is
// executed: a change in between invalidates once too often. A client is told behind the
// replies of its reads: see [tracker]. So whatever a client holds, a later change of it
// is behind it on the client's connection.
type tracking struct {
	keys    map[string][]*tracker
	bytes   int // of the keys, and holderBytes for each client that may hold one
	clients map[*tracker]struct{}
	origin  *tracker // whose command is being executed, if known
	store   *kv.Store
	leading bool
	expired time.Duration // when expire did something last
	clean   bool          // nothing was noted since all clients were told to forget everything

	// limit is how many keys there are at most; beyond, some are invalidated early. 0:
	// as many as there is memory for. These are for other goroutines, too.
	limit               atomic.Int64
	numClients, numKeys atomic.Int64
}

// maxTrackedBytes bounds the bytes of the keys in the table, and of who may hold them.
const maxTrackedBytes = 128 << 20

// holderBytes is what a client takes in the table for each key.
const holderBytes = 8

// defaultTrackedKeys is tracking-table-max-keys of Redis.
const defaultTrackedKeys = 1_000_000

func newTracking() *tracking {
	t := &tracking{keys: make(map[string][]*tracker), clients: make(map[*tracker]struct{})}
	t.limit.Store(defaultTrackedKeys)
	return t
}

// add begins to track for a client. While there is one the store is observed.
func (t *tracking) add(r *replica.Replica, tr *tracker) {
	t.clients[tr] = struct{}{}
	t.numClients.Store(int64(len(t.clients)))
	t.observe(r)
}

// remove ends that. What is noted for the client goes when it is met.
func (t *tracking) remove(tr *tracker) {
	delete(t.clients, tr)
	t.numClients.Store(int64(len(t.clients)))
	if len(t.clients) == 0 {
		t.numKeys.Store(0)
		clear(t.keys)
		t.bytes = 0
		if t.store != nil {
			t.store.Observe(nil)
			t.store = nil
		}
	}
}

// observe sees to it that the store of now is observed, and has clients forget all that
// they hold when it is another one, or when this member does not lead any more: then
// others may change keys, and it would learn of it late or never.
func (t *tracking) observe(r *replica.Replica) {
	if len(t.clients) == 0 {
		return
	}
	t.numKeys.Store(int64(len(t.keys)))
	_, _, leading := r.Leader()
	if t.leading && !leading {
		t.ChangedAll()
	}
	t.leading = leading
	if store := storeOf(r); store != t.store {
		if t.store != nil {
			t.store.Observe(nil)
			t.ChangedAll()
		}
		t.store = store
		store.Observe(t)
	}
}

// expiryInterval is how often a leader sees to it that keys go when their time has come,
// while somebody is to be told of it.
const expiryInterval = 20 * time.Millisecond

// expire does that. Without it a key whose time has come goes when somebody writes, or
// asks for it.
func (t *tracking) expire(r *replica.Replica, now time.Duration) {
	if len(t.keys) == 0 || t.store == nil || now-t.expired < expiryInterval {
		return
	}
	at, ok := t.store.NextExpiry()
	if clock, leading := r.LeaderTime(); ok && leading && at <= clock {
		t.expired = now
		r.AdvanceTime()
	}
}

// note notes that a client is about to read a key.
func (t *tracking) note(tr *tracker, key []byte) {
	if _, known := t.clients[tr]; !known {
		return
	}
	t.clean = false
	old, there := t.keys[string(key)]
	if !there {
		t.bytes += len(key)
	} else if slices.Contains(old, tr) {
		return
	}
	t.bytes += holderBytes * (1 - len(old))
	old = slices.DeleteFunc(old, func(o *tracker) bool {
		_, known := t.clients[o]
		return !known
	})
	t.bytes += holderBytes * len(old)
	t.keys[string(key)] = append(old, tr)
	for limit := t.limit.Load(); limit > 0 && int64(len(t.keys)) > limit || t.bytes > maxTrackedBytes; {
		for other := range t.keys { // any
			t.invalidate([]byte(other), nil)
			break
		}
	}
}

// Changed implements kv.Observer.
func (t *tracking) Changed(key []byte, expired bool) {
	by := t.origin
	if expired {
		by = nil
	}
	t.invalidate(key, by)
}

// invalidate tells those who may hold a key, but for the client that changed it, if it
// wants so.
func (t *tracking) invalidate(key []byte, by *tracker) {
	trackers, ok := t.keys[string(key)]
	if !ok {
		return
	}
	delete(t.keys, string(key))
	t.bytes -= len(key) + holderBytes*len(trackers)
	for _, tr := range trackers {
		if tr != by || !tr.noLoop {
			tr.invalidate(key)
		}
	}
}

// ChangedAll implements kv.Observer.
func (t *tracking) ChangedAll() {
	if t.clean {
		return // of many shards that are emptied in one go, the first
	}
	clear(t.keys)
	t.bytes, t.clean = 0, true
	for tr := range t.clients {
		tr.invalidateAll()
	}
}

// Executing implements replica.Attributed.
func (s keyStore) Executing(token any) (wanted bool) {
	t, ok := s.Observed().(*tracking)
	if !ok {
		return false
	}
	t.origin = nil
	if req, ok := token.(*request); ok {
		t.origin = req.batch.tracker
	}
	return true
}

// tracker is the side of tracking that belongs to one client: what it is to be told, and
// has not been yet.
//
// The client's goroutine holds sending from before a read is submitted until its reply
// has been sent. Whoever holds it sends what there is to tell, behind that.
type tracker struct {
	table   *tracking
	sending sync.Mutex // of the connection, while the client is tracked
	noLoop  bool       // it is not told of its own changes; the loop's

	mu   sync.Mutex
	keys [][]byte
	size int  // bytes of keys
	all  bool // everything; keys is empty

	wake  chan struct{} // has room for one
	done  chan struct{} // closed when it ends
	ended chan struct{} // closed when its goroutine has
}

// maxUntold is how many keys wait to be told, and maxUntoldBytes how long they are
// together. With more, everything is invalid.
const (
	maxUntold      = 10_000
	maxUntoldBytes = 4 << 20
)

func newTracker(table *tracking) *tracker {
	return &tracker{table: table, wake: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{})}
}

// invalidate has the client told to forget a key.
func (tr *tracker) invalidate(key []byte) {
	tr.mu.Lock()
	if !tr.all {
		if tr.size += len(key); len(tr.keys) < maxUntold && tr.size <= maxUntoldBytes {
			tr.keys = append(tr.keys, append([]byte(nil), key...))
		} else {
			tr.keys, tr.all = nil, true
		}
	}
	tr.mu.Unlock()
	tr.stir()
}

// invalidateAll has it told to forget everything.
func (tr *tracker) invalidateAll() {
	tr.mu.Lock()
	tr.keys, tr.all = nil, true
	tr.mu.Unlock()
	tr.stir()
}

func (tr *tracker) stir() {
	select {
	case tr.wake <- struct{}{}:
	default:
	}
}

// take returns what the client is to be told.
func (tr *tracker) take() (keys [][]byte, all bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	keys, all = tr.keys, tr.all
	tr.keys, tr.size, tr.all = nil, 0, false
	return keys, all
}

// holdsKeys tells whether this is a member of a group of the store.
func (n *Node) holdsKeys() bool {
	_, ok := n.service.(keyValue)
	return ok
}
