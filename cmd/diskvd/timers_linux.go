package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how much later than asked for the kernel may wake a sleeping thread.
// Linux has 50 us. A runtime that waits for disks and peers most of the time has a thread
// that watches the others and sleeps for 20 us at a time, and other threads that sleep as
// shortly before they take work from each other; to wake them takes more than what they do
// then. Nothing here needs a timer to be exact: the shortest is tickInterval of the server,
// of 10 ms.
const timerSlack = 500 * time.Microsecond

// restarted is set in the environment of a process that has begun once more.
const restarted = "DISKVD_TIMERS"

// allowLateTimers gives every thread of the process timerSlack. Those that the runtime has
// begun already keep what they have, so the program begins once more, as the same process.
// Where that fails it goes on as it is. A slack that is larger already, as with
// TimerSlackNSec= of systemd, is left alone.
func allowLateTimers() {
	if os.Getenv(restarted) != "" {
		return
	}
	runtime.LockOSThread() // the slack is the thread's, and exec keeps that of who calls it
	defer runtime.UnlockOSThread()
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || time.Duration(now) >= timerSlack {
		return
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil {
		return
	}
	var files unix.Rlimit
	err = unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	_ = syscall.Exec(ownFile(), os.Args, append(os.Environ(), restarted+"=set")) // returns only if it fails
	if err == nil {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files) // Exec has undone how the runtime raised it
	}
}

// ownFile returns the path of the program that this process is. The process gets the last
// element of it as its name, by which ps and pidof know it.
func ownFile() string {
	const self = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return self
	}
	named, errNamed := os.Stat(path)
	own, errOwn := os.Stat(self)
	if errNamed != nil || errOwn != nil || !os.SameFile(named, own) {
		return self // another one has its place
	}
	return path
}
