// Package fold turns the log into registers. It is the only birthplace of stamps.
package fold
