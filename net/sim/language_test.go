package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ravno/store"
)

// scenario is one course of events in a chain, as a value. It is a text, too: String writes it
// and parseScenario reads it back, the same. testdata/scenario holds such texts, and the words
// of the language are in its README.
type scenario struct {
	about    []string // what it tells, line by line
	sites    []string // the hub first
	schema   []string // SQL, line by line
	settings []store.Setting
	always   []question // what every reader at every site must find at any moment
	slices   int        // how many rows are folded and sent at a time; 0: as many as usual
	steps    []step
}

// question is a query and its answer: columns joined by "|", rows by ", ".
type question struct {
	sql, answer   string
	overDocuments bool // it is about more than one document; only where it is drawn
}

// step is one thing that happens. Which fields count depends on do; see stepForms.
type step struct {
	do    string
	site  string
	times int // of at and try; 0 stands for once, without counting
	sql   string
	want  string
	word  string
	span  time.Duration
	n     int
}

// A step is written as one of these. SITE, WORD and N are one word each, SPAN is a duration,
// SQL goes on to the end of the line and over the lines that follow and begin with a tab,
// and WANT is what comes after the last " = " in it.
var stepForms = map[string]string{
	"at":           "SITE SQL",       // a transaction of the application there; must succeed
	"try":          "SITE SQL",       // the same; a constraint may refuse it
	"tamper":       "SITE SQL",       // writes there, or everywhere, behind the back of the capture, as a bug would
	"cut":          "SITE",           // no packet passes between the hub and it
	"deafen":       "SITE",           // it hears nothing and is heard
	"mute":         "SITE",           // it is not heard and hears
	"drop":         "SITE",           // is cut in the middle of its next batch, whichever way that goes
	"heal":         "SITE",           // the line is good again
	"bad-network":  "",               // packets are lost, doubled and delayed everywhere
	"good-network": "",               // no longer
	"crash":        "SITE",           // the daemon ends, amid its work
	"restart":      "SITE",           // ends, if it runs, and starts
	"copy":         "SITE",           // its next batch is copied on the way
	"deliver":      "N",              // the Nth copy arrives, late or again
	"clock":        "SITE SPAN",      // is wrong by this from now on
	"wait":         "SPAN",           //
	"join":         "SITE",           // a new server joins, over the network
	"resolve":      "SITE WORD",      // there, every open conflict: keep this site's side, or the Nth
	"level":        "",               // everything heals; all must be level within 60s, and well
	"expect":       "SITE SQL WANT",  // there, or everywhere, the query answers this
	"conflicts":    "N WORD",         // so many are open at the hub, of this kind, or any
	"red":          "SPAN SITE WORD", // within this time every server's status shows it red, for this cause
	"sees":         "SPAN SITE WORD", // within this time its status shows NAME:STATE or NAME:STATE:CAUSE
	"green":        "SPAN",           // within this time every server shows every server green
	"same":         "",               // all files say the same, now
}

func (s step) String() string {
	line := s.do
	for _, part := range strings.Fields(stepForms[s.do]) {
		switch part {
		case "SITE":
			line += " " + s.site
		case "WORD":
			line += " " + s.word
		case "N":
			line += " " + strconv.Itoa(s.n)
		case "SPAN":
			line += " " + s.span.String()
		case "SQL":
			if s.times > 0 {
				line += fmt.Sprintf(" %d times", s.times)
			}
			line += ": " + strings.ReplaceAll(s.sql, "\n", "\n\t")
		case "WANT":
			line += " = " + s.want
		}
	}
	return line
}

func (sc scenario) String() string {
	var b strings.Builder
	for _, line := range sc.about {
		fmt.Fprintln(&b, strings.TrimSpace("# "+line))
	}
	fmt.Fprintln(&b, "sites", strings.Join(sc.sites, " "))
	fmt.Fprintln(&b, "schema")
	for _, line := range sc.schema {
		fmt.Fprintln(&b, "\t"+line)
	}
	for _, s := range sc.settings {
		fmt.Fprintln(&b, settingLine(s))
	}
	for _, q := range sc.always {
		fmt.Fprintf(&b, "always %s = %s\n", q.sql, q.answer)
	}
	if sc.slices > 0 {
		fmt.Fprintln(&b, "slices", sc.slices)
	}
	for _, s := range sc.steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

func settingLine(s store.Setting) string {
	line := "table " + s.Table
	if s.Class != store.Synced {
		line += " " + string(s.Class)
	}
	if s.Document != "" {
		line += " document " + s.Document
	}
	if len(s.Counters) > 0 {
		line += " counter " + strings.Join(s.Counters, ",")
	}
	return line
}

// scenarioError says which line of a text is not of the language, and why.
type scenarioError struct {
	line int
	why  string
}

func (e *scenarioError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.why) }

