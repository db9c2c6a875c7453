package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
)

// profiles serves the Go runtime's profiles of this process, which show where its time goes and what
// holds its memory. It is off by default, and serves this machine alone, because a profile shows
// the command line and costs processor time.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// checkProfiles refuses to serve profiles anywhere but on this machine's own address.
func checkProfiles(page net.Listener) error {
	if page == nil {
		return fmt.Errorf("--profiles needs the status page, and it is off. Try: --http %s", defaultHTTP)
	}
	if host, ok := page.Addr().(*net.TCPAddr); !ok || !host.IP.IsLoopback() {
		return fmt.Errorf("--profiles are for this machine alone, and the status page is on %s. Try: --http %s", page.Addr(),
			defaultHTTP)
	}
	return nil
}
