package status

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// HandlerOptions says how Handler serves.
type HandlerOptions struct {
	Page PageOptions

	// AnyHost turns the check of the Host header off. Set it only when listening beyond loopback on purpose.
	//
	// The check keeps a page from the internet, opened in a browser on this machine, from reading
	// the status. Such a page can give its own name the address 127.0.0.1 (DNS rebinding) and get
	// past the same-origin rule, but its requests still carry its name.
	AnyHost bool
	// Profiles answers below /debug/pprof/. If it is nil, nothing does.
	Profiles http.Handler
	// Hosts are names or addresses, without port, accepted besides localhost and the loopback addresses.
	Hosts []string
}

// Handler serves the page at / and the JSON at /status.json, each from a fresh snapshot, and nothing
// else. It answers GET and HEAD only. A Host it does not know gets 403. If source fails, the answer is
// 503 with the text of the error, which must not hold row values. source is called once per request
// and must be safe for concurrent use. Its snapshot must not be changed afterwards.
func Handler(source func() (Snapshot, error), o HandlerOptions) http.Handler {
	style := sha256.Sum256([]byte(pageCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case !o.AnyHost && !knownHost(r.Host, o.Hosts):
			answer(w, r, http.StatusForbidden, textType, fmt.Appendf(nil, "ravno: the status page does not answer to the "+
				"host name %q. Try: http://localhost with the same port\n", r.Host))
		case o.Profiles != nil && strings.HasPrefix(r.URL.Path, "/debug/pprof/"):
			o.Profiles.ServeHTTP(w, r)
		case r.URL.Path != "/" && r.URL.Path != "/status.json":
			answer(w, r, http.StatusNotFound, textType, []byte("ravno: nothing here. Try: / or /status.json\n"))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			header.Set("Allow", "GET, HEAD")
			answer(w, r, http.StatusMethodNotAllowed, textType, []byte("ravno: the status page is only for reading\n"))
		case r.URL.Path == "/status.json":
			serveJSON(w, r, source)
		default:
			servePage(w, r, source, o.Page)
		}
	})
}

const (
	textType = "text/plain; charset=utf-8"
	jsonType = "application/json"
	htmlType = "text/html; charset=utf-8"
)

// servePage draws the page. With ?pause the page does not refresh itself, for people who read slowly
// or have it read out.
func servePage(w http.ResponseWriter, r *http.Request, source func() (Snapshot, error), o PageOptions) {
	if r.URL.Query().Has("pause") {
		o.Refresh = 0
	}
	var body bytes.Buffer
	snapshot, err := source()
	if err == nil {
		err = Page(&body, snapshot, o)
	}
	if err != nil {
		if o.Refresh > 0 { // come back by itself once the trouble is over
			w.Header().Set("Refresh", strconv.FormatInt(wholeSeconds(o.Refresh), 10))
		}
		answer(w, r, http.StatusServiceUnavailable, textType,
			[]byte("ravno: no status to show: "+Visible(oneLine(err.Error()))+"\n"))
		return
	}
	answer(w, r, http.StatusOK, htmlType, body.Bytes())
}

func serveJSON(w http.ResponseWriter, r *http.Request, source func() (Snapshot, error)) {
	var body bytes.Buffer
	snapshot, err := source()
	if err == nil {
		err = Encode(&body, snapshot)
	}
	if err != nil {
		text, _ := json.Marshal(Visible(oneLine(err.Error()))) // a string always encodes
		answer(w, r, http.StatusServiceUnavailable, jsonType, fmt.Appendf(nil, "{\"error\":%s}\n", text))
		return
	}
	answer(w, r, http.StatusOK, jsonType, body.Bytes())
}

// answer writes the whole response. A failed write only means that the browser has gone.
func answer(w http.ResponseWriter, r *http.Request, code int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// knownHost tells whether a Host header names this machine's loopback, or one of the given hosts, on any port.
func knownHost(header string, hosts []string) bool {
	name := bareHost(header)
	if name == "localhost" {
		return true
	}
	if address, err := netip.ParseAddr(name); err == nil && address.IsLoopback() {
		return true
	}
	return name != "" && slices.ContainsFunc(hosts, func(host string) bool { return bareHost(host) == name })
}

// bareHost takes port, brackets, case and the final dot off a host.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
