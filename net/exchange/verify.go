package exchange

import (
	"context"
	"fmt"

	"ravno/crdt"
	"ravno/net/wire"
	"ravno/store"
)

const (
	// rowsPerMessage bounds one answer with row digests, well below a control frame.
	rowsPerMessage = 2000
	// maxNamed is how many differing rows are named. The rest are counted.
	maxNamed = 20
)

// TableResult is the comparison of one table on two servers.
type TableResult struct {
	Table     string
	Rows      uint64 // here
	Sum       store.Sum
	Level     bool
	Differing int
	Keys      []crdt.Key // of differing rows, at most maxNamed
}

// Verify compares the digests of tables here with those at the other end of a link, and
// finds the rows that differ.
func Verify(ctx context.Context, s *store.Store, caller *Caller, table string) ([]TableResult, error) {
	here, _, err := s.Digests(table)
	if err != nil {
		return nil, err
	}
	there := map[string]wire.TableDigest{}
	err = caller.Call(ctx, func(id uint64) wire.Message { return wire.DigestRequest{ID: id, Table: table, Buckets: true} },
		func(answer wire.Message) (bool, error) {
			digest, ok := answer.(wire.Digest)
			if !ok || digest.Trouble != "" {
				return true, fmt.Errorf("the other server cannot compute its digests: %s", digest.Trouble)
			}
			for _, t := range digest.Tables {
				there[t.Table] = t
			}
			return true, nil
		})
	if err != nil {
		return nil, err
	}
	var results []TableResult
	for _, h := range here {
		t, known := there[h.Table]
		result := TableResult{Table: h.Table, Rows: h.Rows, Sum: h.Sum, Level: known && t.Rows == h.Rows &&
			t.Sum == [16]byte(h.Sum)}
		switch {
		case result.Level:
		case !known: // the table is not there at all
			result.Differing = int(h.Rows)
		default:
			if err := compareRows(ctx, s, caller, h, t, &result); err != nil {
				return nil, err
			}
		}
		delete(there, h.Table)
		results = append(results, result)
	}
	for name, t := range there { // tables that are not here at all
		results = append(results, TableResult{Table: name, Differing: int(t.Rows)})
	}
	return results, nil
}

func compareRows(ctx context.Context, s *store.Store, caller *Caller, here store.Digest, there wire.TableDigest,
	result *TableResult) error {
	var buckets []uint8
	for i := range here.Buckets {
		if i >= len(there.Buckets) || there.Buckets[i] != [16]byte(here.Buckets[i]) {
			buckets = append(buckets, uint8(i))
		}
	}
	rows := map[crdt.Key]store.Sum{}
	if err := s.RowDigests(here.Table, buckets, func(r store.RowDigest) error {
		rows[r.Key] = r.Sum
		return nil
	}); err != nil {
		return err
	}
	differs := func(key crdt.Key) {
		if result.Differing++; len(result.Keys) < maxNamed {
			result.Keys = append(result.Keys, key)
		}
	}
	err := caller.Call(ctx, func(id uint64) wire.Message {
		return wire.RowsRequest{ID: id, Table: here.Table, Buckets: buckets}
	}, func(answer wire.Message) (bool, error) {
		m, ok := answer.(wire.Rows)
		if !ok || m.Trouble != "" {
			return true, fmt.Errorf("table %s: the other server cannot list its rows: %s", here.Table, m.Trouble)
		}
		for _, r := range m.Rows {
			sum, known := rows[r.Key]
			delete(rows, r.Key)
			if !known || sum != store.Sum(r.Sum) {
				differs(r.Key)
			}
		}
		return !m.More, nil
	})
	for key := range rows {
		differs(key)
	}
	return err
}

// AnswerDigest answers a question about digests from this server's database.
func AnswerDigest(ctx context.Context, s *store.Store, caller *Caller, question wire.Message) {
	switch q := question.(type) {
	case wire.DigestRequest:
		answer := wire.Digest{ID: q.ID}
		digests, at, err := s.Digests(q.Table)
		if err != nil {
			answer.Trouble = err.Error()
		}
		answer.Position = at
		for _, d := range digests {
			t := wire.TableDigest{Table: d.Table, Rows: d.Rows, Sum: d.Sum}
			if q.Buckets {
				for _, b := range d.Buckets {
					t.Buckets = append(t.Buckets, b)
				}
			}
			answer.Tables = append(answer.Tables, t)
		}
		_ = caller.Send(ctx, answer) // a link that ended needs no answer
	case wire.RowsRequest:
		// All are gathered before the first is sent. A slow link must not hold the database's one
		// reader, which its own loop needs to go on.
		var rows []wire.RowDigest
		err := s.RowDigests(q.Table, q.Buckets, func(r store.RowDigest) error {
			rows = append(rows, wire.RowDigest{Key: r.Key, Sum: r.Sum})
			return nil
		})
		if err != nil {
			_ = caller.Send(ctx, wire.Rows{ID: q.ID, Trouble: err.Error()})
			return
		}
		for more := true; more; {
			n := min(len(rows), rowsPerMessage)
			more = n < len(rows)
			if caller.Send(ctx, wire.Rows{ID: q.ID, Rows: rows[:n], More: more}) != nil {
				return // the link ended, and with it the question
			}
			rows = rows[n:]
		}
	}
}
