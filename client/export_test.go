package client

import "time"

// SetSessionTimes changes how old sessions become.
func (c *Client) SetSessionTimes(use, stop time.Duration) {
	c.sessions.use, c.sessions.stop = use, stop
}

// IdleSessions returns how many sessions the client holds that have nothing under way.
func (c *Client) IdleSessions() int {
	c.sessions.mu.Lock()
	defer c.sessions.mu.Unlock()
	return len(c.sessions.idle)
}

// Writes are the commands that are taken for writes.
var Writes = writes

// ParseSlots returns the members in a reply of CLUSTER SLOTS.
func ParseSlots(v Value, asked string) ([]string, error) {
	ranges, err := parseSlots(v, asked)
	var all []string
	for _, r := range ranges {
		all = append(all, r.members...)
	}
	return all, err
}

// ParseMoved returns the address in a redirect.
var ParseMoved = parseMoved
