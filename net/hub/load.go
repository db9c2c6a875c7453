package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/net/quiclink"
	"ravno/net/session"
	"ravno/net/wire"
)

const (
	// loadKept is how long a first load is kept for nodes whose link broke on the way.
	loadKept = 24 * time.Hour
	// loadPiece is how much of a first load goes into one frame, in bytes.
	loadPiece = 256 << 10
	// loadPing is how often a node that waits for its load to be written hears of it.
	loadPing = 5 * time.Second
	// piecesPerCheck is after how many pieces the hub checks whether the node was removed.
	piecesPerCheck = 16
	// loadStall is how long one piece may take before the link counts as dead.
	loadStall = time.Minute
)

// load describes a first load on disk, beside it.
type load struct {
	ID     string `json:"id"`
	Size   uint64 `json:"size"`
	SHA256 []byte `json:"sha256"`
	Bytes  uint64 `json:"bytes"`
	path   string
}

// sendLoad sends a first load, or the rest of one that was cut off.
func (h *Hub) sendLoad(ctx context.Context, link *quiclink.Link, m wire.SnapshotRequest) {
	l, err := h.findLoad(m.ID)
	offset := m.Offset
	if errors.Is(err, os.ErrNotExist) {
		offset = 0
		l, err = h.writeLoadFor(link)
	}
	if err == nil {
		err = h.sendPieces(ctx, link, l, offset)
	}
	if err != nil {
		h.Log.Warn().Err(err).Uint32("node", uint32(link.Peer().Site)).Msg("a first load was cut off")
		h.refuse(link, session.CodeError, "the first load failed at the hub: "+err.Error(),
			"ravno join again: it goes on where it stopped")
		return
	}
	site := link.Peer().Site
	h.record(journal.Loaded(h.name(site), l.Size))
	if err := h.Store.AckedByNode(site, causal.Reached{}, 0, true); err != nil { // data went over
		h.Log.Error().Err(err).Msg("the time of a first load could not be kept")
	}
	h.finish(link)
}

// writeLoadFor writes a first load and meanwhile pings the node that waits for it. A large database
// takes minutes.
func (h *Hub) writeLoadFor(link *quiclink.Link) (l *load, err error) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		l, err = h.writeLoad()
	}()
	ticker := time.NewTicker(loadPing)
	defer ticker.Stop()
	for {
		select {
		case <-written:
			return l, err
		case <-ticker.C:
			// if it does not get there, nor will the load
			_ = wire.Write(link.Control(), wire.Ping{ClockMillis: h.Clock().UnixMilli()})
		}
	}
}

func (h *Hub) loadDir() string { return filepath.Join(h.StateDir, "load") }

// findLoad finds a load by its identifier, which is only ever compared with names here.
func (h *Hub) findLoad(id string) (*load, error) {
	h.loads <- struct{}{}
	defer func() { <-h.loads }()
	entries, err := os.ReadDir(h.loadDir())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if id == "" || e.Name() != id+".json" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(h.loadDir(), e.Name()))
		if err != nil {
			return nil, err
		}
		l := &load{path: filepath.Join(h.loadDir(), id+".zst")}
		if err := json.Unmarshal(text, l); err != nil {
			return nil, os.ErrNotExist // half written: make another
		}
		return l, nil
	}
	return nil, os.ErrNotExist
}

// writeLoad writes a first load of this moment.
func (h *Hub) writeLoad() (*load, error) {
	h.loads <- struct{}{}
	defer func() { <-h.loads }()
	if err := os.MkdirAll(h.loadDir(), 0o700); err != nil {
		return nil, err
	}
	h.dropOldLoads()
	id := h.NewID()
	plain := filepath.Join(h.loadDir(), id+".db")
	defer os.Remove(plain)
	if _, err := h.Store.WriteLoad(plain); err != nil {
		return nil, err
	}
	l := &load{ID: id, path: filepath.Join(h.loadDir(), id+".zst")}
	if err := l.compress(plain); err != nil {
		return nil, err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return l, os.WriteFile(filepath.Join(h.loadDir(), id+".json"), text, 0o600)
}

// dropOldLoads removes loads that no node will ask for any more, and leftovers of a crash.
func (h *Hub) dropOldLoads() {
	entries, err := os.ReadDir(h.loadDir())
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && (h.Clock().Sub(info.ModTime()) > loadKept || filepath.Ext(e.Name()) == ".db") {
			os.Remove(filepath.Join(h.loadDir(), e.Name())) // if it cannot be removed now, next time
		}
	}
}

func (l *load) compress(plain string) error {
	in, err := os.Open(plain)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(l.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	counted := &counter{w: io.MultiWriter(out, sum)}
	deflate, err := zstd.NewWriter(counted, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	n, err := io.Copy(deflate, in)
	if err := errors.Join(err, deflate.Close()); err != nil {
		return fmt.Errorf("compressing the first load: %w", err)
	}
	l.Bytes, l.Size, l.SHA256 = uint64(n), counted.n, sum.Sum(nil)
	return out.Sync()
}

type counter struct {
	w io.Writer
	n uint64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += uint64(n)
	return n, err
}

func (h *Hub) sendPieces(ctx context.Context, link *quiclink.Link, l *load, offset uint64) error {
	file, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if offset > l.Size {
		offset = 0
	}
	if _, err := file.Seek(int64(offset), io.SeekStart); err != nil {
		return err
	}
	header := wire.SnapshotHeader{ID: l.ID, Size: l.Size, Offset: offset, Bytes: l.Bytes}
	copy(header.SHA256[:], l.SHA256)
	control := link.Control()
	if err := wire.Write(control, header); err != nil {
		return err
	}
	piece := make([]byte, loadPiece)
	for sent := 0; ctx.Err() == nil; sent++ {
		if sent%piecesPerCheck == 0 {
			if err := h.admit(link.Peer().Site, link.Peer().Serial); err != nil {
				return err
			}
		}
		n, err := io.ReadFull(file, piece)
		if n > 0 {
			if err := control.SetWriteDeadline(time.Now().Add(loadStall)); err != nil {
				return err
			}
			if err := wire.Write(control, wire.Data{Bytes: piece[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
