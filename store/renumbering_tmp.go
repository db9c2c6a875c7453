package store

import "ravno/crdt/causal"

// renumbering is the part of a key_collision's detail that says which row got which key.
type renumbering struct {
	Site  causal.Site `json:"site"`
	Table string      `json:"table"`
	Old   string      `json:"old"`
	New   string      `json:"new"`
}
