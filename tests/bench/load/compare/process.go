package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is a server that runs in the directory of a bench.
type process struct {
	name string   // its output is in name.log
	line []string // command line, relative to the directory

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended; read after ended
	log   string
}

// steering are the beginnings of variables that would change what is measured.
var steering = []string{"DISKV_", "ETCD_", "GOGC=", "GOMAXPROCS=", "GOMEMLIMIT=", "GODEBUG="}

func plainEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(steering, func(s string) bool { return strings.HasPrefix(v, s) })
	})
}

// start starts the process. It ends with this one, however that ends: main keeps to
// one thread for that.
func (p *process) start(dir string) error {
	p.log = filepath.Join(dir, p.name+".log")
	out, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own
	p.cmd = exec.Command(p.line[0], p.line[1:]...)
	p.cmd.Dir, p.cmd.Env = dir, plainEnvironment()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// An interrupt at the terminal is for us, who end it by its process id.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.ended = make(chan struct{})
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// running returns an error with what the process has said last if it has ended.
func (p *process) running() error {
	select {
	case <-p.ended:
		said, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s has ended: %w\n%s", p.name, end(p.err), said[max(0, len(said)-2000):])
	default:
		return nil
	}
}

// end puts the end of a process into words.
func end(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// kill ends the process and waits for its end.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it fails if the process has ended
	<-p.ended
}

// await asks until ready returns nil.
func (p *process) await(ctx context.Context, ready func() error) error {
	for {
		if err := p.running(); err != nil {
			return err
		}
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w)", p.name, err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
