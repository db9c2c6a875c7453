// Package merge merges a delta into the tables and judges it.
package merge
