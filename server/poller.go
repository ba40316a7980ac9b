package server

import "sync"

// poller carries clients that share their goroutine: one goroutine reads what has arrived
// from any of them and puts their runs before the replica together, and one answers
// those whose runs have been executed.
type poller struct {
	node  *Node
	ready *readiness
	ended sync.WaitGroup

	mu     sync.Mutex
	byFile map[int]*shared // the one that was added last

	gathered []*shared // the loop's: their runs have been executed
	done     handedOver
}

// handedOver are clients whose runs have been executed, on their way from the loop.
type handedOver struct {
	mu      sync.Mutex
	clients []*shared
	wake    chan struct{} // has room for one
}

func newPoller(n *Node) (*poller, error) {
	ready, err := openReadiness()
	if err != nil {
		return nil, err
	}
	p := &poller{node: n, ready: ready, byFile: make(map[int]*shared)}
	p.done.wake = make(chan struct{}, 1)
	p.ended.Go(p.readAll)
	p.ended.Go(p.answerAll)
	return p, nil
}

// close ends the poller. Its clients must be gone.
func (p *poller) close() {
	p.ready.close()
	close(p.done.wake)
	p.ended.Wait()
}

// add has a client carried on when something arrives from it.
func (p *poller) add(s *shared) error {
	var failed error
	err := s.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		p.byFile[int(fd)] = s
		p.mu.Unlock()
		s.fd = int(fd)
		if failed = p.ready.add(int(fd)); failed != nil {
			p.remove(s)
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// remove forgets a client. Its file may be another's by now.
func (p *poller) remove(s *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byFile[s.fd] == s {
		delete(p.byFile, s.fd)
	}
}

// readAll carries on the clients from which something has arrived.
func (p *poller) readAll() {
	on := &carrier{inbox: p.node.inbox}
	arrivals := make([]arrival, 0, maxArrivals)
	clients := make([]*shared, 0, maxArrivals)
	for {
		var err error
		if arrivals, err = p.ready.wait(arrivals[:0]); err != nil {
			return
		}
		p.mu.Lock()
		for _, a := range arrivals {
			// It may be one that has the file of one that is gone: it looks once more.
			if s := p.byFile[a.fd]; s != nil {
				if a.odd {
					s.doubtful.Store(true)
				}
				clients = append(clients, s)
			}
		}
		p.mu.Unlock()
		for _, s := range clients {
			s.wake(on)
		}
		on.put()
		clear(clients)
		clients = clients[:0]
	}
}

// answerAll carries on the clients whose runs have been executed.
func (p *poller) answerAll() {
	on := &carrier{inbox: p.node.inbox}
	var spare []*shared
	for range p.done.wake {
		p.done.mu.Lock()
		clients := p.done.clients
		p.done.clients = spare[:0]
		p.done.mu.Unlock()
		for i, s := range clients {
			s.executed(on)
			if i%maxArrivals == maxArrivals-1 {
				on.put()
			}
		}
		on.put()
		clear(clients)
		spare = clients
	}
}

// handOver hands what the loop has gathered to answerAll. The loop calls it.
func (p *poller) handOver() {
	if len(p.gathered) == 0 {
		return
	}
	p.done.mu.Lock()
	p.done.clients = append(p.done.clients, p.gathered...)
	p.done.mu.Unlock()
	clear(p.gathered)
	p.gathered = p.gathered[:0]
	select {
	case p.done.wake <- struct{}{}:
	default:
	}
}

// carrier is a goroutine that carries clients on, one after the other, and puts their
// runs before the replica together.
type carrier struct {
	inbox  *inbox
	puts   []*shared
	inputs []input
}

// put puts the runs before the replica that have gathered.
func (on *carrier) put() {
	for len(on.puts) > 0 {
		for _, s := range on.puts {
			on.inputs = append(on.inputs, s.client.submit)
		}
		took := on.inbox.put(on.inputs...)
		clear(on.inputs)
		on.inputs = on.inputs[:0]
		runs := on.puts
		on.puts = nil
		if took {
			clear(runs)
			on.puts = runs[:0]
			return
		}
		for _, s := range runs {
			s.notTaken(on)
		}
	}
}
