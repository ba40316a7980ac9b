package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"diskv/inspect"
	"diskv/internal/cli"
)

// A bar is drawn on a terminal when the work has taken progressAfter.
const (
	progressAfter = time.Second
	progressEvery = 100 * time.Millisecond
)

// progress returns what draws a bar on standard error, if that is a terminal and
// takes long, and what removes it. What is printed to the same terminal meanwhile
// would be mixed with it, so then there is none.
func (a *app) progress() (inspect.Progress, func()) {
	width, ok := cli.TerminalWidth(a.err)
	if !ok {
		return nil, func() {}
	}
	b := &bar{out: a.err, width: min(max(width-24, 10), 60), begun: time.Now()}
	return b.draw, b.remove
}

// examine opens a directory and looks at it, with a progress bar.
func examine[T any](a *app, dir string, look func(*inspect.Directory, inspect.Progress) (T, error)) (T, error) {
	d, err := inspect.Open(dir)
	if err != nil {
		var nothing T
		return nothing, err
	}
	draw, remove := a.progress()
	defer remove()
	return look(d, draw)
}

// bar is a progress bar.
type bar struct {
	out   io.Writer
	width int
	begun time.Time
	drawn time.Time
}

func (b *bar) draw(done, total int64) {
	now := time.Now()
	if now.Sub(b.begun) < progressAfter || now.Sub(b.drawn) < progressEvery || total <= 0 {
		return
	}
	b.drawn = now
	full := int(int64(b.width) * done / total)
	_, _ = fmt.Fprintf(b.out, "\r[%s%s] %3d%% of %s", strings.Repeat("#", full), strings.Repeat(".", b.width-full), 100*done/total, size(total))
}

func (b *bar) remove() {
	if !b.drawn.IsZero() {
		_, _ = fmt.Fprint(b.out, "\r\x1b[K")
	}
}

// size puts bytes into a few characters.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
