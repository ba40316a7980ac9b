package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// machine is where it was measured.
type machine struct {
	Cores      int    `json:"cores"`
	Processor  string `json:"processor"`
	Memory     int64  `json:"memory_bytes"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of the directories
}

// thisMachine describes the machine and the file system of a directory.
func thisMachine(dir string) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Processor: runtime.GOARCH}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(value)
			break
		}
	}
	mem, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, err
	}
	if m.Memory, err = kibField(string(mem), "MemTotal:"); err != nil {
		return m, fmt.Errorf("/proc/meminfo: %w", err)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = strings.TrimSpace(string(release))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return m, err
	}
	m.FileSystem, err = fileSystem(string(mounts), dir)
	return m, err
}

// fileSystem returns the type of the file system that holds an absolute path.
func fileSystem(mountinfo, path string) (string, error) {
	kind, longest := "", -1
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		point := f[4]
		inside := point == "/" || path == point || strings.HasPrefix(path, point+"/")
		if inside && len(point) >= longest { // a later mount hides an earlier one
			kind, longest = g[0], len(point)
		}
	}
	switch kind {
	case "":
		return "", fmt.Errorf("no mount holds %s", path)
	case "tmpfs", "ramfs":
		return "", fmt.Errorf("%s is on %s, where a sync costs nothing: name a directory on a disk with --dir", path, kind)
	}
	return kind, nil
}

// syncs is how long the disk takes to make a small append durable, in microseconds.
type syncs struct {
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

// probe appends a few hundred bytes at a time to a file and syncs each.
func probe(dir string) (s syncs, err error) {
	const appends, size = 300, 512
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	times := make([]float64, 0, appends)
	for range appends {
		begun := time.Now()
		if _, err := f.Write(make([]byte, size)); err != nil {
			return s, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return s, fmt.Errorf("sync %s: %w", f.Name(), err)
		}
		times = append(times, float64(time.Since(begun))/float64(time.Microsecond))
	}
	slices.Sort(times)
	return syncs{P50: times[appends/2], P99: times[appends*99/100]}, nil
}
