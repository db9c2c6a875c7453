// Package catalog knows which tables sync, their columns, keys and foreign keys, and the values of a row.
package catalog
