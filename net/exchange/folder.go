package exchange

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ravno/crdt/causal"
	"ravno/store"
)

const (
	// quiet is how long a fold waits after the application's last write for more of them:
	// long enough to take a burst in one go, too short for anyone to notice.
	quiet = 5 * time.Millisecond
	// quietAtMost is when it folds although the application never pauses.
	quietAtMost = 100 * time.Millisecond
	// breath is what it waits instead after a write that none preceded for a quiet moment: most
	// such writes stay alone, and if one is the first of a burst, the next shows within it.
	breath = time.Millisecond
	// glance is what it waits where the last loneEnough writes have all stayed alone: a file is
	// written to more than once for one commit, and within a glance it is there, if no disk is
	// waited for. An application that begins to write in bursts is met in the middle of one once.
	glance     = 250 * time.Microsecond
	loneEnough = 8
	// lookAgain is how soon it looks again if a wake has shown nothing: a file is written before
	// the commit is durable and seen, and the end of a commit wakes nobody. Then it takes twice as
	// long each time, until it polls as ever.
	lookAgain = 2 * time.Millisecond
	// pollEvery is how often it looks without being woken: notices of file changes can be
	// missing (network mounts, limits), and only cost time then.
	pollEvery = time.Second
	// troubleEvery is how often a fold that fails is tried again.
	troubleEvery = 2 * time.Second
)

// Signal wakes any number of waiting goroutines. The zero Signal is ready.
type Signal struct {
	mutex sync.Mutex
	waits map[chan struct{}]bool
}

// Subscribe returns a channel that is signalled after each Notify, and how to stop that.
func (s *Signal) Subscribe() (signalled <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	return c, s.Add(c)
}

// Add is Subscribe with a channel of the caller's, with room for one.
func (s *Signal) Add(c chan struct{}) (stop func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.waits == nil {
		s.waits = map[chan struct{}]bool{}
	}
	s.waits[c] = true
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.waits, c)
	}
}

// Notify signals everyone subscribed. It never waits.
func (s *Signal) Notify() { s.NotifyBut(nil) }

// NotifyBut signals everyone subscribed but one.
func (s *Signal) NotifyBut(one chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for c := range s.waits {
		if c == one {
			continue
		}
		select {
		case c <- struct{}{}:
		default: // signalled already, and not looked yet
		}
	}
}

// Folder folds what the application writes, soon after it has written it.
type Folder struct {
	Store *store.Store
	// Wake yields when the file may have changed.
	Wake <-chan struct{}
	// Changed is notified when a fold finds that something changed.
	Changed *Signal
	Log     zerolog.Logger

	mutex    sync.Mutex
	trouble  error
	position causal.Position // at the last fold
	folded   bool            // the last fold succeeded, and began at
	version  int64           // this version of the file
}

// Trouble is what keeps the last fold from succeeding; nil if nothing does.
func (f *Folder) Trouble() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.trouble
}

// Run folds until ctx ends.
func (f *Folder) Run(ctx context.Context) {
	next := pollEvery
	poll := time.NewTimer(0)
	defer poll.Stop()
	var wrote time.Time // when the last fold that found work of the application was over
	lone := 0           // how many writes in a row have stayed alone
	for {
		woken, burst, alone := false, false, false
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-f.Wake:
			woken = true
			// How long, not when: by the runtime's clock, which no wrong wall clock moves.
			burst = time.Since(wrote) < quiet
			if alone = f.settle(ctx, pause(burst, lone)); ctx.Err() != nil {
				return
			}
		}
		found, err := f.fold(ctx)
		if found == work {
			wrote = time.Now()
			if lone++; burst || !alone {
				lone = 0
			}
		}
		switch {
		case err != nil:
			next = troubleEvery
		case woken && !burst && found != work && lone >= loneEnough:
			next, lone = breath, 0 // the commit takes its time, if it is one of the application
		case found != nothing:
			next = pollEvery
		case woken:
			next = lookAgain
		default:
			next = min(2*next, pollEvery)
		}
		poll.Reset(next)
	}
}

// pause is how long to wait for more of what was written.
func pause(burst bool, lone int) time.Duration {
	switch {
	case burst:
		return quiet
	case lone >= loneEnough:
		return glance
	}
	return breath
}

// settle waits for a moment in which nothing is written, of a certain length: if more is written than
// one commit may be, of a quiet one's. It reports whether there was no more.
func (f *Folder) settle(ctx context.Context, pause time.Duration) (alone bool) {
	begun, last := time.Now(), time.Duration(0)
	calm, limit := time.NewTimer(pause), time.NewTimer(quietAtMost)
	defer calm.Stop()
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-calm.C:
			return last < glance
		case <-limit.C:
			return false
		case <-f.Wake: // one commit may wake several times, but not for a breath
			if last = time.Since(begun); last >= breath {
				pause = quiet
			}
			calm.Reset(pause)
		}
	}
}

// Told says that whoever listens to Changed has been told of everything up to a position
// already: the next look does not signal it once more.
func (f *Folder) Told(position causal.Position) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.position = max(f.position, position)
}

// found is what a look at the file has shown.
type found int

const (
	nothing found = iota // nobody has committed anything
	commits              // somebody has, and there was nothing to fold
	work                 // of the application
)

// Fold folds now. In a file in which nobody has committed anything since the last fold it
// only finds that out: most looks find nothing, and a server at rest should cost nothing.
func (f *Folder) Fold() error {
	_, err := f.fold(context.Background())
	return err
}

func (f *Folder) fold(ctx context.Context) (found, error) {
	version, unknown := f.Store.FileVersion()
	if unknown == nil && f.hasFolded(version) {
		return nothing, nil
	}
	rows, position, err := f.Store.FoldTo(ctx)
	f.mutex.Lock()
	known, moved := f.trouble, err == nil && position > f.position
	f.trouble = err
	if moved { // not back: of what was applied meanwhile they are told already
		f.position = position
	}
	f.folded, f.version = err == nil && unknown == nil, version
	f.mutex.Unlock()
	if err != nil && known == nil {
		f.Log.Error().Err(err).Msg("folding failed; it is tried again until it succeeds")
	}
	if moved { // by this fold or by another one: a command, an apply
		f.Changed.Notify()
	}
	if rows > 0 {
		return work, err
	}
	return commits, err
}

// hasFolded reports whether everything in a version of the file is folded. A fold that itself
// commits makes a newer version, which is looked at once more.
func (f *Folder) hasFolded(version int64) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.folded && f.version == version
}
