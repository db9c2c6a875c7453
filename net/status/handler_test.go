package status

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func theChain() (Snapshot, error) { return chain(), nil }

func ask(t *testing.T, handler http.Handler, method, target string) (*http.Response, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, target, nil))
	response := recorder.Result()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

const here = "http://localhost:8433"

func TestHandlerServesPageAndJSONOnly(t *testing.T) {
	handler := Handler(theChain, HandlerOptions{Page: PageOptions{Location: sofia, Refresh: DefaultRefresh}})
	for _, c := range []struct {
		method, path string
		code         int
		contentType  string
		body         string
	}{
		{"GET", "/", 200, htmlType, pageOf(t, chain(), PageOptions{Location: sofia, Refresh: DefaultRefresh})},
		{"GET", "/?pause", 200, htmlType, pageOf(t, chain(), PageOptions{Location: sofia})},
		{"GET", "/status.json", 200, jsonType, jsonOf(t, chain())},
		{"HEAD", "/", 200, htmlType, ""},
		{"HEAD", "/status.json", 200, jsonType, ""},
		{"GET", "/favicon.ico", 404, textType, "ravno: nothing here. Try: / or /status.json\n"},
		{"GET", "/status.json/", 404, textType, "ravno: nothing here. Try: / or /status.json\n"},
		{"GET", "//", 404, textType, "ravno: nothing here. Try: / or /status.json\n"},
		{"POST", "/nowhere", 404, textType, "ravno: nothing here. Try: / or /status.json\n"},
		{"POST", "/", 405, textType, "ravno: the status page is only for reading\n"},
		{"DELETE", "/status.json", 405, textType, "ravno: the status page is only for reading\n"},
		{"OPTIONS", "/", 405, textType, "ravno: the status page is only for reading\n"},
	} {
		response, body := ask(t, handler, c.method, here+c.path)
		if response.StatusCode != c.code || response.Header.Get("Content-Type") != c.contentType || body != c.body {
			t.Errorf("%s %s: %d %s\n%s", c.method, c.path, response.StatusCode, response.Header.Get("Content-Type"), body)
		}
		if allow := response.Header.Get("Allow"); (allow == "GET, HEAD") != (c.code == 405) {
			t.Errorf("%s %s: Allow: %q", c.method, c.path, allow)
		}
	}
}

func TestAnswersAreGuarded(t *testing.T) {
	broken := func() (Snapshot, error) { return Snapshot{}, errors.New("no") }
	for _, handler := range []http.Handler{Handler(theChain, HandlerOptions{}), Handler(broken, HandlerOptions{})} {
		for _, target := range []string{here + "/", here + "/status.json", here + "/x", "http://evil.example/"} {
			response, _ := ask(t, handler, "GET", target)
			for name, want := range map[string]string{
				"Content-Security-Policy":      "default-src 'none'; style-src 'sha256-",
				"X-Content-Type-Options":       "nosniff",
				"Cache-Control":                "no-store",
				"Referrer-Policy":              "no-referrer",
				"Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := response.Header.Get(name); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s: %q, want %q", target, name, got, want)
				}
			}
		}
	}
}

func TestPolicyAdmitsStyleOfPage(t *testing.T) {
	response, page := ask(t, Handler(theChain, HandlerOptions{}), "GET", here+"/")
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, found := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := response.Header.Get("Content-Security-Policy")
	if !found || !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the page's style is not the one in %s", policy)
	}
}

