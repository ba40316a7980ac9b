package proc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"diskv/internal/resp"
)

// SilenceKey is the key that [Group.Silent] asks for. Nobody else writes it.
const SilenceKey = "silence"

// Silent has every member that runs asked to write and to read, again and again
// for a time from when it listens. An error says who answered: a refusal, or nothing, is all that may
// come, and refusals must come.
func (g *Group) Silent(d time.Duration) error {
	var watching sync.WaitGroup
	faults := make([]error, len(g.Members))
	for i, m := range g.Members {
		if m.Running() {
			watching.Go(func() { faults[i] = m.silent(d) })
		}
	}
	watching.Wait()
	return errors.Join(faults...)
}

func (m *Member) silent(d time.Duration) error {
	if err := m.listens(); err != nil {
		return err
	}
	refusals := 0
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		n, err := m.askOnce(time.Until(end))
		if err != nil {
			return fmt.Errorf("member %d: %w", m.Index, err)
		}
		refusals += n
	}
	if refusals == 0 {
		return fmt.Errorf("member %d refused nothing", m.Index)
	}
	return nil
}

// listens waits until a process that was started listens.
func (m *Member) listens() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return wait(ctx, fmt.Sprintf("member %d", m.Index), func() error {
		c, err := m.Dial()
		if err == nil {
			c.Close()
		}
		return err
	})
}

// startTimeout is how long a process may take until it listens.
const startTimeout = 10 * time.Second

// askOnce sends a member a write and reads, and returns how often it refused.
// An answer is an error.
func (m *Member) askOnce(within time.Duration) (int, error) {
	c, err := m.Dial()
	if err != nil {
		return 0, fmt.Errorf("it must listen, to say why it does not serve: %w", err)
	}
	defer c.Close()
	c.Timeout = within
	refused := 0
	for _, command := range [][]string{{"SET", SilenceKey, "broken"}, {"GET", SilenceKey}, {"MGET", SilenceKey}} {
		v, err := c.Do(command...)
		switch {
		case err == nil:
			return refused, fmt.Errorf("%s was answered: %q", strings.Join(command, " "), v.Str)
		case v.Kind != resp.KindError:
			return refused, nil //nolint:nilerror // no reply in time is what is wanted
		}
		refused++
	}
	return refused, nil
}