func parseScenario(text string) (sc scenario, err error) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		first, whole := i, []string{lines[i]}
		for i++; i < len(lines) && strings.HasPrefix(lines[i], "\t"); i++ {
			whole = append(whole, lines[i][1:])
		}
		if whole[0] == "schema" {
			sc.schema = whole[1:]
		} else if err := sc.parseLine(strings.Join(whole, "\n")); err != nil {
			return sc, &scenarioError{first + 1, err.Error()}
		}
	}
	if len(sc.sites) < 1 {
		return sc, &scenarioError{len(lines), "no sites"}
	}
	return sc, sc.check()
}

func (sc *scenario) parseLine(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "":
		return nil
	case word == "#":
		if len(sc.steps) == 0 {
			sc.about = append(sc.about, rest)
		}
		return nil
	case word == "sites":
		sc.sites = strings.Fields(rest)
		return nil
	case word == "table":
		s, err := parseSetting(strings.Fields(rest))
		sc.settings = append(sc.settings, s)
		return err
	case word == "slices":
		sc.slices, err = strconv.Atoi(rest)
		return err
	case word == "always":
		sql, answer, ok := cutLast(rest, " = ")
		if !ok {
			return fmt.Errorf(`want: always QUERY = ANSWER`)
		}
		sc.always = append(sc.always, question{sql: sql, answer: answer})
		return nil
	}
	s, err := parseStep(word, rest)
	sc.steps = append(sc.steps, s)
	return err
}

func parseSetting(words []string) (s store.Setting, err error) {
	s.Class = store.Synced
	if len(words) == 0 {
		return s, fmt.Errorf("want: table NAME [journal | local] [document PARENT] [counter COLUMN,...]")
	}
	s.Table = words[0]
	for i := 1; i < len(words); i++ {
		switch word := words[i]; {
		case word == string(store.Journal) || word == string(store.Local):
			s.Class = store.Class(word)
		case word == "document" && i+1 < len(words):
			i++
			s.Document = words[i]
		case word == "counter" && i+1 < len(words):
			i++
			s.Counters = strings.Split(words[i], ",")
		default:
			return s, fmt.Errorf("table %s: %q is not understood", s.Table, word)
		}
	}
	return s, nil
}

func parseStep(do, rest string) (s step, err error) {
	form, known := stepForms[do]
	if !known {
		return s, fmt.Errorf("%q is no step", do)
	}
	s.do = do
	for _, part := range strings.Fields(form) {
		if part == "SQL" {
			return s, s.parseSQL(rest, strings.HasSuffix(form, "WANT"))
		}
		var word string
		if part == "SITE" && strings.Contains(form, "SQL") {
			end := strings.IndexAny(rest, " :")
			if end < 0 {
				return s, fmt.Errorf("want: %s SITE: SQL", do)
			}
			word, rest = rest[:end], strings.TrimPrefix(rest[end:], " ")
		} else {
			word, rest, _ = strings.Cut(rest, " ")
		}
		switch part {
		case "SITE":
			s.site = word
		case "WORD":
			s.word = word
		case "N":
			s.n, err = strconv.Atoi(word)
		case "SPAN":
			s.span, err = time.ParseDuration(word)
		}
		if word == "" || err != nil {
			return s, fmt.Errorf("%s: want %s, got %q", do, form, word)
		}
	}
	if rest != "" {
		return s, fmt.Errorf("%s: %q is too much", do, rest)
	}
	return s, nil
}

// parseSQL reads "[N times]: SQL [= WANT]".
func (s *step) parseSQL(rest string, wants bool) error {
	head, sql, ok := strings.Cut(rest, ": ")
	if !ok {
		return fmt.Errorf("%s: want a colon and a space before the SQL", s.do)
	}
	if head != "" {
		if _, err := fmt.Sscanf(head, "%d times", &s.times); err != nil || s.times < 1 {
			return fmt.Errorf("%s: %q is no number of times", s.do, head)
		}
	}
	s.sql = sql
	if wants {
		if s.sql, s.want, ok = cutLast(sql, " = "); !ok {
			return fmt.Errorf("%s: want QUERY = ANSWER", s.do)
		}
	}
	return nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// check finds names of sites that nobody has.
func (sc scenario) check() error {
	known := slices.Clone(sc.sites)
	for i, s := range sc.steps {
		if s.do == "join" {
			known = append(known, s.site)
		}
		if s.site != "" && s.site != "everywhere" && !slices.Contains(known, s.site) {
			return fmt.Errorf("step %d, %s: there is no site %s", i+1, s.do, s.site)
		}
	}
	return nil
}
