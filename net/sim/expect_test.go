package sim

import (
	"slices"
	"strings"
	"time"

	"ravno/net/status"
)

func (r *trial) expect(s step) {
	for _, x := range r.sitesOf(s.site) {
		answer, err := x.conn.answer(s.sql)
		r.must(err)
		if answer != s.want {
			r.fail("expectation", "%s: %s is %s and not %s", x.name, s.sql, answer, s.want)
		}
	}
}

func (r *trial) expectConflicts(s step) {
	open, err := r.sites[0].daemon.store.Conflicts(false)
	r.must(err)
	found, kinds := 0, []string{}
	for _, x := range open {
		kinds = append(kinds, string(x.Kind))
		if s.word == "any" || s.word == string(x.Kind) {
			found++
		}
	}
	if found != s.n {
		r.fail("expectation", "%d conflicts are open of kind %s and not %d; all: %s", found, s.word, s.n,
			strings.Join(kinds, " "))
	}
}

func (r *trial) expectStatus(s step) {
	began := time.Now()
	for {
		so := true
		for _, at := range r.sites {
			if at.daemon == nil {
				continue
			}
			switch {
			case s.do == "green":
				so = so && r.snapshot(at).Level
			case s.do == "red":
				so = so && r.red(at.name, s.site, status.Cause(s.word))
			case slices.Contains(r.sitesOf(s.site), at):
				so = so && r.shows(at.name, s.word)
			}
		}
		if so {
			return
		}
		if time.Since(began) >= s.span {
			r.fail("expectation", "not within %s:\n%s", s.span, r.statuses())
		}
		time.Sleep(lookAgain)
	}
}

// shows reports whether a server's status shows another as "NAME:STATE" or "NAME:STATE:CAUSE" says.
func (r *trial) shows(at, word string) bool {
	parts := strings.Split(word+":", ":")
	server := r.sees(at, parts[0])
	return string(server.State) == parts[1] && string(server.Cause) == parts[2]
}
