package wal

import (
	"errors"
	"fmt"
)

// ErrSuspect says that the end of a log is suspect, and that nobody has accepted it.
var ErrSuspect = errors.New("the end of the log is suspect: records that were acknowledged may be missing")

// Repair opens a log, which cuts a torn end off it, and closes it again. If its end
// is suspect and that is accepted, it is cut as well, and the log is trusted from
// then on; else the error is ErrSuspect, and nothing is changed. An accepted end is on
// record as suspect until everything else is durable: a Repair that was interrupted
// leaves a log that is still suspect, or all is done.
func Repair(dir string, o Options, accept bool) (Report, error) {
	report, err := Scan(dir, func(uint64, Record, int64) error { return nil })
	if err != nil {
		return report, fmt.Errorf("repair log: %w", err)
	}
	if report.Suspect && !accept {
		return report, fmt.Errorf("repair log %s: %w", dir, ErrSuspect)
	}
	l, report, err := Open(dir, o, func(Record) error { return nil })
	if err != nil {
		return report, fmt.Errorf("repair log: %w", err)
	}
	if report.Suspect {
		err = l.ClearSuspect()
	}
	if err := errors.Join(err, l.Close()); err != nil {
		return report, fmt.Errorf("repair log %s: %w", dir, err)
	}
	return report, nil
}
