package session

import (
	"fmt"
	"time"

	"ravno/net/wire"
)

// PingDue reports whether a Tick at this time sends its ping. For any other Tick the caller need not
// find out its own state.
func (s *Session) PingDue(now time.Time) bool {
	return s.phase == running && now.Sub(s.pinged) >= PingEvery
}

// Tick is to be called every second or so. ping has the state of this end.
func (s *Session) Tick(now time.Time, ping wire.Ping) []Action {
	switch {
	case s.phase == closed:
		return nil
	case s.phase == opening && now.Sub(s.started) > OpeningTime:
		return s.refuse(CodeSilent, "no greeting", "")
	case now.Sub(s.heard) > SilentAfter:
		return s.refuse(CodeSilent, fmt.Sprintf("no sign of life for %s", SilentAfter), "")
	case s.phase == opening:
		return nil
	}
	var actions []Action
	if !s.askAgain.IsZero() && now.After(s.askAgain) {
		s.askAgain = time.Time{}
		actions = append(actions, Send{s.leftAck()})
	}
	if !s.PingDue(now) {
		return actions
	}
	s.pinged = now
	s.pings++
	ping.ID, ping.ClockMillis = s.pings, now.UnixMilli()
	return append(actions, Send{ping})
}

// Blocked says that the batch names a table or column that this server does not have yet. The batch
// stays with its sender. The link stays up, and our own work goes on. After a while the batch is
// asked for again, because the application here may have been upgraded by then.
func (s *Session) Blocked(now time.Time) []Action {
	s.applying = nil
	s.askAgain = now.Add(AskAgainAfter)
	return nil
}

// Crossed says that the batch crossed with work of ours that the peer did not have when it sent, and
// that the batch cannot be judged without. It stays with its sender until our work is there. Then it
// is asked for again, and has both.
func (s *Session) Crossed(now time.Time) []Action {
	s.applying, s.crossed, s.changed = nil, true, true
	s.askAgain = now.Add(CrossedAgainAfter)
	return s.next()
}

// askNow asks for the batch that was left.
func (s *Session) askNow() []Action {
	s.crossed, s.told, s.askAgain = false, false, time.Time{}
	return append([]Action{Send{s.leftAck()}}, s.next()...)
}
