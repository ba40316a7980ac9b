package sim

import (
	"time"

	"diskv/replica"
)

// epoch is the true wall time at which every simulation begins, in ns since the
// Unix epoch.
const epoch = int64(1_700_000_000) * int64(time.Second)

// clock is what a member takes for the time.
type clock struct {
	rate float64       // of the monotonic clock, 1 is right
	wall time.Duration // by how much the wall clock is ahead
	from time.Duration // when the process began
	base time.Duration // the monotonic clock then
}

// restart begins a new process: its monotonic clock has another origin.
func (c *clock) restart(now, base time.Duration) { c.from, c.base = now, base }

// read returns both clocks.
func (c *clock) read(now time.Duration) replica.Time {
	return replica.Time{
		Mono: c.base + time.Duration(float64(now-c.from)*c.rate),
		Wall: epoch + int64(now+c.wall),
	}
}
