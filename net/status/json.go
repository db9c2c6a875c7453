package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxEncodedBytes bounds the JSON that Decode accepts. A thousand servers take well under one megabyte,
// so eight leave room for long texts and refuse a flood.
const MaxEncodedBytes = 8 << 20

// jsonTimeLayout is RFC 3339 in UTC with exactly three decimals. Stamps have milliseconds, and every
// parser reads a fixed number of digits.
const jsonTimeLayout = "2006-01-02T15:04:05.000Z"

// Fields and their order are the contract of `ravno status --json`. New ones are only ever added at the end.
type snapshotJSON struct {
	Site    string       `json:"site"`
	Role    string       `json:"role"`
	Hub     string       `json:"hub"`
	At      moment       `json:"at"`
	Level   bool         `json:"level"`
	Daemon  bool         `json:"daemon"`
	Servers []serverJSON `json:"servers"`
	Notices []string     `json:"notices"`
	Writes  *Writes      `json:"writes,omitempty"`
}

type serverJSON struct {
	Name          string `json:"name"`
	Role          string `json:"role"`
	State         State  `json:"state"`
	Cause         Cause  `json:"cause"`
	CauseText     string `json:"cause_text"`
	Since         moment `json:"since"`
	LastTransfer  moment `json:"last_transfer"`
	PendingOut    int64  `json:"pending_out"`
	PendingIn     int64  `json:"pending_in"`
	Conflicts     int    `json:"conflicts"`
	ClockOffsetMS int64  `json:"clock_offset_ms"`
	Version       string `json:"version"`
}

// moment is a time in JSON, or null for the zero time.
type moment time.Time

func (m moment) MarshalJSON() ([]byte, error) {
	t := time.Time(m).UTC()
	if t.IsZero() {
		return []byte("null"), nil
	}
	if year := t.Year(); year < 0 || year > 9999 {
		return nil, fmt.Errorf("year %d does not fit RFC 3339, which ends at 9999", year)
	}
	return []byte(t.Format(`"` + jsonTimeLayout + `"`)), nil
}

func (m *moment) UnmarshalJSON(data []byte) error {
	var t time.Time // stays zero for null
	if err := t.UnmarshalJSON(data); err != nil {
		return err
	}
	if !t.IsZero() {
		t = t.UTC()
	}
	*m = moment(t)
	return nil
}

// MarshalJSON writes the shape of `ravno status --json`, compact. Times are in UTC to the millisecond,
// the zero time is null, and no list is null.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	s = s.Judged()
	out := snapshotJSON{
		Site: s.Site, Role: s.Role, Hub: s.Hub, At: moment(s.At), Level: s.Level, Daemon: s.Daemon,
		Servers: make([]serverJSON, 0, len(s.Servers)), Notices: s.Notices, Writes: s.Writes,
	}
	for _, server := range s.Servers {
		out.Servers = append(out.Servers, serverJSON{
			Name: server.Name, Role: server.Role, State: server.State, Cause: server.Cause, CauseText: server.CauseText,
			Since: moment(server.Since), LastTransfer: moment(server.LastTransfer),
			PendingOut: server.PendingOut, PendingIn: server.PendingIn, Conflicts: server.Conflicts,
			ClockOffsetMS: server.ClockOffsetMS, Version: server.Version,
		})
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("status: encode snapshot of %q: %w", s.Site, err)
	}
	return ASCIIControls(data), nil
}

// UnmarshalJSON reads the output of MarshalJSON. It ignores fields it does not know, because a newer
// server may send them. New causes are shown as they are. A state that is not one of the three is
// refused, because it could not be shown. Level is recomputed.
func (s *Snapshot) UnmarshalJSON(data []byte) error {
	var in snapshotJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	decoded := Snapshot{
		Site: in.Site, Role: in.Role, Hub: in.Hub, At: time.Time(in.At), Daemon: in.Daemon,
		Servers: make([]Server, 0, len(in.Servers)), Notices: in.Notices, Writes: in.Writes,
	}
	for _, server := range in.Servers {
		if server.State != Green && server.State != Red && server.State != Grey {
			return fmt.Errorf("server %q: state %q is none of green, red, grey", server.Name, server.State)
		}
		decoded.Servers = append(decoded.Servers, Server{
			Name: server.Name, Role: server.Role, State: server.State, Cause: server.Cause, CauseText: server.CauseText,
			Since: time.Time(server.Since), LastTransfer: time.Time(server.LastTransfer),
			PendingOut: server.PendingOut, PendingIn: server.PendingIn, Conflicts: server.Conflicts,
			ClockOffsetMS: server.ClockOffsetMS, Version: server.Version,
		})
	}
	*s = decoded.Judged()
	return nil
}

// Encode writes the snapshot as one indented JSON document with a line break at the end.
func Encode(w io.Writer, s Snapshot) error {
	compact, err := s.MarshalJSON()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return fmt.Errorf("status: indent snapshot of %q: %w", s.Site, err)
	}
	out.WriteByte('\n')
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("status: write snapshot of %q: %w", s.Site, err)
	}
	return nil
}

// Decode reads a snapshot that came from another server or from storage. It refuses more than MaxEncodedBytes.
func Decode(data []byte) (Snapshot, error) {
	if len(data) > MaxEncodedBytes {
		return Snapshot{}, fmt.Errorf("status: decode snapshot: %d bytes, limit is %d", len(data), MaxEncodedBytes)
	}
	var s Snapshot
	if err := s.UnmarshalJSON(data); err != nil { // not by json.Unmarshal, which would go through it three times
		return Snapshot{}, fmt.Errorf("status: decode snapshot: %w", err)
	}
	return s, nil
}

// ASCIIControls writes the characters that do not print as \uXXXX. encoding/json does so only below
// U+0020, but U+009B begins an escape sequence on some terminals, and U+202E turns the rest of the
// line around. Outside strings JSON is printing ASCII, so the document means the same.
func ASCIIControls(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case strconv.IsPrint(r):
			out = append(out, data[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		data = data[size:]
	}
	return out
}
