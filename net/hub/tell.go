package hub

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ravno/net/wire"
)

const (
	// toldBytesPerSecond bounds what the status of all servers, told to all of them, takes of the
	// hub: it grows with the square of their number. A few servers hear at once; a thousand, whose
	// status is some 300 KB, about once a minute, a few in each second: told all at once, they
	// would have the hub hold as many messages, and all of them read at the same moment.
	toldBytesPerSecond = 4 << 20
	// longestSilence is how long the status of a chain of any size may go untold.
	longestSilence = 2 * time.Minute
	// wordLasts is how long the same word is told to one node after the other: what it says of a
	// thousand takes as many looks into the database.
	wordLasts = 10 * time.Second
)

// word is what the hub has to say of all servers.
type word struct {
	message []byte
	content [sha256.Size]byte // of all but its time
	made    time.Time
}

// told is what a node has heard of all servers.
type told struct {
	content [sha256.Size]byte
	turn    uint64 // the later, the later it is told again
}

func (h *Hub) newWord() (w word, err error) {
	snapshot, err := h.Status()
	if err != nil {
		return w, err
	}
	if w.message, err = json.Marshal(snapshot); err != nil {
		return w, err
	}
	snapshot.At = time.Time{}
	content, err := json.Marshal(snapshot)
	w.content, w.made = sha256.Sum256(content), h.Clock()
	return w, err
}

// tell sends the status to nodes whose last one says something else: to those first that have
// not heard for longest. complete is false if there is somebody who has yet to hear it.
func (h *Hub) tell() (complete bool, err error) {
	h.mutex.Lock()
	nobody := len(h.live) == 0
	h.mutex.Unlock()
	// A wait longer than there is means that the clock was set back.
	if wait := h.tellAfter.Sub(h.Clock()); nobody || wait > 0 && wait < longestSilence {
		return nobody, nil
	}
	if age := h.Clock().Sub(h.word.made); !h.telling || age < 0 || age > wordLasts {
		if h.word, err = h.newWord(); err != nil {
			return false, err
		}
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	sent := 0
	h.telling, complete = false, true
	for _, l := range slices.SortedFunc(maps.Values(h.live), func(a, b *live) int { return cmp.Compare(a.told.turn, b.told.turn) }) {
		if l.told.content == h.word.content {
			continue
		}
		if sent >= toldBytesPerSecond {
			h.telling, complete = true, false // the rest another time
			break
		}
		if !l.line.Offer(wire.Status{JSON: h.word.message}) { // nobody writes to it
			complete = false
			continue
		}
		h.turn++
		l.told = told{content: h.word.content, turn: h.turn}
		sent += len(h.word.message)
	}
	if !h.telling {
		h.word = word{}
	}
	h.tellAfter = h.Clock().Add(time.Duration(sent) * time.Second / toldBytesPerSecond)
	return complete, nil
}
