//go:build !linux

package server

import "errors"

// readiness is not there: every client has a goroutine of its own.
type readiness struct{}

type arrival struct {
	fd  int
	odd bool
}

const maxArrivals = 64

func openReadiness() (*readiness, error) { return nil, errors.ErrUnsupported }

func (*readiness) add(int) error                     { return errors.ErrUnsupported }
func (*readiness) wait([]arrival) ([]arrival, error) { return nil, errors.ErrUnsupported }
func (*readiness) close()                            {}

func readNow(uintptr, []byte) (int, error)  { return 0, errors.ErrUnsupported }
func writeNow(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
