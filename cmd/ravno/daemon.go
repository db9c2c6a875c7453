package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"

	"ravno/net/exchange"
	"ravno/net/status"
)

// watch yields whenever the application may have written. Its writes go to the -wal file, and to the
// database itself at a checkpoint. It watches the directory, because the -wal file comes and goes.
func watch(ctx context.Context, path string, log zerolog.Logger) (<-chan struct{}, error) {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watcher.Add(filepath.Dir(path))
	}
	wake := make(chan struct{}, 1)
	if err != nil {
		log.Warn().Err(err).Msg("file changes cannot be watched here; looking once a second instead")
		return wake, nil
	}
	go func() {
		defer watcher.Close()
		var running run
		for {
			select {
			case <-ctx.Done():
				return
			case event, ok := <-watcher.Events:
				if !ok {
					return
				}
				if event.Name != path+"-wal" && event.Name != path {
					continue
				}
				select {
				case wake <- struct{}{}:
				default: // woken already
				}
				if running.follows(time.Now()) {
					select {
					case <-ctx.Done():
						return
					case <-time.After(unread):
					}
				}
			case err, ok := <-watcher.Errors:
				if !ok {
					return
				}
				log.Warn().Err(err).Msg("watching the file; looking once a second besides")
			}
		}
	}()
	return wake, nil
}

// A large write, mostly one of our own, gives a notice for each page, several thousand a second. Each
// wakes threads here that have nothing to do. Unread notices of one file become one, so after a run
// of them the next is left unread for a while.
const (
	// unread is how long that is. A fold waits longer for a burst to end.
	unread = 2 * time.Millisecond
	// runLength is how many notices are read at once. A small transaction has fewer.
	runLength = 16
	// runGap is how long after the one before it a notice begins another run.
	runGap = 5 * time.Millisecond
)

// run counts notices that come one soon after the other.
type run struct {
	notices int
	last    time.Time
}

// follows takes in a notice, and reports whether it belongs to a long run.
func (r *run) follows(now time.Time) bool {
	if now.Sub(r.last) > runGap {
		r.notices = 0
	}
	r.notices, r.last = r.notices+1, now
	return r.notices > runLength
}

// defaultWait bounds a wait that named no limit.
const defaultWait = 30 * time.Second

// controls serves the control socket to the other commands.
func (d *daemon) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		snapshot, err := d.status()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = status.Encode(w, snapshot) // fails only if the command has hung up
	})
	mux.HandleFunc("POST /poke", func(w http.ResponseWriter, _ *http.Request) {
		d.server.Poke()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /wait", d.wait)
	mux.HandleFunc("GET /verify", d.verify)
	return mux
}

// status is the server's status, with the counts that only this process has.
func (d *daemon) status() (status.Snapshot, error) {
	snapshot, err := d.server.Status()
	entries := d.store.Entries()
	snapshot.Writes = &status.Writes{AtOnce: entries.AtOnce, Waited: entries.Waited, Forced: entries.Forced,
		Overran: entries.Overran, Ungated: entries.Ungated}
	return snapshot, err
}

func (d *daemon) wait(w http.ResponseWriter, r *http.Request) {
	limit, err := time.ParseDuration(firstOf(r.URL.Query().Get("timeout"), defaultWait.String()))
	if err != nil || limit <= 0 {
		http.Error(w, "timeout: want a duration such as 30s", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	err = d.server.Wait(ctx)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, d.whyNotLevel(limit), http.StatusGatewayTimeout)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// whyNotLevel says in one line why a wait ran out.
func (d *daemon) whyNotLevel(limit time.Duration) string {
	text := fmt.Sprintf("not level after %s", limit)
	snapshot, err := d.server.Status()
	if err != nil {
		return text + ": " + err.Error()
	}
	for _, server := range snapshot.Servers {
		if server.Name == snapshot.Site && server.CauseText != "" {
			text += ": " + server.CauseText
		}
	}
	if strings.Contains(text, "Try:") {
		return text
	}
	return text + ". Try: ravno status"
}

// verifyAnswer is the answer to GET /verify.
type verifyAnswer struct {
	Level   bool            `json:"level"`
	Tables  []verifyTable   `json:"tables"`
	Servers []verifiedOther `json:"servers"`
}

type verifyTable struct {
	Table     string   `json:"table"`
	Rows      uint64   `json:"rows"`
	Digest    string   `json:"digest"`
	Level     bool     `json:"level"`
	Differing int      `json:"differing"`
	Keys      []string `json:"keys"` // of differing rows, for people
}

type verifiedOther struct {
	Name  string `json:"name"`
	Level bool   `json:"level"`
	Error string `json:"error"`
}

func (d *daemon) verify(w http.ResponseWriter, r *http.Request) {
	table := r.URL.Query().Get("table")
	results, err := d.server.Verify(r.Context(), table)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer, err := d.summarise(results, table)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // fails only if the command has hung up
}

// summarise puts the comparisons with all others into one answer. A table is level if it is the same
// everywhere.
func (d *daemon) summarise(results map[string][]exchange.TableResult, table string) (*verifyAnswer, error) {
	answer := &verifyAnswer{Level: true, Tables: []verifyTable{}, Servers: []verifiedOther{}}
	digests, _, err := d.store.Digests(table)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for i, own := range digests {
		answer.Tables = append(answer.Tables, verifyTable{
			Table: own.Table, Rows: own.Rows, Digest: hex.EncodeToString(own.Sum[:]), Level: true, Keys: []string{}})
		at[own.Table] = i
	}
	for _, name := range slices.Sorted(maps.Keys(results)) {
		tables := results[name]
		other := verifiedOther{Name: name, Level: tables != nil || len(digests) == 0}
		if !other.Level {
			other.Error = "not linked"
		}
		for _, t := range tables {
			i, here := at[t.Table]
			if !here {
				i = len(answer.Tables)
				at[t.Table] = i
				answer.Tables = append(answer.Tables, verifyTable{Table: t.Table, Level: true, Keys: []string{}})
			}
			entry := &answer.Tables[i]
			entry.Level = entry.Level && t.Level
			entry.Differing += t.Differing
			other.Level = other.Level && t.Level
			for _, key := range t.Keys {
				named, err := d.store.KeyText(t.Table, key)
				if err != nil {
					return nil, err
				}
				var words []string
				for _, part := range named {
					words = append(words, part.Name+"="+part.Value.String())
				}
				entry.Keys = append(entry.Keys, strings.Join(words, ", "))
			}
		}
		answer.Level = answer.Level && other.Level
		answer.Servers = append(answer.Servers, other)
	}
	return answer, nil
}
