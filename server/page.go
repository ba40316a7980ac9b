package server

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
)

// statusPage is the whole page: no other file, no other server is needed to show it.
//
//go:embed status.html
var statusPage string

// pagePolicy lets a browser run the page's own script and style and nothing else, and
// talk with nobody but the node that it is from.
var pagePolicy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
	"; script-src '" + hashOf(between(statusPage, "<script>", "</script>")) + "'" +
	"; style-src '" + hashOf(between(statusPage, "<style>", "</style>")) + "'"

// between returns what is between two texts.
func between(text, begin, end string) string {
	_, rest, _ := strings.Cut(text, begin)
	inner, _, ok := strings.Cut(rest, end)
	if !ok {
		panic("server: the status page has no " + begin)
	}
	return inner
}

// hashOf names an inline script or style as a Content-Security-Policy does.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page is the status page.
func (h *httpServer) page(w http.ResponseWriter, _ *http.Request) {
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", pagePolicy)
	head.Set("Cache-Control", "no-cache")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(statusPage))
}

// status is what the page shows, for programs. ?after= leaves out the history up to a
// time, in ms since the Unix epoch.
func (h *httpServer) status(w http.ResponseWriter, r *http.Request) {
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			http.Error(w, "after: not a time in milliseconds since 1970", http.StatusBadRequest)
			return
		}
	}
	report, err := h.node.report(after)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(report)
}

// handlePprof serves profiles, if that is wanted.
func handlePprof(mux *http.ServeMux, on bool) {
	if !on {
		mux.HandleFunc("/debug/pprof/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "profiles are off: start diskvd with --pprof, or with DISKV_PPROF=true in the environment", http.StatusNotFound)
		})
		return
	}
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}
