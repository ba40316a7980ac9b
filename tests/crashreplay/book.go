package crashreplay

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// book is the keys that clients work on. Few are open at a time; a key is closed
// after some operations, so that its history can be checked while the run goes on,
// however long that is.
type book struct {
	sealed chan<- *page // gets every page that is closed, when its last operation has ended

	mu   sync.Mutex
	open []*page
	made int
}

// page is one key.
type page struct {
	key   string
	verbs []Verb

	issued, running, unknown int
	closed                   bool
	ops                      []Op
}

const (
	openPages = 6
	// maxOps is how many operations a key gets. Checking takes time that grows fast
	// with those that overlap.
	maxOps = 48
	// maxUnknown is how many of them may stay without an answer: each may happen at any
	// time, which is what makes checking slow.
	maxUnknown = 5
)

// kindsOfKeys are what is done to keys of each kind. More than once: more often.
var kindsOfKeys = []struct {
	name  string
	verbs []Verb
}{
	{"log", []Verb{Append, Append, Append, Get, Get}},
	{"register", []Verb{Put, Put, Get, Get, Get, Delete}},
	{"count", []Verb{Incr, Incr, Get}},
}

func newBook(sealed chan<- *page) *book { return &book{sealed: sealed} }

// begin chooses a key and what to do to it. Every begin has an end.
func (b *book) begin(chance *rand.Rand) (*page, Verb) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.open) < openPages {
		kind := kindsOfKeys[b.made%len(kindsOfKeys)]
		b.made++
		b.open = append(b.open, &page{key: fmt.Sprintf("%s-%d", kind.name, b.made), verbs: kind.verbs})
	}
	i := chance.IntN(len(b.open))
	p := b.open[i]
	p.running++
	p.issued++
	verb := p.verbs[chance.IntN(len(p.verbs))]
	if p.issued >= maxOps {
		b.close(i)
	}
	return p, verb
}

// look chooses a key to read, on top of the operations that it gets; nil: none is open. It has
// an end as a begin has.
func (b *book) look(chance *rand.Rand) *page {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) == 0 {
		return nil
	}
	p := b.open[chance.IntN(len(b.open))]
	p.running++
	return p
}

// close closes the page at a place. The caller holds mu.
func (b *book) close(i int) {
	b.open[i].closed = true
	b.open = append(b.open[:i], b.open[i+1:]...)
}

// end notes the operation that was begun on p.
func (b *book) end(p *page, o Op) {
	b.mu.Lock()
	p.ops = append(p.ops, o)
	p.running--
	if o.Outcome == Unknown && o.Verb != Get {
		p.unknown++
		if p.unknown >= maxUnknown && !p.closed {
			for i := range b.open {
				if b.open[i] == p {
					b.close(i)
					break
				}
			}
		}
	}
	done := p.closed && p.running == 0
	b.mu.Unlock()
	if done {
		b.sealed <- p
	}
}

// closeAll closes all pages. No operation is under way.
func (b *book) closeAll() {
	b.mu.Lock()
	open := b.open
	b.open = nil
	b.mu.Unlock()
	for _, p := range open {
		p.closed = true
		b.sealed <- p
	}
}
