package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// profiles puts every load on diskv once more, not to be measured, and writes where
// each member spends its processor time: WORKLOAD-MEMBER.pprof.
func (b *bench) profiles(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	s := b.systems[slices.IndexFunc(b.systems, func(s *system) bool { return s.name == diskv })]
	set := b.results.Settings
	seconds := max(1, int(set.Duration/time.Second))
	for _, w := range workloads {
		if err := b.settle(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		errs := make([]error, len(s.profiles))
		var wg sync.WaitGroup
		for i, url := range s.profiles {
			wg.Go(func() {
				path := filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", w.name, i))
				errs[i] = download(ctx, url+"?seconds="+strconv.Itoa(seconds), path)
			})
		}
		_, err := b.load(ctx, s, w.args(set)...)
		if err != nil {
			cancel() // nobody waits for profiles of nothing
		}
		wg.Wait()
		cancel()
		for _, e := range append([]error{err}, errs...) {
			if e != nil {
				return fmt.Errorf("profile %s: %w", w.title, e)
			}
		}
		b.printf("profile %-34s go tool pprof -top %s\n", w.title, filepath.Join(dir, w.name+"-*.pprof"))
	}
	return nil
}

// download writes what a URL answers to a file.
func download(ctx context.Context, url, path string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, r.Status, body)
	}
	return os.WriteFile(path, body, 0o644)
}
