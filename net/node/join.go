package node

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"ravno/crdt/causal"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/wire"
	"ravno/store"
)

const (
	// loadStall is how long a first load may stand still before the link is dialled again.
	loadStall = 30 * time.Second
	// loadTries is how often a first load is taken up again before join gives up. A later join
	// goes on where it stopped.
	loadTries = 5
	// maxLoadBytes bounds an unpacked first load, in bytes: 16 TiB, beyond any SQLite file in
	// use, so that a hostile hub cannot claim more than the disk check would notice.
	maxLoadBytes = 16 << 40
)

// Join is one enrolment of this server as a node.
type Join struct {
	Token    identity.Token
	Path     string // of the database
	StateDir string
	Local    store.LocalRows
	Endpoint *quiclink.Endpoint
	Resolve  func(ctx context.Context, address string) (net.Addr, error)
	Version  string
	Clock    store.Clock
	// NewIncarnation draws one.
	NewIncarnation func() causal.Incarnation
	// Progress is told a step and how far it is. total is 0 for a step without a measure.
	Progress func(step string, done, total uint64)
}

// joining is the state of a join in its state directory, from which a later one goes on.
type joining struct {
	Incarnation []byte `json:"incarnation"`
	Name        string `json:"name"` // as enrolled; empty: not yet
	Hub         string `json:"hub"`
	CA          []byte `json:"ca"` // fingerprint of the organisation joined
	LoadID      string `json:"load_id"`
	SHA256      []byte `json:"sha256"`
	Size        uint64 `json:"size"`
}

// Joined is the result of a join.
type Joined struct {
	Name, Hub string
	Report    *store.Report
	Backup    string // of a file whose rows were replaced; empty: none
}

// Run enrols this server. It makes a key, gets a certificate from the hub, takes the first load and
// installs the triggers. If it is cut off, it can be called again with the same token, and goes on.
func (j *Join) Run(ctx context.Context) (*Joined, error) {
	if err := os.MkdirAll(filepath.Join(j.StateDir, "load"), 0o700); err != nil {
		return nil, err
	}
	memory, err := j.remember()
	if err != nil {
		return nil, err
	}
	self, name, hub, err := j.identify(ctx, memory)
	if err != nil {
		return nil, err
	}
	if err := j.fetch(ctx, self, memory); err != nil {
		return nil, err
	}
	j.Progress("unpacking", 0, 0)
	load := filepath.Join(j.StateDir, "load", "first.db")
	if err := j.unpack(load, memory); err != nil {
		return nil, err
	}
	j.Progress("installing triggers", 0, 0)
	options := store.NodeOptions{Site: self.Site(), Addresses: j.Token.Addresses}
	copy(options.Incarnation[:], memory.Incarnation)
	// The marks come first, because an enrolled database without any would be taken for a copy.
	if err := identity.SaveMarks(j.StateDir, identity.Marks{Incarnation: options.Incarnation}); err != nil {
		return nil, err
	}
	report, backup, err := store.InstallLoad(load, j.Path, options, j.Local, j.Clock)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(j.StateDir, "load")); err != nil {
		return nil, err
	}
	return &Joined{Name: name, Hub: hub, Report: report, Backup: backup}, os.Remove(j.memoryPath())
}

func (j *Join) memoryPath() string { return filepath.Join(j.StateDir, "joining.json") }

func (j *Join) remember() (*joining, error) {
	text, err := os.ReadFile(j.memoryPath())
	if errors.Is(err, fs.ErrNotExist) {
		incarnation := j.NewIncarnation()
		memory := &joining{Incarnation: incarnation[:]}
		return memory, j.keep(memory)
	}
	if err != nil {
		return nil, err
	}
	memory := &joining{}
	if err := json.Unmarshal(text, memory); err != nil {
		return nil, fmt.Errorf("%s: %w. Try: remove it", j.memoryPath(), err)
	}
	return memory, nil
}

func (j *Join) keep(memory *joining) error {
	text, err := json.Marshal(memory)
	if err != nil {
		return err
	}
	temporary := j.memoryPath() + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, j.memoryPath())
}

// identify redeems the token, or goes on with the certificate that an earlier try was given. A
// repetition after a cut redeems the token again. The hub knows the same incarnation and renews the
// certificate.
func (j *Join) identify(ctx context.Context, memory *joining) (self *identity.Identity, name, hub string, err error) {
	if memory.Name != "" && string(memory.CA) == string(j.Token.CAFingerprint[:]) {
		if self, err := identity.Load(j.StateDir); err == nil {
			return self, memory.Name, memory.Hub, nil
		}
	}
	key, err := identity.NewKey(j.StateDir)
	if err != nil {
		return nil, "", "", err
	}
	request, err := identity.Request(key, j.Token.Name)
	if err != nil {
		return nil, "", "", err
	}
	j.Progress("enrolling", 0, 0)
	link, err := j.dial(ctx, identity.EnrolTLS(j.Token.CAFingerprint, j.Clock))
	if err != nil {
		return nil, "", "", err
	}
	defer link.CloseWith(quiclink.CodeStopped, "done")
	enrol := wire.Enrol{ProtocolMin: wire.Protocol, ProtocolMax: wire.Protocol, Version: j.Version, Secret: j.Token.Secret,
		Request: request}
	copy(enrol.Incarnation[:], memory.Incarnation)
	answer, err := j.ask(link, enrol)
	if err != nil {
		return nil, "", "", fmt.Errorf("enrolling: %w", err)
	}
	enrolled, ok := answer.(wire.Enrolled)
	if !ok {
		return nil, "", "", fmt.Errorf("enrolling: the hub answered with %s", answer.Kind())
	}
	self, err = identity.Install(j.StateDir, j.Token.CAFingerprint, enrolled.CA, enrolled.Certificate)
	if err != nil {
		return nil, "", "", err
	}
	memory.Name, memory.Hub, memory.CA = enrolled.Name, enrolled.HubName, j.Token.CAFingerprint[:]
	return self, enrolled.Name, enrolled.HubName, j.keep(memory)
}

