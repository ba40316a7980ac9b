package server

import (
	"diskv/kv"
	"diskv/replica"
)

// machine is the key/value store in the form in which the replica drives it.
type machine struct{ *kv.Store }

// Image returns the present state.
func (m machine) Image() replica.Image { return m.Store.Image() }
