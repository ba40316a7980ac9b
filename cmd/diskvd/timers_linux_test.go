package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const asDiskvd = "DISKVD_TEST_TIMERS"

// A test begins this program once more, to be what diskvd is before main does anything else.
func init() {
	if os.Getenv(asDiskvd) == "" {
		return
	}
	allowLateTimers()
	slack := make(chan time.Duration)
	for range 5 {
		go func() {
			runtime.LockOSThread() // for ever: each has another thread
			ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil {
				panic(err)
			}
			slack <- time.Duration(ns)
			select {}
		}()
	}
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		panic(err)
	}
	fmt.Println(os.Getpid(), os.Args[1:])
	fmt.Print(string(name))
	for range 5 {
		fmt.Println(<-slack)
	}
	os.Exit(0)
}

// The process stays what it is, with its name and the arguments that it was given, and all its threads
// may be woken late.
func TestEveryThreadMayBeWokenLate(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "--dir", "two words")
	cmd.Env = append(os.Environ(), asDiskvd+"=1")
	out, err := cmd.Output()
	require.NoError(t, err)
	want := fmt.Sprintln(cmd.Process.Pid, []string{"--dir", "two words"}) + filepath.Base(self) + "\n" + strings.Repeat(fmt.Sprintln(timerSlack), 5)
	require.Equal(t, want, string(out))
}
