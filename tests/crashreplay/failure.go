package crashreplay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What is in the directory of a run.
const (
	manifestName  = "run.json"
	historyName   = "history.jsonl"
	scheduleName  = "schedule.jsonl"
	membersName   = "members" // data directories and outputs
	reportName    = "report.txt"
	pageName      = "report.html"
	violationName = "violation.txt"
	pictureName   = "picture.html"
)

// Manifest is what a run was: run.json in its directory.
type Manifest struct {
	Scenario string        `json:"scenario"`
	Members  int           `json:"members"`
	Duration time.Duration `json:"duration"` // in ns
	Seed     uint64        `json:"seed"`
	Clients  int           `json:"clients"`
}

func (r *run) writeManifest() error {
	m := Manifest{r.o.Scenario.Name, r.o.Members, r.o.Duration, r.o.Seed, r.o.Clients}
	b, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(r.o.Dir, manifestName), append(b, '\n'), 0o600)
	}
	return err
}

// Kept returns the options of a run whose directory was kept, with the faults that it had.
// Binary and Dir are left to the caller.
func Kept(dir string) (Options, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return Options{}, fmt.Errorf("%s is not the directory of a run: %w", dir, err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Options{}, fmt.Errorf("%s: %w", filepath.Join(dir, manifestName), err)
	}
	s, err := Find(m.Scenario)
	if err != nil {
		return Options{}, err
	}
	plan, err := ReadSchedule(filepath.Join(dir, scheduleName))
	if err != nil {
		return Options{}, err
	}
	return Options{Scenario: s, Members: m.Members, Duration: m.Duration, Seed: m.Seed, Clients: m.Clients, Plan: plan}, nil
}

// HistoryOf returns the path of the history in the directory of a run.
func HistoryOf(dir string) string { return filepath.Join(dir, historyName) }

// write writes the reports, and what is known of a violation, to the run's directory.
func (r *Result) write() error {
	var text strings.Builder
	r.WriteText(&text)
	err := os.WriteFile(filepath.Join(r.Dir, reportName), []byte(text.String()), 0o600)
	page, fault := r.page()
	err = errors.Join(err, fault, os.WriteFile(filepath.Join(r.Dir, pageName), page, 0o600))
	if r.Violation == nil {
		return err
	}
	text.Reset()
	fmt.Fprintf(&text, "%s, %v after the start:\n%s\n\nThe same faults again: %s\n", r.Violation.Kind, r.Violation.At, r.Violation.Text, r.ReplayCommand())
	if f := r.Violation.Finding; f != nil {
		fmt.Fprintf(&text, "\n%v", f)
		err = errors.Join(err, f.WritePicture(filepath.Join(r.Dir, pictureName)))
	}
	return errors.Join(err, os.WriteFile(filepath.Join(r.Dir, violationName), []byte(text.String()), 0o600))
}

// ReplayCommand is the command that injects the same faults again.
func (r *Result) ReplayCommand() string { return "crashreplay replay " + r.Dir }

// Tidy removes what only a failure is worth: the data directories and the history.
func (r *Result) Tidy() error {
	entries, err := os.ReadDir(r.Dir)
	for _, e := range entries {
		switch e.Name() {
		case manifestName, scheduleName, reportName, pageName:
		default:
			err = errors.Join(err, os.RemoveAll(filepath.Join(r.Dir, e.Name())))
		}
	}
	return err
}
