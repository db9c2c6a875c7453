package status

import (
	"bytes"
	_ "embed" // for page.html and page.css
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// pageTemplate is parsed once. It never changes and is safe for concurrent use.
var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// DefaultRefresh is how often an open page asks again. That is soon enough to watch a link return, and
// costs little.
const DefaultRefresh = 10 * time.Second

// PageOptions says how Page draws. The zero value: UTC, no refresh.
type PageOptions struct {
	Location *time.Location // of the times shown; nil: UTC
	Refresh  time.Duration  // the page reloads itself this often, rounded up to whole seconds; 0: never
}

// pageView is the one value the template is a function of. All texts in it are visible.
type pageView struct {
	Site, Role, Hub  string
	Class, Symbol    string // of the banner
	Headline, Detail string
	At, AtMachine    string
	RefreshSeconds   int64
	CSS              template.CSS
	Rows             []pageRow
	Notices          []string
}

type pageRow struct {
	Name, About, Class, Symbol, State, Since, LastTransfer, Cause string
	Own                                                           bool
	Out, In                                                       int64
	Conflicts                                                     int
}

// Page writes the snapshot as one HTML page without scripts, fonts or pictures from elsewhere. Its
// errors are those of w.
func Page(w io.Writer, s Snapshot, o PageOptions) error {
	s = s.Judged()
	view := pageView{
		Site: Visible(s.Site), Role: Visible(s.Role),
		At: minuteAndZone(s.At, o.Location), AtMachine: s.At.UTC().Format(time.RFC3339),
		RefreshSeconds: wholeSeconds(o.Refresh),
		CSS:            template.CSS(pageCSS),
		Detail:         bannerDetail(s),
	}
	if s.Hub != s.Site {
		view.Hub = Visible(s.Hub)
	}
	view.Class, view.Headline = banner(s)
	view.Symbol = symbol(State(view.Class))
	for _, server := range attentionFirst(s.Servers) {
		view.Rows = append(view.Rows, rowOf(server, s.Site, o.Location))
	}
	for _, notice := range s.Notices {
		view.Notices = append(view.Notices, Visible(notice))
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, view); err != nil {
		return fmt.Errorf("status: draw page of %q: %w", s.Site, err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("status: write page of %q: %w", s.Site, err)
	}
	return nil
}

// wholeSeconds rounds up, because browsers count refreshes in whole seconds and 0 would mean without pause.
func wholeSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// banner is the colour of the whole and the sentence everybody reads first. Grey servers level by
// themselves, so they only keep the banner from being green.
func banner(s Snapshot) (class, headline string) {
	red := s.count(Red)
	switch {
	case s.Level:
		return string(Green), "All level"
	case red == 1:
		return string(Red), "1 server needs attention"
	case red > 1:
		return string(Red), fmt.Sprintf("%d servers need attention", red)
	default:
		return string(Grey), "Not level yet"
	}
}

func bannerDetail(s Snapshot) string {
	var parts []string
	add := func(n int, words string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words))
		}
	}
	red, green := s.count(Red), s.count(Green)
	add(red, "red")
	add(len(s.Servers)-red-green, "grey (transferring, or not known)")
	add(green, "green")
	detail := fmt.Sprintf("%s: %s.", counted(int64(len(s.Servers)), "server"), strings.Join(parts, ", "))
	if len(s.Servers) == 0 {
		detail = "No server is known here."
	}
	if !s.Daemon {
		detail += " The daemon is not running here."
	}
	return detail
}

func rowOf(server Server, site string, loc *time.Location) pageRow {
	row := pageRow{
		Name: Visible(server.Name), Own: server.Name == site, About: aboutServer(server),
		Class: string(Grey), Symbol: symbol(server.State), State: Visible(string(server.State)),
		LastTransfer: minuteOrNever(server.LastTransfer, loc), Cause: Visible(causeWords(server)),
		Out: server.PendingOut, In: server.PendingIn, Conflicts: server.Conflicts,
	}
	if server.State == Green || server.State == Red {
		row.Class = string(server.State)
	}
	if !server.Since.IsZero() {
		row.Since = minute(server.Since, loc)
	}
	return row
}

// aboutServer is the small print below a name, with role, version and clock.
func aboutServer(server Server) string {
	parts := []string{server.Role}
	if server.Version != "" {
		parts = append(parts, server.Version)
	}
	if server.ClockOffsetMS != 0 {
		parts = append(parts, fmt.Sprintf("clock %+d ms", server.ClockOffsetMS))
	}
	return Visible(strings.Join(parts, ", "))
}

// symbol stands beside the word of a state, for those who cannot tell the colours.
func symbol(state State) string {
	switch state {
	case Green:
		return "✓"
	case Red:
		return "✗"
	case Grey:
	}
	return "○"
}
