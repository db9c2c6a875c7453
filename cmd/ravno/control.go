package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ravno/net/status"
)

// The running daemon answers commands over HTTP on a socket in the state directory:
//
//	GET  /status          the status, as JSON
//	POST /wait?timeout=   204 when level with all earlier writes, else 504 or 500 and the reason
//	GET  /verify?table=   verifyAnswer, as JSON
//	POST /poke            204; the daemon reads the file again at once
const socketName = "sock"

const (
	socketMode = 0o600
	// maxSocketPath is the room of a socket's address in Linux, its final zero included.
	maxSocketPath = 108
	// answerTime bounds what the daemon answers from memory.
	answerTime = 10 * time.Second
	// waitGrace is how much longer than the daemon a command waits for the daemon's answer.
	waitGrace = 5 * time.Second
	// maxAnswerBytes bounds an answer; the status of a thousand servers has half a megabyte.
	maxAnswerBytes = 64 << 20
)

// errNoDaemon says that no daemon serves the database.
var errNoDaemon = errors.New("the daemon is not running")

// socketAddress names a state directory's socket for a system call. That is its path or, if the path
// is too long, a path through the opened directory.
func socketAddress(dir string) (address string, opened *os.File, err error) {
	address = filepath.Join(dir, socketName)
	if len(address) < maxSocketPath {
		return address, nil, nil
	}
	if opened, err = os.Open(dir); err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(opened.Fd())) + "/" + socketName, opened, nil
}

// controlListener keeps the directory open for as long as its address goes through it.
type controlListener struct {
	net.Listener
	opened *os.File // nil: the address is a plain path
}

// Close stops listening and removes the socket.
func (l *controlListener) Close() error {
	err := l.Listener.Close()
	if l.opened != nil {
		err = errors.Join(err, l.opened.Close())
	}
	return err
}

// listenControl listens on the socket of a state directory whose lock the caller holds. A socket that
// exists already was left by a daemon that was killed.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the old socket: %w", err)
	}
	address, opened, err := socketAddress(dir)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	l := &controlListener{Listener: listener, opened: opened}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// control talks with the daemon of one database.
type control struct {
	path string // the database
	http http.Client
}

func newControl(path string) *control {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		address, opened, err := socketAddress(stateDir(path))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoDaemon, err)
		}
		if opened != nil {
			defer opened.Close()
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
		if err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("%w: %w", errNoDaemon, err)
		}
		return conn, err
	}
	return &control{path: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// ask sends one request. A refusal of the daemon becomes an error with its text.
func (c *control) ask(ctx context.Context, method, query string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://ravno"+query, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		var wrapped *url.Error // without the URL, which nobody typed
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if errors.Is(err, errNoDaemon) {
			return nil, fmt.Errorf("%s: %w. Try: ravno run --db %s", c.path, errNoDaemon, c.path)
		}
		return nil, fmt.Errorf("%s: the daemon does not answer: %w. Try: the daemon's own log, or restart it", c.path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("%s: the daemon's answer broke off: %w. Try: again", c.path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		text := strings.TrimSpace(string(body))
		if text == "" {
			text = "the daemon refused: " + response.Status
		}
		return nil, fmt.Errorf("%s: %s", c.path, text)
	}
	return body, nil
}

// status asks for the status. Without a daemon the error is errNoDaemon.
func (c *control) status(ctx context.Context) (status.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, err := c.ask(ctx, http.MethodGet, "/status")
	if err != nil {
		return status.Snapshot{}, err
	}
	return status.Decode(body)
}

// wait waits until the hub has all earlier writes here and this server has those of the hub.
func (c *control) wait(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout+waitGrace)
	defer cancel()
	_, err := c.ask(ctx, http.MethodPost, "/wait?timeout="+url.QueryEscape(timeout.String()))
	return err
}

// poke makes the daemon, if there is one, read the file again at once.
func (c *control) poke(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := c.ask(ctx, http.MethodPost, "/poke")
	if errors.Is(err, errNoDaemon) {
		return nil
	}
	return err
}

// verify compares a table, or all, with the other servers. It takes as long as reading
// every row does.
func (c *control) verify(ctx context.Context, table string) (verifyAnswer, error) {
	body, err := c.ask(ctx, http.MethodGet, "/verify?table="+url.QueryEscape(table))
	if err != nil {
		return verifyAnswer{}, err
	}
	var result verifyAnswer
	if err := json.Unmarshal(body, &result); err != nil {
		return verifyAnswer{},
			fmt.Errorf("%s: the daemon's answer to verify: %w. Try: the same version of ravno for daemon and command", c.path,
				err)
	}
	return result, nil
}
