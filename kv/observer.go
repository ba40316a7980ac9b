package kv

// Observer is told what changes while a store applies its log, by a process that keeps
// others up to date about it. It is no part of the state, and has no say in it.
type Observer interface {
	// Changed is called when a key was put or is not there any more, for whatever reason.
	// The key is only lent. Expired: it has gone by itself, in whatever command's time.
	Changed(key []byte, expired bool)
	// ChangedAll is called instead of that when any keys may have changed: a shard was
	// emptied, or has left or arrived.
	ChangedAll()
}

// Observe has an observer told of what happens from now on; nil ends that. A store that
// was restored has none.
func (s *Store) Observe(o Observer) { s.observer = o }

// Observed returns who observes the store, or nil.
func (s *Store) Observed() Observer { return s.observer }

func (s *Store) changed(key []byte) {
	if s.observer != nil {
		s.observer.Changed(key, s.reaping)
	}
}

func (s *Store) changedAll() {
	if s.observer != nil {
		s.observer.ChangedAll()
	}
}
