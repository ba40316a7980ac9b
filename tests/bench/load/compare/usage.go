package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// footprint is what a system occupies after the last round, of all its processes.
type footprint struct {
	System  string `json:"system"`
	Memory  int64  `json:"resident_bytes"`
	Highest int64  `json:"highest_resident_bytes"` // the sum of each process's highest
	Disk    int64  `json:"disk_bytes"`             // blocks that its directories have been given
}

func (s *system) footprint(dir string) (footprint, error) {
	f := footprint{System: s.name}
	for i, p := range s.processes {
		now, highest, err := memory(p.cmd.Process.Pid)
		if err != nil {
			return f, err
		}
		used, err := diskUse(filepath.Join(dir, s.dirs[i]))
		if err != nil {
			return f, err
		}
		f.Memory, f.Highest, f.Disk = f.Memory+now, f.Highest+highest, f.Disk+used
	}
	return f, nil
}

// memory returns the resident bytes of a process, now and at most so far.
func memory(pid int) (now, highest int64, err error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	field := func(name string) int64 {
		n, ferr := kibField(string(b), name)
		if ferr != nil {
			err = fmt.Errorf("%s: %w", path, ferr)
		}
		return n
	}
	now, highest = field("VmRSS:"), field("VmHWM:")
	return now, highest, err
}

// kibField returns the bytes that a line such as "VmRSS:   123 kB" tells.
func kibField(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// diskUse returns the bytes of disk that the files below a directory have been given.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil {
			var fi fs.FileInfo
			if fi, err = e.Info(); err == nil {
				const block = 512 // the unit of st_blocks, whatever the file system's is
				sum += fi.Sys().(*syscall.Stat_t).Blocks * block
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the system runs: files go
		}
		return err
	})
	return sum, err
}

// processorTime returns the processor time, in seconds, that the system has taken.
func (s *system) processorTime() (float64, error) {
	var sum float64
	for _, p := range s.processes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			return 0, err
		}
		t, err := statTime(string(b))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		sum += t
	}
	return sum, nil
}

// statTime returns the seconds of user and system time in a line of /proc/PID/stat.
func statTime(line string) (float64, error) {
	// The second field is the name of the program, which may hold anything.
	_, rest, ok := strings.Cut(line[strings.LastIndexByte(line, ')')+1:], " ")
	f := strings.Fields(rest)
	const user, system, ticks = 14 - 3, 15 - 3, 100 // fields from the third on; ticks a second, on Linux always
	if !ok || len(f) <= system {
		return 0, errors.New("malformed /proc/PID/stat")
	}
	u, uerr := strconv.ParseUint(f[user], 10, 64)
	k, kerr := strconv.ParseUint(f[system], 10, 64)
	return float64(u+k) / ticks, errors.Join(uerr, kerr)
}
