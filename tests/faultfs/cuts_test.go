package faultfs_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A recording that goes on over power cuts leads, replayed, to what is there.
func TestRecordingGoesOnOverPowerCuts(t *testing.T) {
	d := newDisk(t)
	for seed := range uint64(24) {
		dir := fmt.Sprint("dir", seed%3)
		require.NoError(t, os.MkdirAll(d.path(dir), 0o700))
		for i := range 5 {
			name := fmt.Sprint(dir, "/", i)
			d.write(name, int64(seed%7)*300, letters(string(rune('a'+seed)), 1000))
			switch (int(seed) + i) % 4 {
			case 0:
				d.sync(name)
			case 1:
				d.sync(dir)
				d.sync(".")
			case 2:
				require.NoError(t, os.Rename(d.path(name), d.path(fmt.Sprint("moved", seed%2))))
			}
		}
		for range 60 { // what was removed is forgotten here, and not by who replays
			d.write("gone", 0, "gone")
			require.NoError(t, os.Remove(d.path("gone")))
		}
		d.PowerCut(seed)
		d.PowerOn()
		r := d.Recorded()
		for _, op := range r.Ops {
			r.Start.Apply(op)
		}
		require.Equal(t, describe(d.State()), describe(r.Start.Seen()))
	}
	assert.NotEmpty(t, d.State())
}
