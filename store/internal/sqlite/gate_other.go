//go:build !unix

package sqlite

// gate is missing here: the system's locks cannot be shared within a process as gate.c needs it. A
// writer takes the write lock as any program does, and the application needs a busy timeout.
type gate struct{ side *Conn }

type outcome int

const (
	gateShut outcome = iota
	somebodyReads
	underWay
	earlierRead
)

func openGate(string) (*gate, error) { return nil, nil }

func (g *gate) shut(bool) outcome { return gateShut }

func (g *gate) force() {}

func (g *gate) open() {}

func (g *gate) leave() {}

func (g *gate) version() (v logVersion, ok bool) { return v, false }

func (g *gate) frames() (all, left int) { return 0, 0 }

func (g *gate) sync() error { return nil }

func (g *gate) alone(func()) {}

func (g *gate) quiet() bool { return false }

func (g *gate) close() error { return nil }
