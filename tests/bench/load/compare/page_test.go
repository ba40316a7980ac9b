package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPageIsMadeFromTheNumbers(t *testing.T) {
	dir := t.TempDir()
	r := example()
	require.NoError(t, r.write(dir))
	page, err := os.ReadFile(filepath.Join(dir, pageFile))
	require.NoError(t, err)
	for _, want := range []string{
		"# Performance\n",
		"Measured on 2026-01-02",
		"| SET, 1 client | diskv | 40,000 (20,000 to 40,000) | 25 µs (25 µs to 50 µs) | 75 µs | 100 µs | 1.00 + 0.50 |\n",
		"|  | etcd | 8,000 (4,000 to 8,000) | 125 µs (125 µs to 250 µs) |",
		"| SET, 256 clients | throughput, of that of Redis | at least 0.80× | 0.67× | 0.67× to 0.67× | **no** |\n",
		"Pipelined, Redis does 960,000 requests a second here, and diskv 0.67× of that; the target is 0.42×.\n",
		"| diskv | 3 | 300 MiB | 310 MiB | 50.0 MiB |\n| etcd | 3 |",
		"2 cores (Example), 8,192 MiB of memory, Linux 6.1, ext4.",
		"110 µs (100 µs to 200 µs) (p50)",
		"5.0 % of a core",
		"After 2s of warm-up it measures for 10s",
		"    redis-server --port 1 --save ''\n",
		"    ./load --clients 1\n",
		"No request failed.",
	} {
		require.Contains(t, string(page), want)
	}
	require.NotContains(t, string(page), "<no value>")

	// The numbers are enough to make the page again.
	read, err := readResults(dir)
	require.NoError(t, err)
	require.Equal(t, r, read)
	require.NoError(t, os.Remove(filepath.Join(dir, pageFile)))
	require.NoError(t, run(t.Context(), []string{"--render", "--out", dir}, io.Discard))
	again, err := os.ReadFile(filepath.Join(dir, pageFile))
	require.NoError(t, err)
	require.Equal(t, string(page), string(again))
}

func TestFailuresAreOnThePage(t *testing.T) {
	r := example()
	for i := range r.Measured {
		if m := &r.Measured[i]; m.Workload == "get-256" && m.System == etcd {
			m.Report.Errors = map[string]int64{"Unavailable": 2}
			m.Report.Missing = 1
		}
	}
	page, err := r.page()
	require.NoError(t, err)
	require.Contains(t, string(page), "GET, 256 clients, etcd: Unavailable 6 times; GET, 256 clients, etcd: 3 keys were not there.")
	require.NotContains(t, string(page), "No request failed")
}

func TestPageOfOneRoundOfSomeLoads(t *testing.T) {
	r := example()
	r.Measured, r.Syncs = r.Measured[:1], r.Syncs[:1]
	page, err := r.page()
	require.NoError(t, err)
	require.Contains(t, string(page), "| SET, 1 client | diskv | 40,000 | 25 µs | 75 µs |", "one number has no ends")
	require.NotContains(t, string(page), "NaN")
}

func TestChartHasABarForEachFigure(t *testing.T) {
	in := xml.NewDecoder(bytes.NewReader(example().chart()))
	bars := 0
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "it is XML")
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	require.Equal(t, 1+3+3+2+3, bars, "and the background")
	chart := string(example().chart())
	// The fastest of three fills its panel; a slower one has its share of that.
	require.Contains(t, chart, `width="470.0" height="20" fill="`+barColors[redis])
	require.Contains(t, chart, `width="313.3" height="20" fill="`+barColors[diskv])
	require.Contains(t, chart, "8,000 (diskv: 5.00×)")
}

func TestNumbersForPeople(t *testing.T) {
	require.Equal(t, "0", count(0))
	require.Equal(t, "999", count(999.4))
	require.Equal(t, "1,000", count(999.6))
	require.Equal(t, "1,234,567", count(1234567))
	require.Equal(t, "0.42×", times(0.4167))
	require.Equal(t, "523 µs", microseconds(523.4))
	require.Equal(t, "1.52 ms", microseconds(1523))
	require.Equal(t, "15.2 ms", microseconds(15230))
	require.Equal(t, "1.5 MiB", mib(3<<19))
	require.Equal(t, "2,048 MiB", mib(2<<30))
	require.Equal(t, "redis-server --save '' 'a b'", commandLine([]string{"redis-server", "--save", "", "a b"}))
}

func TestDownload(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/profile" {
			http.Error(w, "profiles are off", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, "samples")
	}))
	t.Cleanup(web.Close)
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, download(t.Context(), web.URL+"/profile?seconds=1", path))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "samples", string(got))
	require.ErrorContains(t, download(t.Context(), web.URL+"/other", path), "profiles are off")
}

func TestLoadsAreWhatTheirTitlesSay(t *testing.T) {
	s := settings{Duration: 10e9, Warmup: 2e9}
	require.Equal(t, "--clients 50 --pipeline 16 --reads 0 --duration 10s --warmup 2s", commandLine(workloads[2].args(s)))
	require.Equal(t, "--clients 256 --pipeline 1 --reads 1 --duration 10s --warmup 2s", commandLine(workloads[3].args(s)))
}
