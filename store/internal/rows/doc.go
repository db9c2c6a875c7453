// Package rows is one write transaction: it reads and writes rows, shadows and the log, and decides nothing.
package rows
