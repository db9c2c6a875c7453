package sim

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// reader only reads at a site, on a connection of its own. It asks the questions whose answers must
// never change. Another answer means that it saw half of a document or of a transaction (I4). It
// reads in one transaction, and only when the file has changed since. Any goroutine may call look.
type reader struct {
	path      string
	questions []question
	mutex     sync.Mutex // guards the rest
	conn      *connection
	version   int64 // of the data, as last seen
	looks     int
	wrong     string // what was seen first that must not be
	closed    bool
}

func (r *reader) look() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.wrong != "" || r.closed {
		return
	}
	if err := r.read(); err != nil {
		r.wrong = err.Error()
	}
}

func (r *reader) read() error {
	if r.conn == nil {
		if _, err := os.Stat(r.path); err != nil {
			return nil // a server that joins has no file yet
		}
		conn, err := connect(r.path)
		if err != nil {
			return nil // nor one that can be read
		}
		r.conn = conn
	}
	version, err := r.conn.number("PRAGMA data_version")
	if err != nil || version == r.version {
		return err
	}
	r.version = version
	r.looks++
	if err := r.conn.exec("BEGIN"); err != nil {
		return err
	}
	defer func() { _ = r.conn.exec("COMMIT") }()
	for _, q := range r.questions {
		answer, err := r.conn.answer(q.sql)
		if err != nil && strings.Contains(err.Error(), "no such table") {
			return nil // the first load has not brought them yet
		}
		if err != nil {
			return err
		}
		if answer != q.answer {
			return fmt.Errorf("%s is %s and not %s", q.sql, answer, q.answer)
		}
	}
	return nil
}

// seen is the first wrong answer, or empty.
func (r *reader) seen() (wrong string, looks int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.wrong, r.looks
}

func (r *reader) close() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.closed = true
	if r.conn != nil {
		r.conn.close()
		r.conn = nil
	}
}
