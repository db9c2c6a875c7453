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
	// debounceBurst is how long a fold waits after the application's last write when more writes
	// follow one another. That takes a burst in one go, and nobody notices so short a wait.
	debounceBurst = 5 * time.Millisecond
	// debounceAtMost is when it folds although the application never pauses.
	debounceAtMost = 100 * time.Millisecond
	// debounceFirst is how long it waits after a write that none preceded for debounceBurst. Most
	// such writes stay alone. If one is the first of a burst, the next shows within this time.
	debounceFirst = time.Millisecond
	// debounceLone is how long it waits where the last loneEnough writes have all stayed alone.
	// One commit writes to the file more than once, and all of it is there within this time if no
	// disk is waited for. When the application begins to write in bursts, one fold comes in the
	// middle of the first.
	debounceLone = 250 * time.Microsecond
	loneEnough   = 8
	// lookAgain is how soon it looks again if a wake has shown nothing. A file is written before
	// its commit is durable and visible, and the end of a commit wakes nobody. Each further look
	// comes after twice the time, up to pollEvery.
	lookAgain = 2 * time.Millisecond
	// pollEvery is how often it looks without being woken. Notices of file changes can be
	// missing (network mounts, limits); then a fold only comes later.
	pollEvery = time.Second
	// troubleEvery is how often a fold that fails is tried again.
	troubleEvery = 2 * time.Second
)

// Signal wakes any number of waiting goroutines. The zero Signal is ready.
type Signal struct {
	mutex sync.Mutex
	waits map[chan struct{}]bool
}

// Subscribe returns a channel that is signalled after each Notify, and a function that ends that.
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
		default: // an earlier signal is still unread
		}
	}
}

// Folder folds the application's writes, soon after they are made.
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

// Trouble is the error of the last fold, or nil.
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
	var wrote time.Time // when the last fold that found work of the application ended
	lone := 0           // how many writes in a row have stayed alone
	for {
		woken, burst, alone := false, false, false
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-f.Wake:
			woken = true
			// This is a duration, so it goes by the runtime's clock. A wrong wall clock does not move it.
			burst = time.Since(wrote) < debounceBurst
			if alone = f.debounce(ctx, pause(burst, lone)); ctx.Err() != nil {
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
			next, lone = debounceFirst, 0 // a commit of the application may still be under way
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

// pause is how long to wait for further writes.
func pause(burst bool, lone int) time.Duration {
	switch {
	case burst:
		return debounceBurst
	case lone >= loneEnough:
		return debounceLone
	}
	return debounceFirst
}

// debounce waits until nothing has been written for pause. If more is written than one commit
// can account for, it waits for debounceBurst instead. It reports whether there was no more.
func (f *Folder) debounce(ctx context.Context, pause time.Duration) (alone bool) {
	begun, last := time.Now(), time.Duration(0)
	calm, limit := time.NewTimer(pause), time.NewTimer(debounceAtMost)
	defer calm.Stop()
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-calm.C:
			return last < debounceLone
		case <-limit.C:
			return false
		case <-f.Wake: // one commit may wake several times, but not for as long as debounceFirst
			if last = time.Since(begun); last >= debounceFirst {
				pause = debounceBurst
			}
			calm.Reset(pause)
		}
	}
}

// Announced says that the caller has signalled everything up to a position itself, so the next
// look does not signal it on Changed once more.
func (f *Folder) Announced(position causal.Position) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.position = max(f.position, position)
}

// found is the result of a look at the file.
type found int

const (
	nothing found = iota // nobody has committed anything
	commits              // somebody has, and there was nothing to fold
	work                 // of the application
)

// Fold folds now. If nobody has committed since the last fold, it only finds that out. Most
// looks find nothing, and a server at rest should cost nothing.
func (f *Folder) Fold() error {
	_, err := f.fold(context.Background())
	return err
}

func (f *Folder) fold(ctx context.Context) (found, error) {
	version, versionErr := f.Store.FileVersion()
	if versionErr == nil && f.hasFolded(version) {
		return nothing, nil
	}
	rows, position, err := f.Store.FoldTo(ctx)
	f.mutex.Lock()
	known, moved := f.trouble, err == nil && position > f.position
	f.trouble = err
	if moved { // never back: work that was applied meanwhile is announced already
		f.position = position
	}
	f.folded, f.version = err == nil && versionErr == nil, version
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
