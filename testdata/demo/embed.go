// Package demo is the schema and the first rows of the restaurant chain that ravno's
// demonstration plays with. They are ordinary SQL for any SQLite: what an application would
// have made without ever hearing of ravno. The package refuses to know how they are run.
package demo

import _ "embed"

// Schema creates the tables in an empty database.
//
//go:embed schema.sql
var Schema string

// Seed fills in products, tables and stock; no orders. It needs Schema to have run.
//
//go:embed seed.sql
var Seed string
