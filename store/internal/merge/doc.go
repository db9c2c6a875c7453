// Package merge brings a delta into the tables and, at the hub, judges it.
//
// An apply is one write transaction. It folds first. It then takes the delta section by section.
// For each change, crdt.Merge takes the row as remembered and the change as sent, and returns an
// outcome. The table is made to show the merged row: inserted, updated, removed, or kept aside. At
// the end held rows are tried again, and the hub repairs. Enforcement of foreign keys is off,
// because a delta may bring a child before its parent. The application's triggers are off.
//
// A delta says from which position to which it brings the receiver. One that begins elsewhere is
// refused, and nothing is applied. A delta that names an unknown table or column, or that has
// crossed with own work, is left whole with its sender (decision 17).
//
// Before it merges, the package asks whether a change is about the same row. One side may have
// forgotten a stable birth that the other still has. A node's edit may have outlived a deletion
// elsewhere. The node then offers the row whole, every column with that edit's stamp. Until it
// arrives, the others keep the row as incomplete. A row that a node wrote, forgot, and gets back
// whole is no work of its own.
//
// At the hub each change of a node is compared with the change records of its document. Records
// newer than the change's seen position, by other sites, are concurrent with it. The hub alone
// does this (decision 1). A node keeps own work aside before a newer write replaces it. It does
// the same with work in a held row when the application makes another row under that key.
//
// Applying at the hub takes new positions of its own, at most about a thousand rows each. That is
// all of relaying.
//
// A node may write two things in ravno's own tables: its events, and the resolution of a conflict.
// A row deleted from a journal at a node stays at the hub.
//
// Package merge refuses to know links, batches and files of its own. It orchestrates. The rooms
// below it do the work.
package merge
