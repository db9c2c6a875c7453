package status

import (
	"strings"
	"testing"
	"time"
)

func TestBannerSaysWhetherToAct(t *testing.T) {
	for _, c := range []struct {
		states       []State
		daemon       bool
		class        State
		line, detail string
	}{
		{[]State{Green, Green}, true, Green, "All level", "2 servers: 2 green."},
		{[]State{Green, Red}, true, Red, "1 server needs attention", "2 servers: 1 red, 1 green."},
		{[]State{Red, Red, Grey}, true, Red, "2 servers need attention",
			"3 servers: 2 red, 1 grey (transferring, or not known)."},
		{[]State{Grey, Green}, true, Grey, "Not level yet", "2 servers: 1 grey (transferring, or not known), 1 green."},
		{[]State{Grey}, false, Grey, "Not level yet",
			"1 server: 1 grey (transferring, or not known). The daemon is not running here."},
		{nil, true, Grey, "Not level yet", "No server is known here."},
	} {
		s := Snapshot{Daemon: c.daemon}
		for _, state := range c.states {
			s.Servers = append(s.Servers, Server{State: state})
		}
		page := pageOf(t, s, PageOptions{})
		for _, want := range []string{
			`<section class="banner ` + string(c.class) + `">`,
			`<span class="symbol" aria-hidden="true">` + symbol(c.class) + `</span>` + c.line + `</h2>`,
			`<p>` + c.detail + `</p>`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%v: no %q in the page", c.states, want)
			}
		}
	}
}

func TestPageNeedsNothingFromAnywhere(t *testing.T) {
	page := pageOf(t, chain(), PageOptions{Refresh: DefaultRefresh})
	for _, foreign := range []string{"http://", "https://", "//", "<script", "<link", "<img", "@import", "url(", "src="} {
		if strings.Contains(page, foreign) {
			t.Errorf("%q in the page", foreign)
		}
	}
}

// The page can be read without colour, and aloud.
func TestPageReadableWithoutColour(t *testing.T) {
	page := pageOf(t, chain(), PageOptions{})
	for _, want := range []string{
		`<html lang="en">`, "<title>✗ 3 servers need attention – centrala – ravno</title>", "<caption>", `scope="row"`,
		`aria-hidden="true">✓</span>green`, `aria-hidden="true">✗</span>red`, `aria-hidden="true">○</span>grey`,
		`name="viewport"`, "prefers-color-scheme: dark",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if heads, scoped := strings.Count(page, "<th "), strings.Count(page, `scope="`); heads != scoped || heads == 0 {
		t.Errorf("%d heads, %d with a scope", heads, scoped)
	}
}

func TestPageRefreshesInWholeSeconds(t *testing.T) {
	for refresh, want := range map[time.Duration]string{
		time.Millisecond: `content="1"`, DefaultRefresh: `content="10"`, 1500 * time.Millisecond: `content="2"`,
	} {
		if page := pageOf(t, chain(), PageOptions{Refresh: refresh}); !strings.Contains(
			page, `<meta http-equiv="refresh" `+want+`>`) {
			t.Errorf("%v: no %s", refresh, want)
		}
	}
	if page := pageOf(t, chain(), PageOptions{}); strings.Contains(page, `http-equiv="refresh"`) {
		t.Error("refreshes although told never to")
	}
}

func TestServersInTroubleComeFirst(t *testing.T) {
	page := pageOf(t, chain(), PageOptions{})
	at := 0
	for _, name := range []string{"Пловдив", "北京", "new-shop", "складъ-2", "centrala", "Ресторант Витоша"} {
		next := strings.Index(page[at:], `<bdi translate="no">`+name+`</bdi>`+
			map[bool]string{true: " (here)"}[name == "centrala"]+`<span`)
		if next < 0 {
			t.Fatalf("%s is missing or too early", name)
		}
		at += next
	}
}
