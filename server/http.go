package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpServer has the status page, and answers health checks and Prometheus.
type httpServer struct {
	node     *Node
	listener net.Listener
	server   *http.Server
}

func newHTTPServer(n *Node) (*httpServer, error) {
	l, err := net.Listen("tcp", n.opts.HTTP)
	if err != nil {
		return nil, listenError("--http", err)
	}
	h := &httpServer{node: n, listener: l}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.page)
	mux.HandleFunc("GET /status.json", h.status)
	mux.HandleFunc("GET /livez", h.livez)
	mux.HandleFunc("GET /healthz", h.livez)
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	handlePprof(mux, n.opts.Pprof)
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	return h, nil
}

// serve answers until close.
func (h *httpServer) serve() {
	if err := h.server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		h.node.logger.Error("HTTP has ended", "error", err)
	}
}

func (h *httpServer) close() {
	_ = h.server.Close()
	_ = h.listener.Close() // of a server that never served
}

// livez says that the loop turns.
func (h *httpServer) livez(w http.ResponseWriter, _ *http.Request) {
	if _, err := h.node.Status(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// readyz says whether the member leads or follows a leader; if not, why not.
func (h *httpServer) readyz(w http.ResponseWriter, _ *http.Request) {
	s, err := h.node.Status()
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case !s.Ready:
		http.Error(w, "not ready: "+s.Why, http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintln(w, "ready")
	}
}
