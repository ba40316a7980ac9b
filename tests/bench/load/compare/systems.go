package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"diskv/tests/proc"
)

// The systems, in the order of tables.
const (
	diskv = "diskv"
	etcd  = "etcd"
	redis = "Redis"
)

var systemNames = []string{diskv, etcd, redis}

// members is the size of a group of diskv and of a cluster of etcd.
const members = 3

// system is what runs of one of the systems.
type system struct {
	name      string
	processes []*process
	ready     []func() error // by process
	loadArgs  []string       // how the load program is told of it
	dirs      []string       // of its data
	profiles  []string       // URLs by process; of diskv, if there are to be any
}

// newSystems chooses addresses. Nothing is started. Members of diskv give profiles if
// they are to.
func newSystems(profiles bool) ([]*system, error) {
	a, err := proc.FreePorts(2*members + 2*members + 1)
	if err != nil {
		return nil, err
	}
	return []*system{
		newDiskv(a[:members], a[members:2*members], profiles),
		newEtcd(a[2*members:3*members], a[3*members:4*members]),
		newRedis(a[4*members]),
	}, nil
}

func newDiskv(addrs, web []string, profiles bool) *system {
	peers := strings.Join(addrs, ",")
	s := &system{name: diskv, loadArgs: []string{"--addr", peers}}
	for i := range addrs {
		s.add(fmt.Sprintf("diskv-%d", i), answers("http://"+web[i]+"/readyz"), func(dir string) []string {
			line := []string{
				"./diskvd", "--dir", dir, "--listen", addrs[i], "--peers", peers, "--index", strconv.Itoa(i),
				"--http", web[i], "--bootstrap",
			}
			if profiles {
				line = append(line, "--pprof")
				s.profiles = append(s.profiles, "http://"+web[i]+"/debug/pprof/profile")
			}
			return line
		})
	}
	return s
}

func newEtcd(addrs, peers []string) *system {
	var cluster []string
	for i, p := range peers {
		cluster = append(cluster, fmt.Sprintf("etcd-%d=http://%s", i, p))
	}
	s := &system{name: etcd, loadArgs: []string{"--etcd", "--addr", strings.Join(addrs, ",")}}
	for i := range addrs {
		client, peer := "http://"+addrs[i], "http://"+peers[i]
		s.add(fmt.Sprintf("etcd-%d", i), answers(client+"/readyz"), func(dir string) []string {
			return []string{
				"./etcd", "--name", dir, "--data-dir", dir,
				"--listen-client-urls", client, "--advertise-client-urls", client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
			}
		})
	}
	return s
}

func newRedis(addr string) *system {
	s := &system{name: redis, loadArgs: []string{"--addr", addr}}
	host, port, _ := net.SplitHostPort(addr)
	s.add("redis-0", listens(addr), func(dir string) []string {
		return []string{
			"redis-server", "--bind", host, "--port", port, "--dir", dir,
			"--appendonly", "yes", "--appendfsync", "always", "--save", "",
		}
	})
	return s
}

func (s *system) add(dir string, ready func() error, line func(dir string) []string) {
	s.processes = append(s.processes, &process{name: dir, line: line(dir)})
	s.ready = append(s.ready, ready)
	s.dirs = append(s.dirs, dir)
}

// start starts the processes and waits until they are ready.
func (s *system) start(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i, p := range s.processes {
		if err := os.MkdirAll(filepath.Join(dir, s.dirs[i]), 0o700); err != nil {
			return err
		}
		if err := p.start(dir); err != nil {
			return err
		}
	}
	for i, p := range s.processes {
		if err := p.await(ctx, s.ready[i]); err != nil {
			return err
		}
	}
	return nil
}

// running returns an error if a process has ended.
func (s *system) running() error {
	for _, p := range s.processes {
		if err := p.running(); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) kill() {
	for _, p := range s.processes {
		p.kill()
	}
}

var httpClient = &http.Client{Timeout: 2 * time.Second}

// answers returns a condition: the URL is answered with 200.
func answers(url string) func() error {
	return func() error {
		r, err := httpClient.Get(url)
		if err != nil {
			return err
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, r.Status)
		}
		return nil
	}
}

// listens returns a condition: connections are accepted.
func listens(addr string) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", addr, 2*time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
}

// commandLine is how one would type it.
func commandLine(words []string) string {
	var out []string
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " '\"$&;|<>*?") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}