// ask writes a message and reads the answer. A refusal is an error.
func (j *Join) ask(link *quiclink.Link, question wire.Message) (wire.Message, error) {
	if err := link.Control().SetDeadline(time.Now().Add(loadStall)); err != nil {
		return nil, err
	}
	if err := wire.Write(link.Control(), question); err != nil {
		return nil, err
	}
	answer, err := wire.Read(link.Control(), wire.MaxControl)
	for err == nil && answer.Kind() == wire.KindPing { // the hub is still at it
		j.Progress("waiting for the hub to write the first load", 0, 0)
		if err := link.Control().SetDeadline(time.Now().Add(loadStall)); err != nil {
			return nil, err
		}
		answer, err = wire.Read(link.Control(), wire.MaxControl)
	}
	if err != nil {
		return nil, err
	}
	if refused, ok := answer.(wire.Refuse); ok {
		return nil, &RefusedError{Text: refused.Text, Try: refused.Try}
	}
	return answer, nil
}

// RefusedError is the hub's no.
type RefusedError struct{ Text, Try string }

func (e *RefusedError) Error() string {
	if e.Try == "" {
		return e.Text
	}
	return e.Text + ". Try: " + e.Try
}

func (j *Join) dial(ctx context.Context, tlsConf *tls.Config) (*quiclink.Link, error) {
	var failed error
	for _, address := range j.Token.Addresses {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		at, err := j.Resolve(ctx, address)
		var link *quiclink.Link
		if err == nil {
			link, err = j.Endpoint.Dial(ctx, at, tlsConf)
		}
		cancel()
		if err == nil {
			return link, nil
		}
		if failed == nil {
			failed = errors.New(quiclink.ExplainDialError(err, address))
		}
	}
	if failed == nil {
		failed = errors.New("the token holds no address of the hub. Try: ravno init with --advertise HOST:PORT")
	}
	return nil, failed
}

// fetch fetches the first load, and goes on where it was cut off.
func (j *Join) fetch(ctx context.Context, self *identity.Identity, memory *joining) error {
	var failed error
	backoff := quiclink.NewBackoff(func() float64 { return 0.5 })
	for try := range loadTries {
		if try > 0 {
			pause := time.NewTimer(backoff.Next())
			select {
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			case <-pause.C:
			}
		}
		link, err := j.dial(ctx, self.ClientTLS(j.Clock))
		if err == nil {
			err = j.fetchOver(ctx, link, memory)
			link.CloseWith(quiclink.CodeStopped, "done")
		}
		var refused *RefusedError
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) {
			return errors.Join(err, ctx.Err())
		}
		failed = err
	}
	return fmt.Errorf("the first load was cut off %d times: %w. Try: the same command again, it goes on where it stopped",
		loadTries, failed)
}

func (j *Join) packed() string { return filepath.Join(j.StateDir, "load", "first.zst") }

func (j *Join) fetchOver(ctx context.Context, link *quiclink.Link, memory *joining) error {
	file, err := os.OpenFile(j.packed(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	answer, err := j.ask(link, wire.SnapshotRequest{ID: memory.LoadID, Offset: uint64(info.Size())})
	if err != nil {
		return err
	}
	header, ok := answer.(wire.SnapshotHeader)
	if !ok || header.Offset > uint64(info.Size()) || header.Bytes > maxLoadBytes {
		return &RefusedError{Text: fmt.Sprintf("the hub's answer to the request of a first load makes no sense (%s)",
			answer.Kind())}
	}
	memory.LoadID, memory.SHA256, memory.Size = header.ID, header.SHA256[:], header.Size
	if err := j.keep(memory); err != nil {
		return err
	}
	if err := file.Truncate(int64(header.Offset)); err != nil {
		return err
	}
	if _, err := file.Seek(int64(header.Offset), io.SeekStart); err != nil {
		return err
	}
	for done := header.Offset; done < header.Size; {
		if err := link.Control().SetReadDeadline(time.Now().Add(loadStall)); err != nil {
			return err
		}
		message, err := wire.Read(link.Control(), wire.MaxControl)
		if err != nil {
			return err
		}
		data, ok := message.(wire.Data)
		if !ok {
			return fmt.Errorf("%s in the middle of a first load", message.Kind())
		}
		if _, err := file.Write(data.Bytes); err != nil {
			return &RefusedError{Text: err.Error(), Try: "free some space, then the same command again"}
		}
		done += uint64(len(data.Bytes))
		j.Progress("loading", done, header.Size)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return file.Sync()
}

// unpack checks the load against the hash the hub gave, and unpacks it.
func (j *Join) unpack(to string, memory *joining) error {
	file, err := os.Open(j.packed())
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if string(sum.Sum(nil)) != string(memory.SHA256) {
		os.Remove(j.packed())
		return errors.New("the first load was damaged on its way, and was thrown away. Try: the same command again")
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	inflate, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer inflate.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, io.LimitReader(inflate, maxLoadBytes)); err != nil {
		return fmt.Errorf("unpacking the first load: %w", err)
	}
	return out.Sync()
}
