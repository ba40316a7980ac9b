// Package loop puts a closed loop of load on a key/value store: so many clients, each
// of which sends its next requests when its last ones are answered.
//
// It guarantees that every request is accounted for: answered, counted under the
// error that came instead, or sent again after a redirect and counted as redirected;
// that after a warm-up everything counts, from the first request to the last answer; and
// that the latency of a request is the time from when it was written, with those that
// share its pipeline, until its own answer was read. It keeps the times in HDR
// histograms: three digits, up to a minute.
//
// A closed loop has a blind spot: a server that stalls is asked nothing meanwhile, so a
// stall counts once for each client and pipeline, not once for each request that
// would have come.
//
//	report, err := loop.Run(ctx, loop.Options{Addrs: addrs, Clients: 50, Pipeline: 16, ...})
package loop
