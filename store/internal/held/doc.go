// Package held keeps the rows that a constraint keeps out of their tables.
package held
