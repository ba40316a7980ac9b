package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles diskvd into dir and returns the path of the program. It is to
// be called inside the module, or inside one that has it as a dependency.
func Build(dir string) (string, error) {
	bin, err := filepath.Abs(filepath.Join(dir, "diskvd"))
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "diskv").Output()
	if err != nil {
		return "", fmt.Errorf("find the module diskv: %w", err)
	}
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/diskvd")
	cmd.Dir = strings.TrimSpace(string(root)) // with the versions that this module has chosen
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build diskvd: %w\n%s", err, out)
	}
	return bin, nil
}

// WithBinary compiles diskvd, calls run with the path of the program, and removes it
// again. It returns what run returns, and is there for TestMain: without the program
// it says why on standard error and returns 1.
func WithBinary(run func(binary string) int) int {
	dir, err := os.MkdirTemp("", "diskv-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := Build(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run(binary)
}
