package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Member is one diskvd process, or the place of one. Its methods are for one
// goroutine at a time, but those that only talk to the process.
type Member struct {
	Index int
	Addr  string // for clients and peers
	HTTP  string
	Dir   string

	binary string
	wrap   []string
	args   []string
	output string

	bootstrapOnce bool

	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	err    error         // how it ended; read after ended
	paused bool
}

// errRunning and errNotRunning are returned for what cannot be done then.
var (
	errRunning    = errors.New("the process runs")
	errNotRunning = errors.New("the process does not run")
)

// Start starts the process, with further flags for this once. It does not wait
// until it is ready.
func (m *Member) Start(args ...string) error {
	if m.Running() {
		return fmt.Errorf("start member %d: %w", m.Index, errRunning)
	}
	out, err := os.OpenFile(m.output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own
	line := slices.Concat(m.wrap, []string{m.binary}, m.args)
	if m.cmd == nil || !m.bootstrapOnce {
		line = append(line, "--bootstrap")
	}
	line = append(line, args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start member %d: %w", m.Index, err)
	}
	ended := make(chan struct{})
	m.cmd, m.ended, m.paused = cmd, ended, false
	go func() {
		m.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

// Running reports whether there is a process, paused or not.
func (m *Member) Running() bool {
	if m.cmd == nil {
		return false
	}
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// Unwrap makes later starts do without [Options.Wrap].
func (m *Member) Unwrap() { m.wrap = nil }

// PID returns the process id of the process that runs, or ran last.
func (m *Member) PID() int { return m.cmd.Process.Pid }

// Signal sends a signal to the process.
func (m *Member) Signal(s os.Signal) error {
	if !m.Running() {
		return fmt.Errorf("signal member %d: %w", m.Index, errNotRunning)
	}
	return m.cmd.Process.Signal(s)
}

// Kill ends the process as a crash does, and waits for its end. It does nothing
// if there is none.
func (m *Member) Kill() error {
	if !m.Running() {
		return nil
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill member %d: %w", m.Index, err)
	}
	<-m.ended
	return nil
}

// Stop asks the process to end and waits for that. It returns the exit status.
func (m *Member) Stop(ctx context.Context) (int, error) {
	if err := m.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return m.Wait(ctx)
}

// Wait waits for the process to end by itself and returns the exit status,
// which is -1 after a signal.
func (m *Member) Wait(ctx context.Context) (int, error) {
	if m.cmd == nil {
		return 0, fmt.Errorf("wait for member %d: %w", m.Index, errNotRunning)
	}
	select {
	case <-m.ended:
		var exit *exec.ExitError
		if m.err != nil && !errors.As(m.err, &exit) {
			return 0, m.err
		}
		return m.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("member %d has not ended: %w", m.Index, ctx.Err())
	}
}

// Pause stops the process in its tracks, as a machine that is suspended, and
// waits until it stands still.
func (m *Member) Pause() error {
	if err := m.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	m.paused = true
	for {
		err := unix.Waitid(unix.P_PID, m.PID(), nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Resume lets a paused process go on.
func (m *Member) Resume() error {
	m.paused = false
	return m.Signal(syscall.SIGCONT)
}

// Output returns what the processes of this member have printed.
func (m *Member) Output() string {
	b, err := os.ReadFile(m.output)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Ready waits until the member says that it is ready.
func (m *Member) Ready(ctx context.Context) error {
	return wait(ctx, fmt.Sprintf("member %d", m.Index), func() error {
		if !m.Running() {
			return errNotRunning
		}
		_, err := m.Get("/readyz")
		return err
	})
}

var httpClient = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true}, // processes come and go
}

// Get asks the member's HTTP address. A status that is not 200 is an error with
// the text that came.
func (m *Member) Get(path string) (string, error) {
	r, err := httpClient.Get("http://" + m.HTTP + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, strings.TrimSpace(string(b)))
	}
	return string(b), err
}

// Info returns the fields of INFO.
func (m *Member) Info() (map[string]string, error) {
	c, err := m.Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v, err := c.Do("INFO")
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for line := range strings.SplitSeq(string(v.Str), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}
