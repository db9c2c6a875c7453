// Package conflict writes, extends and reads conflict records.
package conflict
