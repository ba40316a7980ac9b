package loop

import (
	"errors"
	"fmt"
	"time"
)

// Options say what load there is to be.
type Options struct {
	Addrs []string // of one server, or of the members of a group
	Etcd  bool     // they speak etcd's protocol instead of RESP
	Conns int      // connections that etcd's clients share; 0: one

	Clients    int     // each sends its next requests when its last ones are answered
	Pipeline   int     // requests that a client sends at once; 1 with etcd, which has no pipelines
	ValueBytes int     // length of a value
	Keys       int     // different keys, chosen evenly at random
	Reads      float64 // share of GET, from 0 to 1; the rest is SET

	Fill     bool          // instead of all that is random: set every key once, without a warm-up
	Duration time.Duration // how long it is measured
	Requests int64         // instead of Duration: how many requests; 0: as many as there are
	Warmup   time.Duration // of the same load before it is measured
	Timeout  time.Duration // after which an answer is not waited for any more
}

// Check returns what is wrong with the options.
func (o Options) Check() error {
	switch {
	case len(o.Addrs) == 0:
		return errors.New("no address: name one server or the members of a group")
	case o.Clients < 1:
		return fmt.Errorf("%d clients: must be above 0", o.Clients)
	case o.Pipeline < 1:
		return fmt.Errorf("pipeline of %d: must be above 0", o.Pipeline)
	case o.Etcd && o.Pipeline > 1:
		return fmt.Errorf("pipeline of %d: etcd has no pipelines, use more clients", o.Pipeline)
	case o.ValueBytes < 0:
		return fmt.Errorf("values of %d bytes: must not be negative", o.ValueBytes)
	case o.Keys < 1 || o.Keys > maxKeys:
		return fmt.Errorf("%d keys: must be from 1 to %d", o.Keys, maxKeys)
	case !(o.Reads >= 0 && o.Reads <= 1):
		return fmt.Errorf("share of reads %v: must be from 0 to 1", o.Reads)
	case o.Conns < 0 || !o.Etcd && o.Conns != 0:
		return errors.New("connections: can be chosen for etcd only; a client of RESP has one of its own")
	case o.Requests < 0:
		return fmt.Errorf("%d requests: must not be negative", o.Requests)
	case !o.Fill && o.Requests == 0 && o.Duration <= 0:
		return errors.New("neither a duration nor a number of requests")
	case o.Warmup < 0 || o.Timeout <= 0:
		return errors.New("the warm-up must not be negative, and the timeout must be above 0")
	}
	return nil
}