// A page from elsewhere cannot rebind its name to this address.
func TestHandlerRefusesRebinding(t *testing.T) {
	loopback := Handler(theChain, HandlerOptions{Hosts: []string{"Status.Example", "192.0.2.7:8433", "[2001:db8::7]"}})
	open := Handler(theChain, HandlerOptions{AnyHost: true})
	for host, admitted := range map[string]bool{
		"localhost": true, "localhost:8433": true, "LOCALHOST:1": true, "localhost.": true,
		"127.0.0.1": true, "127.0.0.1:8433": true, "127.0.0.53:80": true,
		"[::1]": true, "[::1]:8433": true,
		"status.example": true, "status.example.:443": true, "192.0.2.7": true, "[2001:db8::7]:8433": true,
		"": false, ":8433": false, "evil.example": false, "evil.example:8433": false, "localhost.evil.example": false,
		"127.0.0.1.evil.example": false, "192.0.2.8": false, "10.0.0.1:8433": false, "[::2]": false, "0x7f.1": false,
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.Host = host
		recorder := httptest.NewRecorder()
		loopback.ServeHTTP(recorder, request)
		told := strings.Contains(recorder.Body.String(), "Пловдив")
		if want := map[bool]int{true: 200, false: 403}[admitted]; recorder.Code != want || told != admitted {
			t.Errorf("Host %q: %d, want %d; told %v", host, recorder.Code, want, told)
		}
		recorder = httptest.NewRecorder()
		if open.ServeHTTP(recorder, request); recorder.Code != 200 {
			t.Errorf("Host %q, any host admitted: %d", host, recorder.Code)
		}
	}
}

func TestStatusUnreadableIsSaidPlainly(t *testing.T) {
	broken := func() (Snapshot, error) {
		return Snapshot{}, errors.New("store: open shop.db:\nfile is not a database\x1b[2J")
	}
	handler := Handler(broken, HandlerOptions{Page: PageOptions{Refresh: 1500 * time.Millisecond}})

	response, body := ask(t, handler, "GET", here+"/")
	if want :=
		"ravno: no status to show: store: open shop.db: file is not a database\\x1b[2J\n"; response.StatusCode != 503 ||
		body != want {
		t.Errorf("page: %d %q, want %q", response.StatusCode, body, want)
	}
	if refresh := response.Header.Get("Refresh"); refresh != "2" {
		t.Errorf("Refresh: %q: an open browser would not come back", refresh)
	}
	if response, _ = ask(t, handler, "GET", here+"/?pause"); response.Header.Get("Refresh") != "" {
		t.Error("a paused page refreshes")
	}

	response, body = ask(t, handler, "GET", here+"/status.json")
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || response.StatusCode != 503 ||
		!strings.Contains(answer.Error, "file is not a database") {
		t.Errorf("JSON: %d %s (%v)", response.StatusCode, body, err)
	}
}

func TestHEADTellsTheLengthOnly(t *testing.T) {
	server := httptest.NewServer(Handler(theChain, HandlerOptions{}))
	defer server.Close()
	response, err := server.Client().Head(server.URL + "/status.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if want := int64(len(jsonOf(t, chain()))); response.StatusCode != 200 || response.ContentLength != want {
		t.Errorf("%d, %d bytes, want %d", response.StatusCode, response.ContentLength, want)
	}
}

// Profiles are served only when asked for, and to this machine alone.
func TestProfilesOnlyWhenAskedAndLocal(t *testing.T) {
	profiles := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, c := range []struct {
		options    HandlerOptions
		host, path string
		code       int
	}{
		{HandlerOptions{}, "localhost", "/debug/pprof/heap", http.StatusNotFound},
		{HandlerOptions{Profiles: profiles}, "localhost", "/debug/pprof/heap", http.StatusTeapot},
		{HandlerOptions{Profiles: profiles}, "localhost", "/debug/", http.StatusNotFound},
		{HandlerOptions{Profiles: profiles}, "evil.example", "/debug/pprof/heap", http.StatusForbidden},
	} {
		request := httptest.NewRequest("GET", c.path, nil)
		request.Host = c.host
		answer := httptest.NewRecorder()
		Handler(theChain, c.options).ServeHTTP(answer, request)
		if answer.Code != c.code {
			t.Errorf("%s%s: %d, want %d", c.host, c.path, answer.Code, c.code)
		}
	}
}
